"""Versions on the wire."""

from typing import Any

from marshmallow import fields, validate

from app.functions.domain import Verification, VersionStatus
from app.functions.models import Alias, Version
from app.http.blueprints import LARGEST_NUMBER
from app.http.wire import Time, WholeNumber, WireSchema, page_of


def _digest(of: str) -> fields.String:
    return fields.String(required=True, allow_none=True, metadata={"description": f"The sha256 of {of}, in hex."})


class Rebuilt(WireSchema):
    """What came of building a version again."""

    toolchain = fields.String(required=True)
    toolchain_version = fields.String(required=True)
    flags = fields.List(fields.String(), required=True)
    wasm_digest = _digest("the module")
    layer_digest = _digest("the layer")


class VersionItem(WireSchema):
    """A version in a list: where what is executed came from, and what it is called."""

    function_id = fields.UUID(required=True)
    number = fields.Integer(required=True)
    language = fields.String(required=True)
    status = fields.Enum(VersionStatus, by_value=True, required=True)
    is_active = fields.Boolean(required=True)
    source_digest = _digest("the source")
    wasm_digest = _digest("the module that is executed")
    layer_digest = _digest("what makes a module that functions share this one's; null where it is its own")
    toolchain = fields.String(required=True, allow_none=True)
    toolchain_version = fields.String(required=True, allow_none=True)
    flags = fields.List(fields.String(), required=True, allow_none=True)
    source_bytes = fields.Integer(required=True)
    wasm_bytes = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Of the layer, where there is one."}
    )
    native_bytes = fields.Integer(required=True, allow_none=True)
    compile_error = fields.String(required=True, allow_none=True)
    compile_attempts = fields.Integer(required=True)
    compile_ms = fields.Integer(required=True, allow_none=True)
    created_at = Time(required=True)
    compiled_at = Time(required=True, allow_none=True)
    verification = fields.Enum(
        Verification,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "What came of building it again, the last time that somebody asked."},
    )
    verification_reason = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it differs, or could not be built."}
    )
    verified_at = Time(required=True, allow_none=True)
    rebuilt = fields.Nested(Rebuilt, required=True, allow_none=True)


class VersionRead(VersionItem):
    """A version."""

    source = fields.String(required=True, allow_none=True, metadata={"description": "Null for `wasm`."})
    compile_log = fields.String(required=True, allow_none=True)


VersionPage = page_of(VersionItem, "VersionPage")


class Side(WireSchema):
    """One of two versions that are compared."""

    number = fields.Integer(required=True)
    source_digest = _digest("the source")


class DiffRead(WireSchema):
    """How the source of a version differs from another's."""

    function_id = fields.UUID(required=True)
    old = fields.Nested(Side, required=True, data_key="from")
    new = fields.Nested(Side, required=True, data_key="to")
    diff = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "As `diff -u` writes it; empty where they are equal, null for `wasm`."},
    )


class DiffQuery(WireSchema):
    """With what a version is compared."""

    other = fields.Integer(
        load_default=None,
        data_key="from",
        validate=validate.Range(1, LARGEST_NUMBER),
        metadata={"description": "A version's number. Default: the one before, or the version itself."},
    )


class NextVersion(WireSchema):
    """Another version, for a share of the executions."""

    version = WholeNumber(required=True, validate=validate.Range(1, LARGEST_NUMBER))
    weight = fields.Float(
        required=True,
        validate=validate.Range(0, 100),
        metadata={"description": "Its share of the executions: up to 1 a fraction, above that percent."},
    )


class AliasWrite(WireSchema):
    """What an alias is to mean."""

    version = WholeNumber(required=True, validate=validate.Range(1, LARGEST_NUMBER))
    next = fields.Nested(NextVersion, load_default=None, allow_none=True)


class AliasRead(WireSchema):
    """An alias."""

    function_id = fields.UUID(required=True)
    name = fields.String(required=True)
    version = fields.Integer(required=True)
    next = fields.Nested(NextVersion, required=True, allow_none=True)
    updated_at = Time(required=True)


AliasPage = page_of(AliasRead, "AliasPage")


def as_alias(alias: Alias) -> dict[str, Any]:
    """The members of an alias on the wire."""
    return {
        "function_id": alias.function_id,
        "name": alias.name,
        "version": alias.version,
        "next": None if alias.next_version is None else {"version": alias.next_version, "weight": alias.next_weight},
        "updated_at": alias.updated_at,
    }


def as_diff(new: Version, old: Version, diff: str | None) -> dict[str, Any]:
    """The members of a comparison on the wire."""
    return {"function_id": new.function_id, "old": old, "new": new, "diff": diff}


def as_version(version: Version, is_active: bool) -> dict[str, Any]:
    """The members of a version on the wire."""
    return as_version_item(version, is_active) | {"source": source_of(version), "compile_log": version.compile_log}


def as_version_item(version: Version, is_active: bool) -> dict[str, Any]:
    """Those that it has in a list."""
    return {
        "function_id": version.function_id,
        "number": version.number,
        "language": version.language,
        "status": VersionStatus(version.status),
        "is_active": is_active,
        "source_digest": version.source_digest,
        "source_bytes": version.source_bytes,
        "wasm_digest": version.artifact_digest,
        "layer_digest": version.layer_digest,
        "toolchain": version.toolchain,
        "toolchain_version": version.toolchain_version,
        "flags": version.flags,
        "wasm_bytes": version.wasm_bytes,
        "native_bytes": version.native_bytes,
        "compile_error": version.compile_error,
        "compile_attempts": version.compile_attempts,
        "compile_ms": version.compile_ms,
        "created_at": version.created_at,
        "compiled_at": version.compiled_at,
        "verification": None if version.verification is None else Verification(version.verification),
        "verification_reason": version.verification_reason,
        "verified_at": version.verified_at,
        "rebuilt": version.rebuilt,
    }


def source_of(version: Version) -> str | None:
    """Its text, where it has one."""
    return None if version.language == "wasm" else version.source.decode(errors="replace")
