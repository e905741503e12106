"""`warm`: execute workers bring native code to their disk before the first request wants it. A hint, and never more:
what is not there is fetched when it is needed.
"""

from collections.abc import Sequence
from threading import Thread
from typing import Any

import structlog
from celery import Celery
from celery.signals import worker_ready
from celery.worker.control import control_command

from app.executions import warming
from app.platform import Platform
from app.queue import Queue, consumes

log = structlog.get_logger()

COMMAND = "warm"


def announce(celery: Celery, artifact: str) -> None:
    """Tell all execute workers that an artifact will be wanted."""
    try:
        celery.control.broadcast(COMMAND, arguments={"artifact": artifact})
    except Exception:
        log.exception("warm.not_announced", artifact=artifact)


def register_warm(platform: Platform) -> None:
    """Answer the command, and warm what is executed most when a worker starts."""

    @control_command(name=COMMAND, args=[("artifact", str)], signature="<artifact>")
    def warm(state: Any, artifact: str) -> dict[str, str]:
        """Bring an artifact's native code to this machine's disk."""
        if not consumes(state.consumer, Queue.EXECUTE):
            return {"ok": "nothing is executed here"}
        _in_background(platform, [artifact])
        return {"ok": f"{artifact} will be at hand"}

    def begin(sender: Any, **_more: object) -> None:
        if consumes(sender, Queue.EXECUTE):
            _in_background(platform, None)

    worker_ready.connect(begin, weak=False)


def _in_background(platform: Platform, digests: Sequence[str] | None) -> None:
    """Beside the worker's own work, whose loop must not wait; without digests, what is executed most."""
    Thread(target=warming.warm, args=(platform, digests), name="warm", daemon=True).start()
