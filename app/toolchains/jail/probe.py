"""What a jailed program must not be able to do, tried by one, in the jail as it is on this machine.

A worker does this once when it starts; without a sound jail no compiler of native code is let loose on what a user
wrote.
"""

import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from app.toolchains.jail.limits import JailError
from app.toolchains.jail.run import run

#: Tries everything and prints the names of what worked, as a JSON array. Its arguments are made by `neighbour`.
ATTEMPTS = r"""
import ctypes, errno, json, os, signal, socket, sys

canary, port, name, worker, allowed = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
libc = ctypes.CDLL(None, use_errno=True)
arm = os.uname().machine == "aarch64"
worked = []


def attempt(what, action):
    try:
        if action() is not False:
            worked.append(what)
    except (OSError, ImportError):
        pass


def call(on_x86, on_arm, *arguments):
    answer = libc.syscall(ctypes.c_long(on_arm if arm else on_x86), *map(ctypes.c_ulong, arguments))
    # Any other complaint is about the arguments: then the call itself was not refused.
    if answer < 0 and ctypes.get_errno() in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        raise OSError(ctypes.get_errno(), "refused")
    return answer


def connected(family, kind, address):
    with socket.socket(family, kind) as one:
        one.connect(address)
        one.send(b"x")


def written(path):
    with open(path, "wb") as file:
        file.write(b"x")
    os.unlink(path)


def effective_capabilities():
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    # To read files is left where only root comes to the toolchain; Landlock grants the rest.
    return (data[0] & ~(1 << 2)) | data[3]


attempt("read another's file", lambda: open(canary).read())
attempt("read a file of the system", lambda: open("/etc/passwd").read())
attempt("read the worker's environment", lambda: open(f"/proc/{worker}/environ", "rb").read())
attempt("see other processes", lambda: os.listdir("/proc"))
attempt("list another directory", lambda: os.listdir(os.path.dirname(os.getcwd())))
for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", os.path.dirname(canary), sys.prefix):
    attempt(f"write into {folder}", lambda: written(f"{folder}/kiln-jail-probe-{os.getpid()}"))
attempt("change another's file", lambda: os.chmod(canary, 0o777) or os.rename(canary, canary + "x"))
attempt("link another's file", lambda: os.link(canary, "linked"))
attempt("connect by TCP", lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)))
attempt("send by UDP", lambda: connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)))
attempt("send by UDP over IPv6", lambda: connected(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", port)))
attempt("connect to a socket in a directory", lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, f"{name}"))
attempt("connect to an abstract socket", lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + name))
attempt("make a socket of the kernel's", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("make a pair of datagram sockets", lambda: socket.socketpair(type=socket.SOCK_DGRAM))
attempt("signal the worker", lambda: os.kill(worker, 0))
attempt("trace a process", lambda: call(101, 117, 0x4206, worker, 0, 0))
attempt("read a process's memory", lambda: call(310, 270, worker, 0, 0, 0, 0, 0))
attempt("make a user namespace", lambda: call(272, 97, 0x10000000))
attempt("make a network namespace", lambda: call(272, 97, 0x40000000))
attempt("clone into a namespace", lambda: call(56, 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0))
attempt("mount", lambda: call(165, 40, 0, 0, 0, 0, 0))
attempt("change the root", lambda: call(161, 51, 0))
attempt("use the keyring", lambda: call(250, 219, 0, -3, 0))
attempt("load a program into the kernel", lambda: call(321, 280, 0, 0, 0))
attempt("use io_uring", lambda: call(425, 425, 1, ctypes.addressof(ctypes.create_string_buffer(256))))
attempt("handle page faults", lambda: call(323, 282, 0))
attempt("count events", lambda: call(298, 241, 0, 0, 0, 0, 0))
attempt("share memory by key", lambda: call(29, 194, 0, 4096, 0o1600))
attempt("queue messages", lambda: call(68, 186, 0, 0o1600))
attempt("become root", lambda: os.getuid() != 0 and os.setuid(0))
attempt("have a privilege", lambda: effective_capabilities() != 0)
attempt("have a descriptor", lambda: os.fstat(3))
attempt("have a variable", lambda: set(os.environ) - set(allowed.split(",")) != set())
print(json.dumps(worked))
"""

_VARIABLES = "HOME,TMPDIR,LANG,LC_CTYPE,PWD"


@cache
def breaches() -> tuple[str, ...]:
    """What a jailed program could do that it must not, asked once by each process; nothing where the jail is sound.

    Raises JailError where no program could be run at all.
    """
    with neighbour() as arguments:
        readable = [Path(sys.prefix), Path(sys.base_prefix)]
        result = run([sys.executable, "-I", "-S", "-c", ATTEMPTS, *arguments], readable=readable)
    if result.returncode != 0:
        reason = f"the probe failed: {result.stderr.decode(errors='replace')[-500:]}"
        raise JailError(reason)
    return tuple(json.loads(result.stdout))


def unusable() -> str | None:
    """Why no program can be run in this machine's jail, as the end of a sentence; none where one can."""
    try:
        breaches()
    except (JailError, OSError, ValueError) as error:
        return f"it does not work: {error}"
    return None


def unsound() -> str | None:
    """Why this machine's jail must not be trusted, as the end of a sentence; none where it is sound."""
    if reason := unusable():
        return reason
    found = breaches()
    return f"in it a program can {', '.join(found)}" if found else None


@contextmanager
def neighbour() -> Iterator[list[str]]:
    """Things of somebody else, as arguments of the program: a file that all may read, sockets that all may reach."""
    with tempfile.TemporaryDirectory(prefix="kiln-probe-") as name, _listening() as tcp:
        folder = Path(name)
        folder.chmod(0o777)
        canary = folder / "canary"
        canary.write_text(secrets.token_hex())
        canary.chmod(0o666)
        path = str(folder / "socket")
        with _listening(path), _listening(f"\0{path}"):
            yield [str(canary), str(tcp.getsockname()[1]), path, str(os.getpid()), _VARIABLES]


@contextmanager
def _listening(address: Any = None) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET if address is None else socket.AF_UNIX) as listener:
        listener.bind(("127.0.0.1", 0) if address is None else address)
        listener.listen()
        if address and not address.startswith("\0"):
            Path(address).chmod(0o777)
        yield listener
