"""What is looked at before anything is started, so that the usual obstacles are named before they hurt."""

import errno
import http.client
import json
import shutil
import socket
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from app.local.errors import DatabaseTooOld, DatabaseUnreachable, DiskFull, PortTaken, from_os_error

_LEAST_FREE_BYTES = 200_000_000
_OLDEST_SERVER = 150_000


def check_home(home: Path) -> None:
    """Make the home (0700) unless it exists, and see that it can be written and has room."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise from_os_error(error) from error
    free = shutil.disk_usage(home).free
    if free < _LEAST_FREE_BYTES:
        raise DiskFull(f"{home} has {free // 1_000_000} MB left, less than {_LEAST_FREE_BYTES // 1_000_000} MB.")


def check_port(host: str, port: int) -> None:
    """See that nothing listens on the port, and that we may; raises `PortTaken`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        other = f"Choose another one: `PORT={8001 if port == 8000 else 8000} make up`"
        match error.errno:
            case errno.EADDRINUSE:
                raise PortTaken(f"Another program listens on {host}:{port}. {other}") from error
            case errno.EACCES:
                raise PortTaken(f"This user may not listen on port {port}. {other}") from error
            case _:
                raise PortTaken(f"{host}:{port}: {error.strerror}. Is KILN_BIND an address of this machine?") from error


def check_database(url: str) -> str:
    """Connect to an own PostgreSQL; returns its version. Errors tell where it is, but never its password."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = str(connection.info.parameter_status("server_version"))
            if connection.info.server_version < _OLDEST_SERVER:
                raise DatabaseTooOld(f"It is PostgreSQL {version}.")
            return version
    except psycopg.Error as error:
        place = _place(url)
        # Of a URL that cannot be read, libpq's message quotes a part, and that may hold the password.
        reason = (
            str(error).strip() if place else "DATABASE_URL cannot be read as postgresql://user:password@host/database"
        )
        raise DatabaseUnreachable(f"{place}{reason}") from (error if place else None)


def missing_for_readiness(host: str, port: int) -> str | None:
    """What `/readyz` misses, in words; None when the platform is ready."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return f"nothing answers on {host}:{port} yet"
    finally:
        connection.close()
    return None if answer.status == 200 else _reasons(body) or f"/readyz answers {answer.status}"


def listens(path: Path) -> bool:
    """Whether a program listens on a Unix socket; the file alone may be a dead one's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dialling:
        try:
            dialling.connect(str(path))
        except OSError:
            return False
    return True


def dialled(bind: str) -> str:
    """The address at which a server that listens on `bind` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - compared, not bound


def _place(url: str) -> str:
    try:
        known = conninfo_to_dict(url)
    except psycopg.Error:
        return ""
    return f"{known.get('host', 'localhost')}, database {known.get('dbname', '')}: "


def _reasons(body: bytes) -> str:
    try:
        reasons = json.loads(body)["reasons"]
    except (ValueError, KeyError, TypeError):
        return ""
    return "; ".join(map(str, reasons))
