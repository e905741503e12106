"""Sets the clock of this process wrong by CHAOS_SKEW_SECONDS, when it is imported: `time.time` and `datetime.now`."""

import datetime as dt
import os
import time
from typing import Any

SECONDS = float(os.environ.get("CHAOS_SKEW_SECONDS", "0"))

_time, _time_ns = time.time, time.time_ns


class Skewed(dt.datetime):
    """A datetime whose present is another."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        """The wrong time."""
        return super().now(tz) + dt.timedelta(seconds=SECONDS)


if SECONDS:
    time.time = lambda: _time() + SECONDS
    time.time_ns = lambda: _time_ns() + int(SECONDS * 1e9)
    dt.datetime = Skewed  # type: ignore[misc]
