"""The three standard streams of WASI preview 1, which are all the descriptors that a guest has."""

from collections.abc import Iterator

from app.wasm.guest import Guest
from app.wasm.limits import VECTORS
from app.wasm.linking import HostFunction
from app.wasm.output import too_large

MODULE = "wasi_snapshot_preview1"

_SUCCESS = 0
_BADF = 8
_INVAL = 28
_SPIPE = 70

_STDIN, _STDOUT, _STDERR = range(3)
_VECTOR_BYTES = 8
# A character device that can also seek is no terminal to the C library, which then buffers whole blocks.
_FDSTAT = bytes([2]).ljust(8, b"\0") + b"\xff" * 16
_FILESTAT = b"\0" * 16 + bytes([2]).ljust(8, b"\0") + b"\0" * 40


def fd_read(guest: Guest, descriptor: int, vectors: int, count: int, read: int) -> int:
    """Reads on in the input; other descriptors do not exist or cannot be read."""
    if descriptor != _STDIN:
        return _BADF
    if count > VECTORS:
        return _INVAL
    total = 0
    for pointer, length in _vectors(guest, vectors, count):
        guest.check(pointer, length)
        piece = guest.stdin[guest.stdin_read : guest.stdin_read + length]
        guest.write(pointer, piece)
        guest.stdin_read += len(piece)
        total += len(piece)
    guest.write_u32(read, total)
    return _SUCCESS


def fd_write(guest: Guest, descriptor: int, vectors: int, count: int, written: int) -> int:
    """Standard output is the answer of a command and the log of all others; standard error is the log."""
    if descriptor not in {_STDOUT, _STDERR}:
        return _BADF
    if count > VECTORS:
        return _INVAL
    total = 0
    for pointer, length in _vectors(guest, vectors, count):
        guest.check(pointer, length)
        if descriptor == _STDOUT and guest.stdout is not None:
            _answer(guest, guest.stdout, pointer, length)
        else:
            piece = guest.read(pointer, min(length, guest.log.room_bytes))
            guest.log.write(piece, length=length, is_error=descriptor == _STDERR)
        total += length
    guest.write_u32(written, total)
    return _SUCCESS


def _answer(guest: Guest, stdout: bytearray, pointer: int, length: int) -> None:
    if len(stdout) + length > guest.limits.output_bytes:
        raise too_large(guest.limits.output_bytes)
    stdout += guest.read(pointer, length)


def _vectors(guest: Guest, vectors: int, count: int) -> Iterator[tuple[int, int]]:
    table = guest.read(vectors, count * _VECTOR_BYTES)
    for at in range(0, len(table), _VECTOR_BYTES):
        yield int.from_bytes(table[at : at + 4], "little"), int.from_bytes(table[at + 4 : at + 8], "little")


def fd_fdstat_get(guest: Guest, descriptor: int, at: int) -> int:
    """The kind of a stream."""
    if descriptor > _STDERR:
        return _BADF
    guest.write(at, _FDSTAT)
    return _SUCCESS


def fd_filestat_get(guest: Guest, descriptor: int, at: int) -> int:
    """The kind of a stream; it has no size and no times."""
    if descriptor > _STDERR:
        return _BADF
    guest.write(at, _FILESTAT)
    return _SUCCESS


def _accepted(_guest: Guest, descriptor: int, *_parameters: int) -> int:
    return _SUCCESS if descriptor <= _STDERR else _BADF


def _no_position(_guest: Guest, descriptor: int, *_parameters: int) -> int:
    return _SPIPE if descriptor <= _STDERR else _BADF


def _refused(_guest: Guest, *_parameters: int) -> int:
    return _BADF


_FUNCTIONS = (
    ("fd_read", "i32 i32 i32 i32 -> i32", fd_read),
    ("fd_write", "i32 i32 i32 i32 -> i32", fd_write),
    ("fd_fdstat_get", "i32 i32 -> i32", fd_fdstat_get),
    ("fd_filestat_get", "i32 i32 -> i32", fd_filestat_get),
    ("fd_close", "i32 -> i32", _accepted),
    ("fd_sync", "i32 -> i32", _accepted),
    ("fd_datasync", "i32 -> i32", _accepted),
    ("fd_fdstat_set_flags", "i32 i32 -> i32", _accepted),
    ("fd_seek", "i32 i64 i32 i32 -> i32", _no_position),
    ("fd_tell", "i32 i32 -> i32", _no_position),
    ("fd_pread", "i32 i32 i32 i64 i32 -> i32", _no_position),
    ("fd_pwrite", "i32 i32 i32 i64 i32 -> i32", _no_position),
    ("fd_advise", "i32 i64 i64 i32 -> i32", _no_position),
    ("fd_allocate", "i32 i64 i64 -> i32", _refused),
    ("fd_fdstat_set_rights", "i32 i64 i64 -> i32", _refused),
    ("fd_filestat_set_size", "i32 i64 -> i32", _refused),
    ("fd_filestat_set_times", "i32 i64 i64 i32 -> i32", _refused),
    ("fd_prestat_get", "i32 i32 -> i32", _refused),
    ("fd_prestat_dir_name", "i32 i32 i32 -> i32", _refused),
    ("fd_readdir", "i32 i32 i32 i64 i32 -> i32", _refused),
    ("fd_renumber", "i32 i32 -> i32", _refused),
)

STREAMS = tuple(HostFunction.of(MODULE, name, signature, call) for name, signature, call in _FUNCTIONS)
