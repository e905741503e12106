"""Where the embedded server and Flower of a home listen: computed from the path alone, so that every tool finds them by
itself.
"""

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from urllib.parse import quote

PORT = 5432  # Names the socket file only: the embedded server opens no TCP port.
ROLE = "kiln"  # Owns the database of the embedded server, and nothing else there.
SUPERUSER = "postgres"  # Made by initdb, and let in only while the launcher starts the server.
_SOCKET = f".s.PGSQL.{PORT}"
_FLOWER_SOCKET = "flower.sock"  # No longer than the other, so that it fits wherever that does.
_LONGEST_SOCKET_PATH_BYTES = 107  # sun_path in unix(7), less the closing NUL.
# libpq and PostgreSQL split lists of directories at commas and trim blanks, so that only plain paths serve.
_PLAIN = re.compile(r"/[A-Za-z0-9/._+-]+")


def socket_directory(home: Path) -> Path:
    """The directory of the sockets: `run` in the home, or a short private one where that cannot serve."""
    real = Path(os.path.realpath(home))
    inside = real / "run"
    if _PLAIN.fullmatch(str(inside)) and len(os.fsencode(inside / _SOCKET)) <= _LONGEST_SOCKET_PATH_BYTES:
        return inside
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
    return Path("/tmp") / f"kiln-{os.getuid()}-{digest}"  # noqa: S108 - made 0700, its owner checked before use


def socket_path(home: Path) -> Path:
    """The embedded server's socket."""
    return socket_directory(home) / _SOCKET


def flower_socket(home: Path) -> Path:
    """Flower's socket."""
    return socket_directory(home) / _FLOWER_SOCKET


def private_directory(path: Path) -> Path:
    """Make `path` for us alone, or see that it is; raises PermissionError where somebody else may have put it there."""
    for directory in (path.parent, path):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, "not a directory of ours; remove it", str(path))
    if found.st_mode & 0o077:
        path.chmod(0o700)
    return path


def fingerprint(database_url: str) -> str:
    """Which database something kept in a home belongs to, without saying how to get in.

    The embedded server's role does not count: homes keep what was written when that was the superuser.
    """
    return hashlib.sha256(database_url.replace(f"//{ROLE}@/", f"//{SUPERUSER}@/", 1).encode()).hexdigest()


def embedded_url(home: Path, database: str = "kiln", *, role: str = ROLE) -> str:
    """The libpq URL of a database on the embedded server, whether or not that server runs.

    The port is named although it is the usual one, because a `PGPORT` in the environment would change it.
    """
    place = f"host={quote(str(socket_directory(home)))}&port={PORT}"
    return f"postgresql://{role}@/{quote(database, safe='')}?{place}"
