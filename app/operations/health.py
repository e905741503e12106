"""`/health`, `/livez`, `/readyz`: for load balancers and supervisors, outside the API's document."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint

from app.accounts.guard import is_administrator
from app.http.blueprints import platform
from app.operations import service
from app.rules import rule

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@rule(is_open=True)
def health() -> dict[str, str]:
    """The service is up."""
    return {"status": "UP"}


@blueprint.get("/livez")
@rule(is_open=True)
def livez() -> dict[str, str]:
    """This process lives."""
    return {"status": "UP"}


@blueprint.get("/readyz")
@rule(is_open=True)
def readyz() -> tuple[dict[str, Any], int]:
    """Whether requests will be served: the database, its schema, and a worker for each queue are there.

    A jail that is not sound is said and takes nothing away: what is compiled can be executed. Which hole it has is for
    administrators to know.
    """
    found = service.condition(platform())
    jail = {"status": found.jail.status}
    if is_administrator():
        jail = asdict(found.jail)
    body = {"status": "DOWN" if found.missing else "UP", "reasons": found.missing, "jail": jail}
    return body, 503 if found.missing else 200
