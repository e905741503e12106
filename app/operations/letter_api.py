"""`/operations/dead-letters`: what was set aside, and what becomes of it."""

from typing import Any
from uuid import UUID

from flask import request
from flask.views import MethodView

from app.accounts.guard import caller
from app.http.blueprints import ResourceBlueprint, platform
from app.http.correlation import correlation_id
from app.http.cursors import number_of, paged
from app.http.problems import Problem
from app.http.wire import Count
from app.operations import letters
from app.operations.domain import LetterFilter, UnknownLetter
from app.operations.schemas import LetterPage, LetterPageQuery, LetterQuery, LetterRead, RedriveRequest
from app.rules import Role, Scope, rule

blueprint = ResourceBlueprint("letters", __name__, description="Messages that were set aside.")

#: What the errors of dead letters are on the wire.
PROBLEMS = {UnknownLetter: "not_found"}


#: The header of an answer to whoever wanted more than a limit allows, for the document.
STOPPED = {
    "Retry-After": {
        "description": "A limit of the caller's executions was reached; ask for the others after so many seconds.",
        "schema": {"type": "integer"},
    }
}


@blueprint.route("/operations/dead-letters")
class Letters(MethodView):
    """All dead letters."""

    @rule(Scope.OPERATIONS_READ, role=Role.ADMIN)
    @blueprint.arguments(LetterPageQuery, location="query")
    @blueprint.response(200, LetterPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List dead letters, newest first, without what is in them."""

        def fetch(before: UUID | None, limit: int) -> list[dict[str, Any]]:
            return letters.page(platform(), _filter(query), before=number_of(before), limit=limit)

        return paged(fetch, query, lambda row: UUID(int=row["id"]))

    @rule(Scope.OPERATIONS_WRITE, role=Role.ADMIN, action="dead_letter.delete")
    @blueprint.arguments(LetterQuery, location="query")
    @blueprint.response(200, Count)
    def delete(self, query: dict[str, Any]) -> dict[str, Any]:
        """Remove dead letters for good: all, or those that match."""
        if request.get_data(cache=True):
            raise Problem("unsupported", "what is to be removed is said in the query, and not in a body")
        return {"count": letters.delete(platform(), caller(), _filter(query))}


@blueprint.route("/operations/dead-letters/redrive")
class RedriveMany(MethodView):
    """The act of giving many another chance."""

    @rule(Scope.OPERATIONS_WRITE, role=Role.ADMIN, action="dead_letter.redrive")
    @blueprint.arguments(RedriveRequest)
    @blueprint.response(202, Count, headers=STOPPED)
    def post(self, body: dict[str, Any]) -> Any:
        """Redrive the newest 1,000, or of those that match: executions are replayed, versions built again. What cannot
        begin anew stays, and is passed over.
        """
        wanted = _filter(body["filter"])
        redriven = letters.redrive(platform(), caller(), wanted, correlation_id=correlation_id())
        seconds = redriven.retry_after_seconds
        return redriven, 202, {} if seconds is None else {"Retry-After": str(seconds)}


@blueprint.route("/operations/dead-letters/<long:letter_id>")
class Letter(MethodView):
    """One dead letter."""

    @rule(Scope.OPERATIONS_READ, role=Role.ADMIN)
    @blueprint.response(200, LetterRead)
    def get(self, letter_id: int) -> Any:
        """Read a dead letter with every byte."""
        return letters.read(platform(), letter_id)

    @rule(Scope.OPERATIONS_WRITE, role=Role.ADMIN, action="dead_letter.delete")
    @blueprint.response(204)
    def delete(self, letter_id: int) -> None:
        """Remove a dead letter for good."""
        letters.delete_one(platform(), caller(), letter_id)


@blueprint.route("/operations/dead-letters/<long:letter_id>/redrive")
class Redrive(MethodView):
    """The act of giving one another chance."""

    @rule(Scope.OPERATIONS_WRITE, role=Role.ADMIN, action="dead_letter.redrive")
    @blueprint.response(202, Count)
    def post(self, letter_id: int) -> Any:
        """Redrive a dead letter; the count is 0 where it cannot begin anew."""
        redriven = letters.redrive_one(platform(), caller(), letter_id, correlation_id=correlation_id())
        return {"count": int(redriven)}, 202


def _filter(members: dict[str, Any]) -> LetterFilter:
    return LetterFilter(**{name: members.get(name) for name in ("queue", "reason", "function_id")})
