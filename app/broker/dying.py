"""What else happens when messages die: the transport's ``on_dead``, statements of the application.

They run within the statement that sets messages aside, so their errors are its errors. Where one is refused, each of
these messages dies by itself, and one with which it is refused again dies without it: nothing keeps a message from
dying, nor the others from going on.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from app.broker import statements
from app.broker.delivery import Delivery, held
from app.broker.link import Link

log = logging.getLogger(__name__)

#: What is refused once is refused again. Not among it is what may pass, such as a lock that somebody holds for long:
#: then nothing dies, and who tried tries again.
REFUSALS: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)


def move(
    link: Link, statement: str, on_dead: Sequence[str], deliveries: Sequence[Delivery], parameters: dict[str, Any]
) -> None:
    """Run RELEASE or BURY."""
    try:
        link.execute(statements.with_hooks(statement, on_dead), held(deliveries) | parameters)
    except REFUSALS:
        if not on_dead:
            raise
        for delivery in deliveries:
            _move_one(link, statement, on_dead, held([delivery]) | parameters, delivery.message_id)


def beat(
    link: Link, on_dead: Sequence[str], on_expired: Sequence[str], parameters: dict[str, Any], *, tidy: str
) -> list[tuple[str, bool]]:
    """Run BEAT; answers its rows."""
    statement = statements.with_hooks(statements.BEAT, on_dead, tidy=tidy, on_expired=on_expired)
    while True:
        try:
            return link.execute(statement, parameters).fetchall()
        except REFUSALS:
            if not (on_dead and bury_lost(link, on_dead, loss_limit=parameters["loss_limit"])):
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
    except REFUSALS:
        log.exception("message.hook_failed", extra={"message_id": message_id})
        link.execute(statements.with_hooks(statement, ()), parameters)
