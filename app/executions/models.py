"""Tables: executions, partitioned by the time in their ids; keys of requests."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Double, Index, LargeBinary, Text, Uuid, desc
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base
from app.executions.domain import ErrorType, Priority, Status

Moment = TIMESTAMP(timezone=True)


def _quoted(words: type[Status | ErrorType | Priority]) -> str:
    return ", ".join(f"'{word}'" for word in words)


class ExecutionRow(Base):
    """One execution. The statements that touch it are in `queries`; this class is what migrations are compared with.

    There is no foreign key to `functions`: checking it would lock the function's row in every submission.
    """

    __tablename__ = "executions"
    __table_args__ = (
        CheckConstraint(f"status IN ({_quoted(Status)})", name="status"),
        CheckConstraint(f"priority IN ({_quoted(Priority)})", name="priority"),
        CheckConstraint(f"error_type IN ({_quoted(ErrorType)})", name="error_type"),
        CheckConstraint("(status = 'FAILED') = (error_type IS NOT NULL)", name="failed_has_error_type"),
        CheckConstraint("status = 'COMPLETED' OR output IS NULL", name="completed_has_output"),
        CheckConstraint(
            "(status IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (completed_at IS NOT NULL)", name="final_has_time"
        ),
        CheckConstraint("status <> 'PENDING' OR started_at IS NULL", name="pending_has_not_started"),
        Index("ix_executions_function_id", "function_id", desc("id")),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    function_id: Mapped[UUID]
    version: Mapped[int]
    status: Mapped[str] = mapped_column(Text)
    input: Mapped[str] = mapped_column(JSON)
    """As the caller wrote it, to the letter."""
    output: Mapped[str | None] = mapped_column(JSON)
    """As the function wrote it, to the letter; set with COMPLETED."""
    error_type: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    error_location: Mapped[str | None] = mapped_column(Text)
    logs: Mapped[str | None] = mapped_column(Text)
    duration_ms: Mapped[float | None] = mapped_column(Double)
    """Run time of the deciding attempt by the worker's monotonic clock."""
    fuel_used: Mapped[int | None] = mapped_column(BigInteger)
    memory_peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    environment_revision: Mapped[int | None]
    """Of the environment that the latest attempt was given."""
    attempts: Mapped[int]
    """Grows with every claim."""
    trigger: Mapped[str] = mapped_column(Text)
    correlation_id: Mapped[str] = mapped_column(Text, index=True)
    caller_id: Mapped[UUID | None]
    """The user who asked for it; they may be deleted since."""
    priority: Mapped[str] = mapped_column(Text, server_default="NORMAL")
    not_before: Mapped[datetime | None] = mapped_column(Moment)
    """When it may begin at the earliest."""
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    """When it ends as EXPIRED unless a worker has taken it."""
    retries: Mapped[int] = mapped_column(server_default="0")
    """Attempts that failed by the function's doing and were followed by another."""
    worker: Mapped[str | None] = mapped_column(Text)
    """The node of the worker that claimed the latest attempt."""
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """How far the latest attempt has come, as the function says: percent, message, and when it said so."""
    earlier_attempts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    """What became of all attempts but the latest, the first one first."""
    replay_of: Mapped[UUID | None]
    waiter: Mapped[str | None] = mapped_column(Text)
    """The channel of the process that waits for the end, if one does."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    """When the latest attempt was claimed."""
    completed_at: Mapped[datetime | None] = mapped_column(Moment)


class IdempotencyKey(Base):
    """A request by the name that its sender gave it, so that it is answered once."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the request."""
    execution_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)
