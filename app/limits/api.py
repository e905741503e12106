"""`/limits`: what applies to the caller, and how much of it is used."""

from typing import Any

from flask.views import MethodView

from app.accounts.guard import caller
from app.http.blueprints import ResourceBlueprint, platform
from app.limits import service
from app.limits.domain import Overloaded, QuotaExceeded, RateLimited, RatesChanged
from app.limits.schemas import LimitList, LimitQuery
from app.rules import Scope, rule

blueprint = ResourceBlueprint("limits", __name__, description="How often, how many at a time, and how much.")

#: What reaching one is on the wire.
PROBLEMS = {
    RateLimited: "rate_limited",
    RatesChanged: "rate_limited",
    QuotaExceeded: "quota_exceeded",
    Overloaded: "overloaded",
}


@blueprint.route("/limits")
class Limits(MethodView):
    """What applies to the caller."""

    @rule(Scope.EXECUTIONS_READ)
    @blueprint.arguments(LimitQuery, location="query")
    @blueprint.response(200, LimitList)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Read what limits the caller's executions, and with `?functionId=` those of a function, and what is used."""
        return {"items": service.read(platform(), caller(), query.get("function_id"))}
