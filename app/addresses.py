"""Where the embedded server of a home listens: computed from the path alone, so that every tool finds it by itself."""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote

PORT = 5432  # Names the socket file only: the embedded server opens no TCP port.
_SOCKET = f".s.PGSQL.{PORT}"
_LONGEST_SOCKET_PATH_BYTES = 107  # sun_path in unix(7), less the closing NUL.
# libpq and PostgreSQL split lists of directories at commas and trim blanks, so that only plain paths serve.
_PLAIN = re.compile(r"/[A-Za-z0-9/._+-]+")


def socket_directory(home: Path) -> Path:
    """The directory of the server's socket: `run` in the home, or a short private one where that cannot serve."""
    real = Path(os.path.realpath(home))
    inside = real / "run"
    if _PLAIN.fullmatch(str(inside)) and len(os.fsencode(inside / _SOCKET)) <= _LONGEST_SOCKET_PATH_BYTES:
        return inside
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
    return Path("/tmp") / f"kiln-{os.getuid()}-{digest}"  # noqa: S108 - made 0700, its owner checked before use


def socket_path(home: Path) -> Path:
    """The socket itself."""
    return socket_directory(home) / _SOCKET


def embedded_url(home: Path, database: str = "kiln") -> str:
    """The libpq URL of a database on the embedded server, whether or not that server runs.

    The port is named although it is the usual one, because a `PGPORT` in the environment would change it.
    """
    return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(socket_directory(home)))}&port={PORT}"
