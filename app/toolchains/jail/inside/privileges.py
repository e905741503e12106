"""Who the program is: nobody in particular, with no privileges (capabilities(7)).

A worker that is root makes each of its jobs a user of its own, who owns the job's directory and nothing else, so that
jobs cannot touch each other, and the kernel bounds their processes. The toolchain may lie where only root comes (in a
home directory, say): then the one privilege that is kept is to read files and search directories, of which Landlock
leaves those that were granted.
"""

from __future__ import annotations

import ctypes
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Ids from here on no system gives to its users: those of jobs.
FIRST_UID = 2_000_000_000
_NOBODY = 65_534

_CAP_DAC_READ_SEARCH = 2
_PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 8, 24, 38, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int32))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def drop(user: int, directory: str, needed: Iterable[str]) -> None:
    """Give up every privilege for good. As root also become `user`, who owns `directory` and what is in it, and nothing
    else; `needed` stays readable. Raises OSError where the kernel refuses.
    """
    kept: set[int] = set()
    if os.geteuid() == 0:
        if not all(_open_to_all(path) for path in (directory, *needed)):
            kept = {_CAP_DAC_READ_SEARCH}
        _forgo_all_but(kept)
        if not _become(user, directory):
            kept = set()
    _keep_only(kept)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _become(user: int, directory: str) -> bool:
    """False where root is only called so, and there is nobody else: in a user namespace of one."""
    for uid in (user, _NOBODY):
        try:
            _own(directory, uid)
        except OSError:
            continue
        _prctl(_PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return True
    return False


def _own(directory: str, uid: int) -> None:
    """Nothing hostile runs yet, so names can be trusted."""
    for name in os.listdir(directory):  # noqa: PTH208 - pathlib takes longer to import than all this
        os.chown(f"{directory}/{name}", uid, uid, follow_symlinks=False)
    os.chown(directory, uid, uid)


def _open_to_all(path: str) -> bool:
    """Whether everybody may come to this path, and so presumably read what is beneath."""
    while path != "/":
        mode = os.stat(path).st_mode  # noqa: PTH116 - see above
        if not mode & stat.S_IXOTH or (stat.S_ISDIR(mode) and not mode & stat.S_IROTH):
            return False
        path = os.path.dirname(path)  # noqa: PTH120 - see above
    return True


def _forgo_all_but(kept: set[int]) -> None:
    """No program that is started from now on can give its user another privilege."""
    for capability in range(64):
        if capability not in kept and _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            return  # There is none with this number, or it was not ours to give up.


def _keep_only(kept: set[int]) -> None:
    _prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    mask = sum(1 << capability for capability in kept)
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)(_CapData(mask, mask, mask), _CapData(0, 0, 0))
    if _libc.capset(ctypes.byref(header), data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    for capability in kept:
        _prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, capability)


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *padded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
