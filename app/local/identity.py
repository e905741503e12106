"""Who runs the server's programs, since PostgreSQL refuses to run as root and needs a user with a name.

Nobody is created, no directory's mode is opened. An ordinary user stays as it is. Root, and a user without an entry in
passwd, is seen as an existing user from inside a user namespace, and its files stay its own. Where namespaces are
refused (containers' usual seccomp profile), root becomes `postgres` or `nobody`, which then own the data directory.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.local.children import spawn
from app.local.errors import AccessDenied, LocalError, ServerBinariesMissing, ServerIdentityRefused

_REFUSED = 125  # The exit code of `enter.py`.
# Whether it works is tried with a shell, because `os.access` would answer for us instead of for that identity.
_TRIAL = 'cd -- "$1" && { test -w . || { echo "$1: not writable" >&2; exit 1; }; } && exec "$2" --version'


@dataclass(frozen=True)
class Identity:
    """`uid` and `gid` are what the server's programs see of themselves; `kind` is how that comes about (`enter.py`)."""

    kind: Literal["same", "namespace", "user"]
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.uid}:{self.gid}"

    @property
    def owner_uid(self) -> int:
        """Who owns the server's files, seen from outside."""
        return self.uid if self.kind == "user" else os.geteuid()

    @property
    def owner_gid(self) -> int:
        """The group of the server's files, seen from outside."""
        return self.gid if self.kind == "user" else os.getegid()


def server_environment() -> dict[str, str]:
    """What the server's programs see of the environment: no locale that is not installed, no PG* variable."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def choose_identity(binaries: Path, home: Path, only: Identity | None = None) -> Identity:
    """The first identity that can run the server and write in its home; raises what stands in the way."""
    failure: LocalError = ServerIdentityRefused()
    for candidate in [only] if only else _candidates():
        trial = spawn(
            ["/bin/sh", "-c", _TRIAL, "sh", home, binaries / "postgres"],
            death_signal=signal.SIGKILL,
            output=subprocess.PIPE,
            environment=server_environment(),
            identity=str(candidate),
        )
        said = trial.communicate()[0].decode(errors="replace").strip()
        if trial.returncode == 0:
            return candidate
        failure = _failure(candidate, trial.returncode, said)
    raise failure


def _candidates() -> Iterator[Identity]:
    named = [pwd.getpwnam(name) for name in ("postgres", "nobody") if _exists(name)]
    if os.geteuid() != 0 and any(entry.pw_uid == os.geteuid() for entry in _entry(os.geteuid())):
        yield Identity("same", os.geteuid(), os.getegid())
        return
    # Any name serves inside a namespace; the rare image without these two has at least `daemon` or `bin`.
    for entry in named[-1:] or [entry for entry in pwd.getpwall() if entry.pw_uid != 0][:1]:
        yield Identity("namespace", entry.pw_uid, entry.pw_gid)
    if os.geteuid() == 0:
        for entry in named[:1]:
            yield Identity("user", entry.pw_uid, entry.pw_gid)


def _exists(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _entry(uid: int) -> list[pwd.struct_passwd]:
    try:
        return [pwd.getpwuid(uid)]
    except KeyError:
        return []


def _failure(candidate: Identity, code: int, said: str) -> LocalError:
    if candidate.kind != "same" or code == _REFUSED:
        return ServerIdentityRefused(said)
    return AccessDenied(said) if "ermission denied" in said or "not writable" in said else ServerBinariesMissing(said)
