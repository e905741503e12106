"""`/audit-events`: who did what."""

from typing import Any

from flask.views import MethodView

from app.audit import service
from app.audit.domain import EventFilter
from app.audit.schemas import AuditEventPage, AuditQuery, as_event
from app.http.blueprints import ResourceBlueprint, platform
from app.http.cursors import paged
from app.rules import Role, Scope, rule

blueprint = ResourceBlueprint("audit", __name__, description="Who did what.")

#: What the errors of this package are on the wire: it has none.
PROBLEMS: dict[type[Exception], str] = {}


@blueprint.route("/audit-events")
class AuditEvents(MethodView):
    """All that was done."""

    @rule(Scope.AUDIT_READ, role=Role.ADMIN)
    @blueprint.arguments(AuditQuery, location="query")
    @blueprint.response(200, AuditEventPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List what was done and what was refused, newest first."""
        names = ("actor", "action", "resource", "outcome", "since", "until")
        wanted = EventFilter(**{name: query[name] for name in names})
        page = paged(
            lambda before, limit: service.page(platform(), wanted, before=before, limit=limit),
            query,
            lambda event: event.id,
        )
        return page | {"items": [as_event(event) for event in page["items"]]}
