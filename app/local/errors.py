"""What can go wrong on this machine, in words for the person who typed the command."""

import errno
import inspect
import re
from collections.abc import Callable


class LocalError(Exception):
    """Kiln could not be started on this machine."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("\n".join(filter(None, [inspect.cleandoc(self.__doc__ or ""), detail])))


class ServerBinariesMissing(LocalError):
    """The PostgreSQL programs are not installed, or do not run on this platform. Run `make up`, or set DATABASE_URL."""


class ServerIdentityRefused(LocalError):
    """PostgreSQL refuses to run as root, and no way to run it as somebody else works here.
    Run Kiln as an ordinary user, move KILN_HOME where that user can reach it, or set DATABASE_URL."""


class HomeInUse(LocalError):
    """Kiln runs on this KILN_HOME already. Stop it first, or choose others: `KILN_HOME=.kiln2 PORT=8001 make up`."""


class ServerStillRunning(LocalError):
    """An earlier PostgreSQL server still runs on this KILN_HOME and does not stop."""


class DiskFull(LocalError):
    """The disk of KILN_HOME is full. Make room, or choose another place: `KILN_HOME=/path make up`."""


class AccessDenied(LocalError):
    """The operating system denies access to a file that Kiln needs."""


class RefusedBySystem(LocalError):
    """The operating system refuses what Kiln needs."""


class OldServerData(LocalError):
    """The data in KILN_HOME was made by another major version of PostgreSQL than the one that Kiln carries.
    Start it once with the old version, `pg_dump` it and load that here; or move the directory away to begin afresh."""


class NotServerData(LocalError):
    """The directory for PostgreSQL's data holds something else. Move it away."""


class SharedMemoryShortage(LocalError):
    """There is not enough memory, or not enough shared memory, for PostgreSQL."""


class ServerFailed(LocalError):
    """PostgreSQL ended while it was starting. The end of its log:"""


class PortTaken(LocalError):
    """The port of the API cannot be used."""


class DatabaseUnreachable(LocalError):
    """The database that DATABASE_URL names does not answer."""


class DatabaseTooOld(LocalError):
    """The database that DATABASE_URL names is older than PostgreSQL 15."""


class ProcfileInvalid(LocalError):
    """The Procfile has a line that cannot be understood."""


class StepFailed(LocalError):
    """A step of the start failed."""


_CAUSES: tuple[tuple[re.Pattern[str], Callable[[str], LocalError]], ...] = (
    # Shared memory comes first: PostgreSQL says "No space left on device" of /dev/shm, too.
    (re.compile(r"shared memory|semaphore|Cannot allocate memory|out of memory"), SharedMemoryShortage),
    (re.compile(r"No space left on device|Disk quota exceeded"), DiskFull),
    (re.compile(r"files are incompatible with server|initialized by PostgreSQL version"), OldServerData),
    (re.compile(r"Permission denied|Operation not permitted|Read-only file system|wrong ownership"), AccessDenied),
)


def explain(log: str) -> LocalError:
    """The error that the end of a server's or of initdb's output tells of."""
    fatal = [line for line in log.splitlines() if re.search(r"FATAL|PANIC|error:|could not", line)]
    for pattern, error in _CAUSES:
        if telling := [line for line in fatal if pattern.search(line)]:
            return error(telling[-1].strip())
    return ServerFailed("\n".join(log.splitlines()[-12:]))


def from_os_error(error: OSError) -> LocalError:
    """The error for what the operating system refused to Kiln itself."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return DiskFull(str(error))
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return AccessDenied(str(error))
        case _:
            return RefusedBySystem(str(error))
