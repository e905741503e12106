"""Functions on the wire."""

import base64
import binascii
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from app.accounts.schemas import allowed
from app.functions.domain import MOST, MOST_ATTEMPTS, RETRIED, FunctionLimits, Retry, VersionStatus, function_status
from app.functions.models import Function, Version
from app.functions.service import etag
from app.functions.version_schemas import source_of
from app.http.wire import Name, Plain, Time, WholeNumber, WireSchema, page_of
from app.toolchains import LANGUAGES, State

_DEFAULTS = FunctionLimits()
_RETRY = Retry(1)


class LimitsSchema(WireSchema):
    """What one execution may use, and all of them together. The last two are there where there is such a limit."""

    timeout_ms = WholeNumber(
        validate=validate.Range(10, MOST.timeout_ms), metadata={"description": f"Default {_DEFAULTS.timeout_ms}."}
    )
    memory_mb = WholeNumber(
        validate=validate.Range(1, MOST.memory_mb), metadata={"description": f"Default {_DEFAULTS.memory_mb}."}
    )
    executions_per_minute = WholeNumber(
        allow_none=True,
        validate=validate.Range(1, MOST.executions_per_minute),
        metadata={"description": "How often it may be executed, a sixth of it at once; null: any number of times."},
    )
    concurrency = WholeNumber(
        allow_none=True,
        validate=validate.Range(1, MOST.concurrency),
        metadata={"description": "How many of its executions may be under way; the others wait. Null: any number."},
    )


def _seconds(most: int, default: float) -> fields.Float:
    return fields.Float(
        load_default=default, validate=validate.Range(0, most), metadata={"description": f"Default {default:g}."}
    )


class RetrySchema(WireSchema):
    """Which failures of a function are followed by another attempt."""

    attempts = WholeNumber(
        required=True,
        validate=validate.Range(1, MOST_ATTEMPTS),
        metadata={"description": "At most so many in all, of those that the function itself ended."},
    )
    backoff_seconds = _seconds(3600, _RETRY.backoff_seconds)
    max_backoff_seconds = _seconds(86_400, _RETRY.max_backoff_seconds)
    error_types = fields.List(
        fields.String(validate=validate.OneOf(RETRIED)),
        load_default=list(RETRIED),
        validate=validate.Length(min=1),
        metadata={"description": "Default: all of them."},
    )


class Base64(fields.String):
    """Bytes, in base64."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValidationError("Not valid base64.") from None


#: The rule that ties language, source and wasm together, in JSON Schema.
_MODULE = {
    "properties": {"language": {"const": "wasm"}},
    "required": ["language", "wasm"],
    "not": {"required": ["source"]},
}
_TEXT = {
    "properties": {"language": {"enum": [name for name in LANGUAGES if name != "wasm"]}},
    "required": ["language", "source"],
    "not": {"required": ["wasm"]},
}
_NO_CODE = {"not": {"anyOf": [{"required": [name]} for name in ("language", "source", "wasm")]}}


#: What executions of some languages need before they have begun.
_MEMORY = [
    {
        "if": {"properties": {"language": {"const": name}}, "required": ["language"]},
        "then": {"properties": {"limits": {"properties": {"memoryMb": {"minimum": language.least_memory_mb}}}}},
    }
    for name, language in LANGUAGES.items()
    if language.least_memory_mb > 1
]


def _language(*, required: bool = False) -> Plain:
    return Plain(
        required=required,
        validate=validate.OneOf(tuple(LANGUAGES), error="There is no such language; there are {choices}."),
    )


class FunctionWrite(WireSchema):
    """What may be changed of a function; what is left out stays."""

    name = Name(among="functions")
    description = Plain(validate=validate.Length(max=2000))
    language = _language()
    source = Plain(metadata={"description": "The whole source; for every language but `wasm`."})
    wasm = Base64(metadata={"description": "A prebuilt module in base64; for language `wasm`.", "format": "byte"})
    limits = fields.Nested(LimitsSchema)
    environment_id = fields.UUID(
        allow_none=True, metadata={"description": "The environment that it is given; null takes it away."}
    )
    retry = fields.Nested(RetrySchema, allow_none=True, metadata={"description": "Null: failures are final."})
    allowed_users = allowed("users")
    allowed_groups = allowed("groups")

    class Meta(WireSchema.Meta):
        """Code comes in the member that its language uses, or not at all."""

        openapi: ClassVar = {"oneOf": [_NO_CODE, _TEXT, _MODULE], "allOf": _MEMORY}


class FunctionCreate(FunctionWrite):
    """A function to register."""

    name = Name(among="functions", required=True)
    language = _language(required=True)

    class Meta(WireSchema.Meta):
        """Code comes in the member that its language uses."""

        openapi: ClassVar = {"oneOf": [_TEXT, _MODULE], "allOf": _MEMORY}


class LatestVersion(WireSchema):
    """The newest version, whether it serves or not."""

    number = fields.Integer(required=True)
    status = fields.Enum(VersionStatus, by_value=True, required=True)
    compile_error = fields.String(required=True, allow_none=True)


class FunctionItem(WireSchema):
    """A function in a list."""

    id = fields.UUID(required=True)
    function_id = fields.UUID(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    language = fields.String(required=True)
    status = fields.Enum(VersionStatus, by_value=True, required=True)
    compile_error = fields.String(required=True, allow_none=True)
    active_version = fields.Integer(required=True, allow_none=True)
    latest_version = fields.Nested(LatestVersion, required=True)
    environment_id = fields.UUID(required=True, allow_none=True)
    limits = fields.Nested(LimitsSchema, required=True)
    retry = fields.Nested(RetrySchema, required=True, allow_none=True)
    allowed_users = fields.List(fields.UUID(), required=True)
    allowed_groups = fields.List(fields.UUID(), required=True)
    owner_id = fields.UUID(required=True, allow_none=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


class FunctionRead(FunctionItem):
    """A function."""

    source = fields.String(
        required=True, allow_none=True, metadata={"description": "Of the latest version; null for `wasm`."}
    )


FunctionPage = page_of(FunctionItem, "FunctionPage")


class LanguageLimits(WireSchema):
    """What one compilation may use."""

    max_source_bytes = fields.Integer(required=True)
    compile_timeout_ms = fields.Integer(required=True)


class LanguageRead(WireSchema):
    """A language that functions are written in."""

    language = fields.String(required=True)
    version = fields.String(required=True, metadata={"description": "Of its compiler."})
    installed = fields.Boolean(required=True)
    status = fields.String(
        required=True,
        metadata={
            "enum": list(State),
            "description": "`preparing`: what its compilations share is being built; functions wait for it.",
        },
    )
    reason = fields.String(
        required=True, allow_none=True, metadata={"description": "What is missing, and how to get it."}
    )
    template = fields.String(required=True, metadata={"description": "Source to start from."})
    limits = fields.Nested(LanguageLimits, required=True)


LanguagePage = page_of(LanguageRead, "LanguagePage")


def as_read(function: Function, latest: Version) -> dict[str, Any]:
    """The members of a function on the wire."""
    return as_item(function, latest) | {"source": source_of(latest)}


def as_item(function: Function, latest: Version) -> dict[str, Any]:
    """Those that it has in a list."""
    return {
        "id": function.id,
        "function_id": function.id,
        "name": function.name,
        "description": function.description,
        "language": latest.language,
        "status": function_status(function.active_version, VersionStatus(latest.status)),
        "compile_error": latest.compile_error,
        "active_version": function.active_version,
        "latest_version": {
            "number": latest.number,
            "status": VersionStatus(latest.status),
            "compile_error": latest.compile_error,
        },
        "environment_id": function.environment_id,
        "limits": _limits(function),
        "retry": function.retry,
        "allowed_users": function.allowed_users,
        "allowed_groups": function.allowed_groups,
        "owner_id": function.owner_id,
        "created_at": function.created_at,
        "updated_at": function.updated_at,
    }


def _limits(function: Function) -> dict[str, int]:
    limits = {
        name: getattr(function, name) for name in ("timeout_ms", "memory_mb", "executions_per_minute", "concurrency")
    }
    return {name: value for name, value in limits.items() if value is not None}


def tag(function: Function) -> dict[str, str]:
    """The header that says which state of it was read."""
    return {"ETag": f'"{etag(function)}"'}
