"""`/health`, `/livez`, `/readyz`: for load balancers and supervisors, outside the API's document."""

from typing import Any

from flask import Blueprint

from app.http.blueprints import platform
from app.operations import service

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def health() -> dict[str, str]:
    """The service is up."""
    return {"status": "UP"}


@blueprint.get("/livez")
def livez() -> dict[str, str]:
    """This process lives."""
    return {"status": "UP"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, Any], int]:
    """Whether requests will be served: the database, its schema, and a worker for each queue are there."""
    reasons = service.missing(platform())
    return {"status": "DOWN" if reasons else "UP", "reasons": reasons}, 503 if reasons else 200
