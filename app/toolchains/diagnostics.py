"""What a compiler says, made fit for the author: bounded, printable, without this machine's paths, never empty."""

import re
import signal
import sys
from pathlib import Path

from app.toolchains.errors import CompileFailed, CompilerExceededOutput, CompilerOutOfMemory, CompilerTimedOut
from app.toolchains.jail import Bound, JailError, JailLimits, JailResult

MAX_BYTES = 64 * 1024
_CUT = "\n…"
_JOB_DIRECTORY = re.compile(r"/[^\s:'\"]*/kiln-job-\w+/?")
#: What moves a terminal's cursor, or makes text read otherwise than it is written.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_OUT_OF_MEMORY = re.compile(
    rb"out of memory|MemoryError|[Cc]annot allocate memory|could not allocate|std::bad_alloc"
    rb"|memory allocation of \d+ bytes failed"
)
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL}
_OURS = tuple(sorted({str(Path(__file__).parents[2]), sys.prefix, sys.base_prefix, str(Path.home())}, key=len))[::-1]


def readable(text: bytes | str) -> str:
    """Text for an author: UTF-8, no control characters, no paths of this machine, at most 64 KiB."""
    # The author can make the compiler repeat any amount of text, so it is cut before it is searched, and again after.
    start = text[: 2 * MAX_BYTES]
    clean = start if isinstance(start, str) else start.decode("utf-8", errors="replace")
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", clean.replace("\r\n", "\n"))
    clean = _JOB_DIRECTORY.sub("", clean)
    for path in _OURS:
        if len(path) > 1:
            clean = clean.replace(f"{path}/", "").replace(path, "")
    encoded = clean.strip().encode("utf-8", errors="replace")
    if len(encoded) <= MAX_BYTES:
        return encoded.decode()
    return encoded[: MAX_BYTES - len(_CUT.encode())].decode(errors="ignore") + _CUT


def source_failed(source_name: str, message: str, log: str = "") -> CompileFailed:
    """The failure of a source as a whole."""
    return CompileFailed(readable(f"{source_name}:1:1: {message}"), log)


def unfinished(result: JailResult, limits: JailLimits, source_name: str) -> CompileFailed:
    """The failure of a compiler that ended without saying what is wrong with the source: a limit, or its own crash.

    Raises JailError where neither we nor the compiler ended it, so that the compilation is tried again.
    """
    start = f"{source_name}:1:1: "
    log = readable(result.stderr)
    if result.exceeded is Bound.TIME:
        return CompilerTimedOut(f"{start}compilation took longer than {limits.wall_ms / 1000:g} s", log)
    if result.exceeded is Bound.MEMORY or _OUT_OF_MEMORY.search(result.stderr):
        return CompilerOutOfMemory(f"{start}compilation needed more than {limits.data_bytes >> 20} MiB of memory", log)
    if result.exceeded in {Bound.OUTPUT, Bound.FILES}:
        return CompilerExceededOutput(
            f"{start}the compiler wrote more than it may ({limits.output_bytes >> 20} MiB of module)", log
        )
    if result.exceeded is Bound.PROCESSES:
        return CompileFailed(f"{start}the compiler started more than {limits.processes} processes", log)
    if result.returncode == -signal.SIGKILL:
        raise JailError("the compiler was killed from outside")
    if -result.returncode in _CRASHES:
        return CompileFailed(f"{start}the compiler crashed; does the source nest too deeply?", log)
    end = f"signal {-result.returncode}" if result.returncode < 0 else f"exit code {result.returncode}"
    return CompileFailed(f"{start}the compiler ended without a module ({end})", log)
