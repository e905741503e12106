"""Tables: environments and their entries."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

Moment = TIMESTAMP(timezone=True)


class Environment(Base):
    """A named set of variables and secrets, for any number of functions."""

    __tablename__ = "environments"
    __table_args__ = (CheckConstraint("name ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name="name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text)
    revision: Mapped[int]
    """Grows with every change of an entry; executions record it."""
    writes: Mapped[int]
    """Grows with every change by a user; the ETag."""
    data_key: Mapped[bytes] = mapped_column(LargeBinary)
    """What seals its secrets, wrapped by a master key."""
    master_key: Mapped[str] = mapped_column(Text, index=True)
    """The name of that master key."""
    allowed_users: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    """Users that it is shared with, and some who were: see `can_access`."""
    allowed_groups: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class Entry(Base):
    """One variable, in plain text, or one secret, sealed."""

    __tablename__ = "environment_entries"
    __table_args__ = (CheckConstraint("num_nonnulls(value, sealed) = 1", name="is_one_thing"),)

    environment_id: Mapped[UUID] = mapped_column(ForeignKey("environments.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str | None] = mapped_column(Text)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    version: Mapped[int]
    """The environment's revision that it came with; what is sealed is bound to it."""

    @property
    def is_secret(self) -> bool:
        """Whether its value is shown to functions alone."""
        return self.sealed is not None
