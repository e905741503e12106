"""The `ziglang` package: clang and a linker for WebAssembly, with the sources of a C and a C++ library for WASI.

Its own driver, `zig cc`, builds those libraries when they are first wanted, into a cache that it must be able to write.
So it does that once, and compilations run clang and the linker by themselves, with everything read-only.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

from app.toolchains.errors import ToolchainMissing
from app.toolchains.parts import Part, build

#: The triple of WASI's first preview.
TARGET = "wasm32-wasip1"

#: How modules are linked: the stack lies lowest, so that what overflows it traps.
LINK = (
    *("--stack-first", "-z", "stack-size=1048576", "--entry=_initialize", "--export-memory", "--gc-sections"),
    # Where it points to after a trap tells an overflow from other faults.
    "--export=__stack_pointer",
)

_C = ("crt1-reactor.o", "libc.a", "libzigc.a", "libcompiler_rt.a")
_CPP = ("libc++.a", "libc++abi.a")
_PROBE = "int main(void) { return 0; }"


def home() -> Path:
    """The package's folder; raises ToolchainMissing."""
    # The package is found, not imported: importing it would run its own start-up code.
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolchainMissing("zig is not installed: the package ziglang is missing")
    return Path(spec.origin).parent


def zig() -> str:
    """The executable; raises ToolchainMissing."""
    return str(home() / "zig")


@cache
def version() -> str:
    """The package's version; empty where it is not installed."""
    try:
        return version_of("ziglang")
    except PackageNotFoundError:
        return ""


def missing() -> str | None:
    """Why there is no zig, as a sentence."""
    return None if version() else "The package ziglang is not installed; it is among the requirements."


def includes() -> list[str]:
    """Where clang finds the headers of the C library, and nothing of the machine's own."""
    library = home() / "lib"
    folders = ("include", "libc/include/wasm-wasi-musl", "libc/include/generic-musl")
    return ["-nostdinc", *(word for folder in folders for word in ("-isystem", str(library / folder)))]


def _build(folder: Path, source: str, names: Sequence[str]) -> None:
    """Have `zig cc` build libraries, and keep those of these names."""
    driver = "c++" if source.endswith("cpp") else "cc"
    command = [zig(), driver, "--target=wasm32-wasi", "-Os", "-mexec-model=reactor", "-fno-exceptions"]
    build(
        folder,
        [*command, "-o", "module.wasm", source],
        files={source: _PROBE.encode()},
        environment={"ZIG_GLOBAL_CACHE_DIR": "cache", "ZIG_LOCAL_CACHE_DIR": "cache"},
        readable=[home()],
        kept=[f"cache/o/*/{name}" for name in names],
    )


C_LIBRARY = Part("c-library", (version(), TARGET), lambda folder: _build(folder, "probe.c", _C))
CPP_LIBRARY = Part("cpp-library", (version(), TARGET), lambda folder: _build(folder, "probe.cpp", (*_C, *_CPP)))
