"""Compiles Zig: the compiler makes an object of the author's source and ours, and the linker a module of it.

The compiler must be able to write into its cache, and what every source includes of the standard library takes it a
second to read. So a job begins with a copy of a cache in which that has been read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from app.toolchains import zig
from app.toolchains.diagnostics import readable, unfinished
from app.toolchains.errors import CompileFailed
from app.toolchains.jail import Bound, JailResult, run
from app.toolchains.parts import Part, build
from app.toolchains.toolchain import Compiled, Toolchain

_FOLDER = Path(__file__).parent
_SIGNATURE: Final = "pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8"

_TARGET = ("-target", "wasm32-wasi", "-fsingle-threaded", "-fno-compiler-rt", "-freference-trace=32")
#: The library is small, the author's source has every check and the lines for the places of panics. Returned errors
#: have no trace: WebAssembly does not let code know where it was called from.
_OURS = ("-OReleaseSmall", "-fstrip")
_AUTHORS = ("-OReleaseSafe", "-fno-strip", "-fno-error-tracing")
_LINK = (*zig.LINK, "--no-entry", "--export=alloc", "--export=handle")

_COPY = "/bin/cp"
_CACHE = "cache"
_ENVIRONMENT = {"ZIG_GLOBAL_CACHE_DIR": _CACHE, "ZIG_LOCAL_CACHE_DIR": _CACHE}
_PROBE = b"""
const std = @import("std");
pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8 {
    const value = try std.json.parseFromSliceLeaky(std.json.Value, allocator, input, .{});
    return std.json.Stringify.valueAlloc(allocator, value, .{});
}
"""

#: The job's directory, whose name is chance, in what is said of lines.
_JOB = re.compile(rb"(?<=/kiln-job-)\w+(?=/?\0)")
_ERROR = re.compile(r"^(?:(?P<file>[^\n:]*):(?P<line>\d+):(?P<column>\d+): )?error: (?P<message>.*)$")
_PLACE = re.compile(r"(?<![\w/.])source\.zig:\d+:\d+")
_NOTE = re.compile(r"^(source\.zig:\d+:\d+: note: .*)$", re.MULTILINE)
#: What the compiler says when it has no more memory.
_SPENT = "error: OutOfMemory"
_HANDLE = re.compile(r"\bfn\s+handle\b")


def _compile(source: str) -> list[str]:
    """The command that makes an object of a source and what it is linked with."""
    entry, kiln = (str(_FOLDER / name) for name in ("entry.zig", "kiln.zig"))
    return [
        *(zig.zig(), "build-obj", *_TARGET),
        *(*_OURS, "--dep", "source", "--dep", "kiln", f"-Mroot={entry}"),
        *(*_AUTHORS, "--dep", "kiln", f"-Msource={source}"),
        *(*_OURS, f"-Mkiln={kiln}"),
        "-femit-bin=source.o",
    ]


def _read_library(folder: Path) -> None:
    build(
        folder,
        _compile("source.zig"),
        files={"source.zig": _PROBE},
        environment=_ENVIRONMENT,
        readable=[zig.home(), _FOLDER],
        kept=[f"{_CACHE}/z"],
    )


LIBRARY = Part(
    "zig-library",
    (
        zig.version(),
        *_TARGET,
        *_OURS,
        *_AUTHORS,
        *((_FOLDER / name).read_bytes() for name in ("entry.zig", "kiln.zig")),
    ),
    _read_library,
)


class Zig(Toolchain):
    """`pub fn handle` becomes a module of the memory ABI."""

    language = "zig"
    extension = "zig"
    parts = (zig.C_LIBRARY, LIBRARY)
    flags: ClassVar[Sequence[str]] = (*_TARGET, *_AUTHORS, *_LINK)

    def version(self) -> str:
        """The version of ziglang."""
        return zig.version()

    def missing(self) -> str | None:
        """Whether ziglang is there."""
        return zig.missing()

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Compile and link one source file."""
        self.check_parts(shared)
        library, cache = zig.C_LIBRARY.folder(shared), LIBRARY.folder(shared)
        compiler_rt = str(library / "libcompiler_rt.a")
        result = run(
            [_COPY, "-r", str(cache), _CACHE],
            _compile(self.source_name),
            [zig.zig(), "wasm-ld", *_LINK, "-o", "module.wasm", "source.o", compiler_rt],
            files={self.source_name: source},
            outputs=["module.wasm"],
            environment=_ENVIRONMENT,
            readable=[zig.home(), _FOLDER, library, cache],
            limits=self.limits,
        )
        wasm = result.outputs.get("module.wasm")
        if result.returncode != 0 or wasm is None:
            raise self._failure(result, source)
        same = _JOB.sub(lambda name: b"_" * len(name.group()), wasm)
        log = readable(result.stderr)
        return Compiled(same, log, "ziglang", self.version(), tuple(self.flags), result.duration_ms)

    def _failure(self, result: JailResult, source: bytes) -> CompileFailed:
        said = readable(result.stderr)
        if said.startswith(_SPENT):
            result = replace(result, exceeded=Bound.MEMORY)
        told = list(_told(said, source.decode(errors="replace")))
        if result.exceeded is None and result.returncode == 1 and told:
            return CompileFailed("\n".join(told))
        return unfinished(result, self.limits, self.source_name)


def _told(said: str, source: str) -> Iterator[str]:
    """The compiler's errors as lines with places in the author's source.

    An error in the library or in our own files is told where the source leads there.
    """
    errors: list[tuple[re.Match[str], list[str]]] = []
    for line in said.splitlines():
        if found := _ERROR.match(line):
            errors.append((found, []))
        if errors:
            errors[-1][1].append(line)
    for found, lines in errors:
        text = "\n".join(lines)
        place = _PLACE.search(text)
        message = found["message"]
        if (found["file"] or "").endswith("entry.zig"):
            yield _no_handle(message, source)
        else:
            yield f"{place.group() if place else 'source.zig:1:1'}: error: {message}"
            yield from _NOTE.findall(text)


def _no_handle(message: str, source: str) -> str:
    if message == "there is no handle":
        return f"source.zig:1:1: error: there is no function `{_SIGNATURE}`"
    at = _HANDLE.search(source)
    before = source[: at.start()] if at else ""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"source.zig:{line}:{column}: error: the handler must be `{_SIGNATURE}`: {message}"
