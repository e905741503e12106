"""Introduces workers to Flower, which asks who is there when it starts, and refuses to steer whom it has not met."""

import json
import time
from http.client import HTTPException
from typing import Final, NoReturn

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.addresses import flower_socket
from app.operations import queries
from app.operations.flower.upstream import FlowerConnection, FlowerError
from app.platform import Platform

log = structlog.get_logger()

LOOK_SECONDS: Final = 1.0


def introduce_workers(platform: Platform) -> NoReturn:
    """Let Flower, in whose process this runs, ask anew whenever a worker consumes that it does not know."""
    met: set[str] = set()
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            with platform.database.statement() as connection:
                present = queries.present_workers(connection)
            if present - met:
                met = _refresh(platform)
        except (SQLAlchemyError, FlowerError, HTTPException, OSError, ValueError) as error:
            log.warning("flower.not_introduced", error=str(error))


def _refresh(platform: Platform) -> set[str]:
    """Whom Flower has met after asking everybody."""
    connection = FlowerConnection(flower_socket(platform.settings.home))
    try:
        return set(json.loads(connection.ask("GET", "/flower/api/workers?refresh=1", {}, b"").read()))
    finally:
        connection.close()
