"""Seccomp: which system calls this process and all that it starts may make (seccomp(2)).

No compiler needs any of those that are refused. What is left can neither reach a network nor another process, nor leave
anything behind that outlives the process and is no file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

#: Instructions of the classic BPF machine.
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT = 0x15, 0x35, 0x45
#: Where `struct seccomp_data` has the call's number, the architecture, and the lower half of the first two arguments.
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24

#: Namespaces that clone(2) can make.
_NEW_NAMESPACES = 0x7E020000
#: Pairs of sockets that reach nobody but each other; cargo starts programs by those of the second kind.
_STREAM, _PACKETS, _TYPE_MASK = 1, 5, 0xF
#: Numbers from here on are those of another calling convention (x32), which has its own doors.
_FOREIGN = 0x40000000

#: Refused, with the number on x86-64 and on 64-bit ARM; None where there is no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # what the file system is
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    # namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    # doors into the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "memfd_secret": (447, 447),
    # the machine
    "reboot": (169, 142),
    "acct": (163, 89),
    "vhangup": (153, 58),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    # what outlives a process
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}

#: By machine: the architecture's number, the column of the table, and the numbers of socket, socketpair, clone.
_MACHINES = {"x86_64": (0xC000003E, 0, 41, 53, 56), "aarch64": (0xC00000B7, 1, 198, 199, 220)}
_CLONE3 = 435

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> bool:
    """Refuse those calls from now on, for good; False on a machine whose numbers are not in the table.

    The process must have set no_new_privs. Raises OSError where the kernel refuses.
    """
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        return False
    instructions = _filter(*machine)
    program = _Program(len(instructions) // 8, instructions)
    if _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(program), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return True


def _filter(architecture: int, column: int, socket: int, socketpair: int, clone: int) -> bytes:
    """The program. Jumps are relative to the next instruction: the first offset if true, the second if not."""
    refused = [number for numbers in _REFUSED.values() if (number := numbers[column]) is not None]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_when(_JUMP_AT_LEAST, _FOREIGN, [_answer(errno.ENOSYS)]),
        # glibc then goes on with clone, whose flags can be looked at.
        *_when(_JUMP_EQUAL, _CLONE3, [_answer(errno.ENOSYS)]),
        # The kinds of a pair are bounded too: a datagram socket could still be sent through to any other.
        *_when(_JUMP_EQUAL, socket, [_answer(errno.EAFNOSUPPORT)]),
        *_when(
            _JUMP_EQUAL,
            socketpair,
            [
                (_LOAD, 0, 0, _SECOND),
                (_AND, 0, 0, _TYPE_MASK),
                *_when(_JUMP_EQUAL, _STREAM, [(_RETURN, 0, 0, _ALLOW)]),
                *_when(_JUMP_EQUAL, _PACKETS, [(_RETURN, 0, 0, _ALLOW)]),
                _answer(errno.EPERM),
            ],
        ),
        *_when(
            _JUMP_EQUAL,
            clone,
            [
                (_LOAD, 0, 0, _FIRST),
                *_when(_JUMP_ANY_BIT, _NEW_NAMESPACES, [_answer(errno.EPERM)]),
                (_RETURN, 0, 0, _ALLOW),
            ],
        ),
    ]
    for number in refused:
        program += _when(_JUMP_EQUAL, number, [_answer(errno.EPERM)])
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _when(jump: int, value: int, then: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    return [(jump, 0, len(then), value), *then]


def _answer(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ERRNO | number)
