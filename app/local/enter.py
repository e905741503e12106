"""Becomes another program: takes an identity, ties its life to its parent's, then replaces itself by the command.

Run as `python -I -S enter.py IDENTITY SIGNAL PARENT COMMAND...`, a program of its own because none of this may happen
between fork and exec of a larger process. It imports nothing of Kiln. IDENTITY is one of

- `same:UID:GID`: stay who we are;
- `namespace:UID:GID`: a user namespace (user_namespaces(7)) in which our user is seen as UID. Files stay ours, outside;
- `user:UID:GID`: really become that user, keeping CAP_DAC_OVERRIDE (capabilities(7), ambient) so that no directory's
  mode has to be opened for it.

When the parent's thread ends, the kernel sends SIGNAL (PR_SET_PDEATHSIG). Exit codes: 125 the identity is refused, 126
the command cannot be executed, 127 it is not found.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


def _prctl(option: int, first: int, second: int = 0) -> None:
    _check(_libc.prctl(option, *(ctypes.c_ulong(value) for value in (first, second, 0, 0))), "prctl")


def _enter_namespace(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER), "unshare")
    # A process may map its own user without privileges, but its group only after it gave up setgroups(2).
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def _become_user(uid: int, gid: int) -> None:
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # A container may have taken the capability from its root; whether the files are within reach is tried afterwards.
    with contextlib.suppress(OSError):
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        kept = 1 << _CAP_DAC_OVERRIDE
        _check(_libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)), "capset")
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _take_identity(identity: str) -> None:
    kind, uid, gid = identity.split(":")
    if kind == "namespace":
        _enter_namespace(int(uid), int(gid))
    elif kind == "user":
        _become_user(int(uid), int(gid))


def main(identity: str, death_signal: str, parent: str, *command: str) -> int:
    """Replace this process by `command`; returns an exit code only when that fails."""
    try:
        _take_identity(identity)
    except OSError as error:
        print(f"cannot become {identity}: {error}", file=sys.stderr)
        return 125
    # Last, because the kernel clears it when credentials change.
    _prctl(_PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        return 125
    # A shell starts background jobs with SIGINT ignored, and exec would pass that on.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execvp(command[0], command)  # noqa: S606 - that is what this program is for
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
