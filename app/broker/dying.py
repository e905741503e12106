"""What else happens when messages die: the transport's ``on_dead``, statements of the application.

They run within the statement that sets messages aside, so their errors are its errors. Where one fails, each of these
messages dies by itself, and one with which it fails again dies without it: nothing keeps a message from dying, nor the
others from going on.
"""

import logging
from collections.abc import Sequence
from typing import Any

import psycopg

from app.broker import statements
from app.broker.delivery import Delivery, held
from app.broker.link import Link

log = logging.getLogger(__name__)


def move(
    link: Link, statement: str, on_dead: Sequence[str], deliveries: Sequence[Delivery], parameters: dict[str, Any]
) -> None:
    """Run RELEASE or BURY."""
    try:
        link.execute(statements.with_hooks(statement, on_dead), held(deliveries) | parameters)
    except psycopg.Error:
        if not (on_dead and link.usable):
            raise
        for delivery in deliveries:
            _move_one(link, statement, on_dead, held([delivery]) | parameters, delivery.message_id)


def beat(link: Link, on_dead: Sequence[str], parameters: dict[str, Any], *, tidy: str) -> list[tuple[str, bool]]:
    """Run BEAT; answers its rows."""
    statement = statements.with_hooks(statements.BEAT, on_dead, tidy=tidy)
    while True:
        try:
            return link.execute(statement, parameters).fetchall()
        except psycopg.Error:
            if not (on_dead and link.usable and bury_lost(link, on_dead, loss_limit=parameters["loss_limit"])):
                raise


def bury_lost(link: Link, on_dead: Sequence[str], *, loss_limit: int) -> int:
    """Set what lost its last holder aside, one by one; answers how many."""
    dying = link.execute(statements.DYING, {"loss_limit": loss_limit}).fetchall()
    for (message_id,) in dying:
        parameters = {"message_id": message_id, "loss_limit": loss_limit}
        _move_one(link, statements.BURY_LOST, on_dead, parameters, message_id)
    return len(dying)


def _move_one(link: Link, statement: str, on_dead: Sequence[str], parameters: dict[str, Any], message_id: int) -> None:
    try:
        link.execute(statements.with_hooks(statement, on_dead), parameters)
    except psycopg.Error:
        if not link.usable:
            raise
        log.exception("message.hook_failed", extra={"message_id": message_id})
        link.execute(statements.with_hooks(statement, ()), parameters)
