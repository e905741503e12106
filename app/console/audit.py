"""Who did what, for administrators."""

from collections.abc import Iterator
from typing import Any, Final

from flask import Response, request
from marshmallow import ValidationError

from app.audit import service
from app.audit.domain import Event, EventFilter, Outcome
from app.audit.schemas import AuditQuery
from app.console.forms import read, refusal
from app.console.pages import Refused, Room, blueprint, listed, show
from app.http.blueprints import platform
from app.rules import Role, Scope, rule

ROOM = Room("audit", "console.audit", ("events",))

_FILTERS: Final = ("actor", "action", "resource", "outcome")


@blueprint.get("/audit")
@rule(Scope.AUDIT_READ, role=Role.ADMIN, is_page=True)
def audit() -> Response:
    """What was done and what was refused, newest first."""
    sent = {name: request.args[name].strip() for name in _FILTERS if request.args.get(name, "").strip()}
    refused: Refused | None = None
    events: dict[str, Any] = {"items": [], "next_cursor": None}
    try:
        query = read(AuditQuery, **sent)
        wanted = EventFilter(**{name: query[name] for name in _FILTERS})
        events = listed(lambda before, limit: service.page(platform(), wanted, before=before, limit=limit))
    except ValidationError as error:
        refused = refusal("filter", error, sent)
    return show(ROOM, title="Audit", refused=refused, events=events, sent=sent, outcomes=list(Outcome))


@blueprint.app_template_filter("differences")
def differences(event: Event) -> Iterator[tuple[str, str | None, str | None]]:
    """The members that an event names, each as it was and as it is; None where it was, or is, not there."""
    before, after = event.before or {}, event.after or {}
    for name in dict.fromkeys([*before, *after]):
        yield name, _shown(before.get(name)), _shown(after.get(name))


def _shown(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) or "none"
        case _:
            return str(value)
