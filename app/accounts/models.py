"""Tables: users, groups, sessions, API keys, and the secrets that let somebody in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

Moment = TIMESTAMP(timezone=True)


class User(Base):
    """Somebody with an account."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('ADMIN', 'DEV')", name="role"),
        CheckConstraint("email = lower(email)", name="email_is_lower"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool]
    password: Mapped[str | None] = mapped_column(Text, deferred=True)
    """Its hash, which names its own parameters; none where the user signs in elsewhere, or not yet."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(Moment)


class Group(Base):
    """Users that something is shared with together."""

    __tablename__ = "groups"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class Membership(Base):
    """A user in a group."""

    __tablename__ = "memberships"

    group_id: Mapped[UUID] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    issuer: Mapped[str | None] = mapped_column(Text)
    """Whose claim it follows; none where somebody here has made it."""


class Identity(Base):
    """Who a user is elsewhere: a provider's issuer and what it calls them, which it gives to nobody else."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)


class BegunSignIn(Base):
    """A browser that was sent to a provider: the digest of what it keeps meanwhile. One that was sent to link an
    identity is a session's.
    """

    __tablename__ = "begun_sign_ins"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    next_address: Mapped[str] = mapped_column(Text)
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class UserSession(Base):
    """A browser that somebody has signed in with. It ends `idle` after it was seen, or at its end."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    address: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    last_seen_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    is_to_rotate: Mapped[bool] = mapped_column(server_default=text("false"))
    """Its user's rights have changed: it gets another name with the next request."""
    identity_id: Mapped[UUID | None] = mapped_column(ForeignKey("identities.id", ondelete="CASCADE"), index=True)
    """What it began with, and ends with; none where that was a password."""


class KnownAddress(Base):
    """Where a user has signed in from, as attempts are counted."""

    __tablename__ = "known_addresses"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    bucket: Mapped[str] = mapped_column(Text, primary_key=True)
    last_used_at: Mapped[datetime] = mapped_column(Moment)


class ApiKey(Base):
    """What a program of somebody's signs in with."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    hint: Mapped[str] = mapped_column(Text)
    """What of it is shown."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    executions_per_minute: Mapped[int | None]
    """How often it may have something executed; none for what is set for all."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)
    """To the minute."""
    rotated_at: Mapped[datetime | None] = mapped_column(Moment)


class Token(Base):
    """The digest of what lets somebody in: a session's name or a key. One that was replaced is good for a while."""

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("num_nonnulls(session_id, api_key_id) = 1", name="is_one_thing"),
        Index("ix_tokens_session_id", "session_id"),
        Index("ix_tokens_api_key_id", "api_key_id"),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    replaced_until: Mapped[datetime | None] = mapped_column(Moment)
    """Set where another has taken its place."""


class Throttle(Base):
    """How often something may be done: the time at which its next turn would come if all came evenly (GCRA)."""

    __tablename__ = "throttles"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
