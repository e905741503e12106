"""What `revoke` leaves to us: Celery discards or kills a task and forgets it, so its row must be ended and its message
settled, or both would come back with the end of the lease.
"""

from collections.abc import Callable
from typing import Any

from celery.signals import task_revoked

from app.queue import Task


def when_revoked(task: Task, end: Callable[[Any], object]) -> None:
    """Call `end` with the request when a worker has discarded or terminated a `task` that it had in hand."""

    def revoked(sender: Any, request: Any, **_kwargs: object) -> None:
        if sender.name == task:
            end(request)

    task_revoked.connect(revoked, weak=False)
