"""`/functions`: register, list, read, change."""

from typing import Any
from uuid import UUID

from flask import url_for
from flask.views import MethodView

from app.accounts.guard import caller
from app.accounts.sharing import Sharing
from app.functions import service
from app.functions.domain import (
    FunctionLimits,
    MemoryTooSmall,
    NameTaken,
    RevisionMismatch,
    SourceTooLarge,
    UnknownFunction,
)
from app.functions.schemas import (
    FunctionCreate,
    FunctionPage,
    FunctionRead,
    FunctionWrite,
    LanguagePage,
    as_item,
    as_read,
    tag,
)
from app.functions.service import Code
from app.http.blueprints import LOCATED, TAGGED, ResourceBlueprint, platform
from app.http.conditions import if_match
from app.http.correlation import correlation_id
from app.http.cursors import PageQuery, paged
from app.http.problems import Problem
from app.rules import Scope, rule

blueprint = ResourceBlueprint("functions", __name__, description="What is deployed.")


#: What the errors of this package are on the wire.
PROBLEMS = {
    UnknownFunction: "not_found",
    NameTaken: "name_taken",
    RevisionMismatch: "precondition_failed",
    SourceTooLarge: "too_large",
    MemoryTooSmall: "validation_error",
}


@blueprint.route("/functions")
class Functions(MethodView):
    """All functions."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, FunctionPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List functions, newest first."""
        page = paged(
            lambda before, limit: service.page(platform(), caller(), before=before, limit=limit),
            query,
            lambda row: row[0].id,
        )
        return page | {"items": [as_item(*row) for row in page["items"]]}

    @rule(Scope.FUNCTIONS_WRITE, action="function.create")
    @blueprint.arguments(FunctionCreate)
    @blueprint.response(201, FunctionRead, headers=TAGGED | LOCATED)
    def post(self, body: dict[str, Any]) -> Any:
        """Register a function; its compilation follows."""
        limits = FunctionLimits(**body.get("limits", {}))
        row = service.register(
            platform(),
            caller(),
            name=body["name"],
            description=body.get("description", ""),
            code=_code(body, body["language"]),
            limits=limits,
            sharing=Sharing.asked(body),
            environment_id=body.get("environment_id"),
            retry=body.get("retry"),
            correlation_id=correlation_id(),
        )
        headers = {"Location": url_for("functions.Function", function_id=row[0].id), **tag(row[0])}
        return as_read(*row), 201, headers


@blueprint.route("/functions/<id:function_id>")
class Function(MethodView):
    """One function."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.response(200, FunctionRead, headers=TAGGED)
    def get(self, function_id: UUID) -> Any:
        """Read a function: its status, and why compilation failed if it did."""
        row = service.read(platform(), caller(), function_id)
        return as_read(*row), 200, tag(row[0])

    @rule(Scope.FUNCTIONS_WRITE, action="function.update")
    @blueprint.arguments(FunctionWrite)
    @blueprint.response(200, FunctionRead, headers=TAGGED)
    def put(self, body: dict[str, Any], function_id: UUID) -> Any:
        """Change a function. New code becomes a new version; what is left out stays as it is."""
        row = service.change(
            platform(),
            caller(),
            function_id,
            changes={
                **{name: body[name] for name in ("name", "description", "environment_id", "retry") if name in body},
                **body.get("limits", {}),
            },
            code=_changed_code(body, function_id),
            sharing=Sharing.asked(body),
            if_match=if_match(),
            correlation_id=correlation_id(),
        )
        return as_read(*row), 200, tag(row[0])


@blueprint.route("/languages")
class Languages(MethodView):
    """What functions are written in."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.response(200, LanguagePage)
    def get(self) -> dict[str, Any]:
        """List the languages with their compilers and templates."""
        return {"items": service.languages(platform()), "next_cursor": None}


def _code(body: dict[str, Any], language: str) -> Code:
    """The code in a body that was checked to have it; the member that the language does not use is refused."""
    used, unused = ("wasm", "source") if language == "wasm" else ("source", "wasm")
    if unused in body:
        message = f"Language {language} takes its code in {used}."
        raise Problem("validation_error", message, errors=[{"pointer": f"/{unused}", "message": message}])
    if used not in body:
        message = f"Language {language} needs its code in {used}."
        raise Problem("validation_error", message, errors=[{"pointer": f"/{used}", "message": message}])
    code = body[used]
    return Code(language, code if isinstance(code, bytes) else code.encode())


def _changed_code(body: dict[str, Any], function_id: UUID) -> Code | None:
    if not body.keys() & {"language", "source", "wasm"}:
        return None
    return _code(body, body.get("language") or service.read(platform(), caller(), function_id)[1].language)
