"""Tables: functions, versions, artifacts, native code."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.database import Base

Moment = TIMESTAMP(timezone=True)


class Function(Base):
    """A named thing that users invoke. What it runs is its active version."""

    __tablename__ = "functions"
    __table_args__ = (
        CheckConstraint("name ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name="name"),
        CheckConstraint("active_version <= latest_version", name="active_exists"),
        Index("uq_functions_name", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    timeout_ms: Mapped[int]
    memory_mb: Mapped[int]
    executions_per_minute: Mapped[int | None]
    concurrency: Mapped[int | None]
    """How many of its executions may be under way; the broker's gates have it as well."""
    active_version: Mapped[int | None]
    """Set when a version becomes READY; never goes back to none."""
    latest_version: Mapped[int]
    decided_version: Mapped[int] = mapped_column(server_default=text("0"))
    """Up to which versions it is decided which is the active one: only later ones become it by being READY."""
    revision: Mapped[int]
    """Grows with every change by a user; the ETag."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    allowed_users: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    """Users that it is shared with, and some who were: see `can_access`."""
    allowed_groups: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    retry: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """How often, when, and for which errors an execution is tried again."""
    environment_id: Mapped[UUID | None] = mapped_column(ForeignKey("environments.id"), index=True)
    """What it is given; none for one that was deleted."""
    deleted_at: Mapped[datetime | None] = mapped_column(Moment)
    """Set by a deletion; the row goes when its executions have gone."""


class FunctionAudience(Base):
    """Who may see a function, for lists: a user, a group, or everybody, whose id is nil. A trigger keeps it."""

    __tablename__ = "function_audiences"

    audience_id: Mapped[UUID] = mapped_column(primary_key=True)
    function_id: Mapped[UUID] = mapped_column(
        ForeignKey("functions.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Version(Base):
    """One immutable source, and what became of it."""

    __tablename__ = "versions"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'COMPILING', 'READY', 'FAILED')", name="status"),
        CheckConstraint("(status = 'READY') = (artifact_digest IS NOT NULL)", name="ready_has_artifact"),
        CheckConstraint("(status = 'FAILED') = (compile_error IS NOT NULL)", name="failed_has_error"),
        CheckConstraint("(status IN ('READY', 'FAILED')) = (compiled_at IS NOT NULL)", name="final_has_time"),
        CheckConstraint("verification IN ('PENDING', 'MATCHES', 'DIFFERS', 'FAILED')", name="verification"),
        CheckConstraint("verification IS NULL OR status = 'READY'", name="verified_is_ready"),
        CheckConstraint("(verification IS NULL) = (verification_id IS NULL)", name="verification_has_id"),
        CheckConstraint(
            "(coalesce(verification, 'PENDING') = 'PENDING') = (verified_at IS NULL)", name="verified_has_time"
        ),
        Index("uq_versions_verification_id", "verification_id", unique=True),
    )

    function_id: Mapped[UUID] = mapped_column(ForeignKey("functions.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    language: Mapped[str] = mapped_column(Text)
    source: Mapped[bytes] = mapped_column(LargeBinary)
    source_bytes: Mapped[int] = column_property(func.octet_length(source))
    source_digest: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    compile_error: Mapped[str | None] = mapped_column(Text)
    """`source.ext:line:column: message`, a line each; set with FAILED."""
    compile_log: Mapped[str | None] = mapped_column(Text)
    """What else the compiler said; none with FAILED where the fault is not the source's."""
    compile_attempts: Mapped[int]
    toolchain: Mapped[str | None] = mapped_column(Text)
    toolchain_version: Mapped[str | None] = mapped_column(Text)
    flags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    artifact_digest: Mapped[str | None] = mapped_column(ForeignKey("artifacts.digest"), index=True)
    layer_digest: Mapped[str | None] = mapped_column(ForeignKey("layers.digest"), index=True)
    """Set where many functions share the artifact."""
    lines: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """Which lines of the source the module came from (see `app.wasm.lines`), where that is known."""
    wasm_bytes: Mapped[int | None]
    native_bytes: Mapped[int | None]
    compile_ms: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(Moment)
    compile_started_at: Mapped[datetime | None] = mapped_column(Moment)
    """When the latest attempt began."""
    compiled_at: Mapped[datetime | None] = mapped_column(Moment)
    retired_at: Mapped[datetime | None] = mapped_column(Moment)
    """Since when it is not there for anybody any more; the row goes later."""
    verification: Mapped[str | None] = mapped_column(Text)
    """What came of building it again, the last time that somebody asked."""
    verification_id: Mapped[UUID | None]
    """Names that time."""
    verified_at: Mapped[datetime | None] = mapped_column(Moment)
    verification_reason: Mapped[str | None] = mapped_column(Text)
    rebuilt: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The members of `domain.Provenance` as that time made them."""


class Alias(Base):
    """A name of a version of a function, by which it is executed."""

    __tablename__ = "aliases"
    __table_args__ = (
        ForeignKeyConstraint(["function_id", "version"], ["versions.function_id", "versions.number"]),
        ForeignKeyConstraint(["function_id", "next_version"], ["versions.function_id", "versions.number"]),
        CheckConstraint("(next_version IS NULL) = (next_weight IS NULL)", name="next_has_weight"),
        CheckConstraint("next_weight BETWEEN 0 AND 100", name="weight"),
        Index("ix_aliases_version", "function_id", "version"),
        Index("ix_aliases_next_version", "function_id", "next_version"),
    )

    function_id: Mapped[UUID] = mapped_column(ForeignKey("functions.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int]
    next_version: Mapped[int | None]
    """For a share of the executions."""
    next_weight: Mapped[float | None]
    """That share, or percent where it is more than 1."""
    updated_at: Mapped[datetime] = mapped_column(Moment)


class Compiler(Base):
    """What a compile worker said last of a language."""

    __tablename__ = "compilers"
    __table_args__ = (CheckConstraint("state IN ('ready', 'preparing', 'missing')", name="state"),)

    worker: Mapped[str] = mapped_column(Text, primary_key=True)
    language: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    reported_at: Mapped[datetime] = mapped_column(Moment, server_default=text("now()"))


class Artifact(Base):
    """WebAssembly, named by its sha256 digest; versions with equal bytes share one."""

    __tablename__ = "artifacts"

    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    wasm: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment)


class Layer(Base):
    """What makes a shared artifact one function's own, named by its sha256 digest."""

    __tablename__ = "layers"

    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment)


class NativeCode(Base):
    """An artifact compiled for one target, with the code that proves that a worker of ours made it."""

    __tablename__ = "native_code"

    digest: Mapped[str] = mapped_column(ForeignKey("artifacts.digest", ondelete="CASCADE"), primary_key=True)
    target: Mapped[str] = mapped_column(Text, primary_key=True)
    native: Mapped[bytes] = mapped_column(LargeBinary)
    mac: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment)
