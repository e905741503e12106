"""How a consumer whose connection was lost tries again."""

import random
from typing import Any, Final

from kombu import Connection

#: Celery waits two seconds longer after every failure, up to half a minute, so that a worker would sleep on long after
#: the database is back. Some jitter keeps many workers apart.
INTERVAL_SECONDS: Final = 1.0


class PromptConnection(Connection):  # type: ignore[misc]
    """Tries every second or two, however long the database has been away."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, whatever it takes; parameters are kombu's."""
        seconds = INTERVAL_SECONDS * random.uniform(1, 2)  # noqa: S311 - no secret
        intervals = {"interval_start": seconds, "interval_step": 0, "interval_max": seconds}
        return super().ensure_connection(*args, **intervals | kwargs)
