"""One attempt: the log context of a message, and what becomes of it when the platform itself fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog

from app.broker import Delivery, release
from app.logs import log_context
from app.platform import Platform
from app.queue import backoff_seconds

log = structlog.get_logger()


@contextmanager
def attempt(platform: Platform, delivery: Delivery, give_up: Callable[[], bool], **ids: object) -> Iterator[None]:
    """The block works on a delivery, with its ids in every log line.

    An exception out of the block is a failure of the platform: the message is given back for later unless `give_up`
    ended the work, or has given it back.
    """
    with log_context(**ids):
        try:
            yield
        except Exception:
            log.exception("attempt.failed", delivery=delivery.tag)
            if not give_up():
                _give_back(platform, delivery)


def _give_back(platform: Platform, delivery: Delivery) -> None:
    """If not even this succeeds, the lease runs out and the message returns by itself."""
    with psycopg.connect(platform.database.url, autocommit=True) as connection:
        release(connection, delivery, delay_seconds=backoff_seconds(delivery.deliveries))
