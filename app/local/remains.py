"""What an earlier server left behind when it was killed, or when whoever started it was."""

import os
import signal
import time
from pathlib import Path

from app.addresses import PORT
from app.local.errors import ServerStillRunning
from app.local.locks import FileLock

_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


def clear(data: Path, sockets: Path, alive: FileLock) -> None:
    """Stop what still runs on `data`, take the `alive` lock, and remove the stale lock files. Raises
    `ServerStillRunning`.

    A process id in a file proves nothing, for it may be another process's by now. Every process of a server inherited
    the lock and works in its data directory; when neither finds any, the files that PostgreSQL itself would stumble
    over may go.
    """
    for number, patience_seconds in _STEPS:
        for pid in _processes(data):
            _signal(pid, number)
        if _quiet(data, alive, patience_seconds):
            break
    else:
        raise ServerStillRunning(f"Its process ids: {', '.join(map(str, _processes(data))) or 'unknown'}.")
    (data / "postmaster.pid").unlink(missing_ok=True)
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (sockets / name).unlink(missing_ok=True)


def _quiet(data: Path, alive: FileLock, patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while not (alive.take() and not _processes(data)):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _processes(data: Path) -> list[int]:
    """The live processes named `postgres` whose working directory is `data`."""
    try:
        place = data.stat()
    except FileNotFoundError:
        return []
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text() == "postgres\n" and os.path.samestat(place, (process / "cwd").stat()):
                found.append(int(process.name))
        except OSError:
            continue  # It ended, or it is somebody else's.
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
