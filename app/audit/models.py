"""Table: audit events, partitioned by the time in their ids."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, desc
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class AuditEvent(Base):
    """One act. The statements that touch it are in `queries`; this class is what migrations are compared with."""

    __tablename__ = "audit_events"
    __table_args__ = (
        CheckConstraint("via IN ('SESSION', 'API_KEY', 'SYSTEM', 'NOTHING')", name="via"),
        CheckConstraint("outcome IN ('DONE', 'REFUSED')", name="outcome"),
        Index("ix_audit_events_actor_id", "actor_id", desc("id")),
        Index("ix_audit_events_resource_id", "resource_id", desc("id")),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    actor_id: Mapped[UUID | None]
    actor: Mapped[str] = mapped_column(Text)
    via: Mapped[str] = mapped_column(Text)
    credential_id: Mapped[UUID | None]
    address: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    resource_id: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    before: Mapped[Any | None] = mapped_column(JSONB)
    after: Mapped[Any | None] = mapped_column(JSONB)
