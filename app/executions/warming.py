"""Native code is at hand before the first execution that wants it."""

from collections.abc import Sequence
from typing import Final

import structlog

from app.executions import queries
from app.functions.native_cache import NativeCache
from app.platform import Platform

log = structlog.get_logger()

#: How many artifacts a worker that starts brings to its disk.
MOST_USED: Final = 100


def warm(platform: Platform, digests: Sequence[str] | None = None) -> int:
    """Bring native code to this machine's disk: of these artifacts, or of those that were executed most lately. Answers
    how many were not there. What cannot be brought is left to whoever needs it.
    """
    cache, brought = NativeCache(platform), 0
    for digest in _most_used(platform) if digests is None else digests:
        try:
            brought += cache.hold(digest)
        except Exception:
            log.exception("warm.failed", artifact=digest)
    if brought:
        log.info("warm.brought", artifacts=brought)
    return brought


def _most_used(platform: Platform) -> Sequence[str]:
    try:
        with platform.database.statement() as connection:
            return queries.most_used(connection, most=MOST_USED)
    except Exception:
        log.exception("warm.failed")
        return []
