"""Native code is at hand before the first execution that wants it: on the worker's disk, and in its children's memory.

The worker's main process is told of new artifacts by the command `warm`, and brings their native code to disk. Its
children cannot be told anything; each has a thread that waits for files to come into the cache's directory, verifies
and loads them. So nobody's seal is trusted on another's word, and no execution waits for it.
"""

from collections.abc import Sequence
from threading import Thread
from typing import Final

import structlog

from app.executions import queries
from app.functions.modules import Modules
from app.functions.native_cache import NativeCache
from app.platform import Platform
from app.wasm.run import warm_up

log = structlog.get_logger()

#: How many artifacts a worker that starts brings to its disk and its children's memory; fewer than children keep there.
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


def begin_child(platform: Platform, modules: Modules) -> None:
    """In a child that will execute, before it does: do what its first execution would have to, and begin to load."""
    warm_up()
    # Made now, because two threads that ask for it first would make it twice.
    platform.database.engine  # noqa: B018
    Thread(target=keep_warm, args=(platform, modules), name="warm", daemon=True).start()


def keep_warm(platform: Platform, modules: Modules) -> None:
    """Have in memory what is executed most, if it is on disk, and then whatever comes there, for as long as the process
    lives. A hint like the rest: what fails here is left to whoever needs it.
    """
    try:
        arrivals = modules.arrivals()
    except OSError as error:
        log.warning("warm.unwatched", error=str(error))
        arrivals = iter(())
    for digest in _most_used(platform):
        _preload(modules, digest)
    for digest in arrivals:
        _preload(modules, digest)


def _preload(modules: Modules, digest: str) -> None:
    try:
        modules.preload(digest)
    except Exception:
        log.exception("warm.failed", artifact=digest)


def _most_used(platform: Platform) -> Sequence[str]:
    try:
        with platform.database.statement() as connection:
            return queries.most_used(connection, most=MOST_USED)
    except Exception:
        log.exception("warm.failed")
        return []
