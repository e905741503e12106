"""Reads every event as Flower does, and keeps their count in a file: `python -m bench.broker.receiver URL FILE`."""

import sys
from pathlib import Path
from typing import Any

from celery.events import EventReceiver

from bench.broker.noop import application


def receive(url: str, path: Path) -> None:
    """Until killed."""
    celery, seen = application(url), 0

    def count(_event: dict[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if seen % 100 == 0:
            path.write_text(str(seen))

    with celery.connection() as connection:
        receiver = EventReceiver(connection, handlers={"*": count}, app=celery)
        with receiver.consumer_context(wakeup=False) as (heard, _channel, _consumers):
            path.write_text("0")
            while True:
                try:
                    heard.drain_events(timeout=1)
                except TimeoutError:
                    continue


if __name__ == "__main__":
    receive(sys.argv[1], Path(sys.argv[2]))
