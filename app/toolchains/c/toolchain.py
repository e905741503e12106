"""Compiles C and C++ by clang and links them with a C library for WASI: two programs in one jail, all read-only."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from app.toolchains import zig
from app.toolchains.diagnostics import readable, source_failed, unfinished
from app.toolchains.errors import CompileFailed
from app.toolchains.jail import JailResult, run
from app.toolchains.parts import Part, build
from app.toolchains.toolchain import Compiled, Toolchain

#: What is compiled and included beside the author's source.
FOLDER = Path(__file__).parent
_RUNTIME = ("kiln.c", "memory.c", "json.c", "glue.c")
_RUNTIME_CPP = ("kiln.c", "memory.c", "json.c", "glue.cpp")

#: Lines are kept for the places of traps; the runtime takes them out of what it runs.
_OWN = ("-Os", "-fno-exceptions")
_COMPILE = (
    "-Os",
    "-Wall",
    "-gline-tables-only",
    "-gdwarf-4",
    "-fdebug-compilation-dir=.",
    "-fno-exceptions",
    "-ferror-limit=20",
    # Errors are told where they are in the source, whatever its `#line` says.
    *("-Xclang", "-fno-diagnostics-use-presumed-location"),
)
#: Allocation ends the execution where it fails (`kiln.c`), so that nobody needs to look.
_WRAPPED = ("--wrap=malloc", "--wrap=calloc", "--wrap=realloc", "--wrap=aligned_alloc")
#: The day and time of a compilation are not of the source's making.
_ENVIRONMENT = {"SOURCE_DATE_EPOCH": "0"}

_ASSEMBLY = re.compile(r"^<inline asm>:\d+:\d+: error: (.*)$", re.MULTILINE)
_CRASHED = re.compile(r"clang frontend command failed with exit code (\d+)")
_SIGNALS_FROM = 128
_UNDEFINED = re.compile(r"undefined symbol: (\S.*)")
_NO_HANDLE = re.compile(r"handle(?:\(.*\))?$")


#: How zig configures the C++ library that it builds; out of bounds is a trap and not whatever lies there.
_LIBCXX = {
    "_LIBCPP_ABI_VERSION": "1",
    "_LIBCPP_ABI_NAMESPACE": "__1",
    "_LIBCPP_HAS_THREADS": "0",
    "_LIBCPP_HAS_MONOTONIC_CLOCK": "1",
    "_LIBCPP_HAS_TERMINAL": "1",
    "_LIBCPP_HAS_MUSL_LIBC": "1",
    "_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS": "0",
    "_LIBCPP_HAS_FILESYSTEM": "0",
    "_LIBCPP_HAS_RANDOM_DEVICE": "1",
    "_LIBCPP_HAS_LOCALIZATION": "1",
    "_LIBCPP_HAS_UNICODE": "1",
    "_LIBCPP_HAS_WIDE_CHARACTERS": "1",
    "_LIBCPP_HAS_NO_STD_MODULES": "1",
    "_LIBCPP_PSTL_BACKEND_SERIAL": "1",
    "_LIBCPP_HARDENING_MODE": "_LIBCPP_HARDENING_MODE_FAST",
    "_LIBCPP_ASSERTION_SEMANTIC_DEFAULT": "_LIBCPP_ASSERTION_SEMANTIC_QUICK_ENFORCE",
    "_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS": "1",
    "_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS": "1",
}
_CPP_STANDARD = "-std=c++23"
_CPP_FLAGS = [_CPP_STANDARD, "-nostdinc++", *(f"-D{name}={value}" for name, value in _LIBCXX.items())]


def _cpp_includes() -> list[str]:
    library = zig.home() / "lib"
    folders = ("libcxx/include", "libcxxabi/include")
    return [word for folder in folders for word in ("-isystem", str(library / folder))]


def clang(source: str, to: str, *flags: str) -> list[str]:
    """The command that compiles one file."""
    is_cpp = source.endswith("cpp")
    command = [zig.zig(), "clang", f"--target={zig.TARGET}", *flags, f"-I{FOLDER}"]
    return [*command, *(_CPP_FLAGS + _cpp_includes() if is_cpp else []), *zig.includes(), "-c", source, "-o", to]


def _runtime(name: str, sources: Sequence[str], library: Part) -> Part:
    """What is linked beside the author's code, compiled once."""

    def compile_all(folder: Path) -> None:
        commands = [clang(str(FOLDER / source), f"{source}.o", *_OWN) for source in sources]
        build(folder, *commands, readable=[zig.home(), FOLDER], kept=["*.o"])

    made_of = [
        *library.made_of,
        *_OWN,
        *_CPP_FLAGS,
        *((FOLDER / source).read_bytes() for source in ("kiln.h", *sources)),
    ]
    return Part(name, made_of, compile_all)


RUNTIME = _runtime("c-runtime", _RUNTIME, zig.C_LIBRARY)


class C(Toolchain):
    """`char *handle(const char *input)` becomes a module of the memory ABI."""

    language = "c"
    extension = "c"
    signature: ClassVar[str] = "char *handle(const char *input)"
    library: ClassVar[Part] = zig.C_LIBRARY
    libraries: ClassVar[Sequence[str]] = ("libc.a", "libzigc.a", "libcompiler_rt.a")
    runtime: ClassVar[Part] = RUNTIME
    parts = (library, runtime)
    standard: ClassVar[str] = "-std=gnu23"

    def version(self) -> str:
        """The version of ziglang, which brings clang."""
        return zig.version()

    def missing(self) -> str | None:
        """Whether ziglang is there."""
        return zig.missing()

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Compile and link one source file."""
        self.check_parts(shared)
        library, runtime = self.library.folder(shared), self.runtime.folder(shared)
        objects = [library / "crt1-reactor.o", *sorted(runtime.glob("*.o"))]
        link = [zig.zig(), "wasm-ld", *zig.LINK, *_WRAPPED, "-o", "module.wasm", *map(str, objects), "source.o"]
        result = run(
            clang(self.source_name, "source.o", *_COMPILE, self.standard),
            [*link, *(str(library / name) for name in self.libraries)],
            files={self.source_name: source},
            outputs=["module.wasm"],
            environment=_ENVIRONMENT,
            readable=[zig.home(), FOLDER, library, runtime],
            limits=self.limits,
        )
        wasm = result.outputs.get("module.wasm")
        if result.returncode != 0 or wasm is None:
            raise self._failure(result)
        flags = (f"--target={zig.TARGET}", *_COMPILE, self.standard, *zig.LINK, *_WRAPPED)
        return Compiled(wasm, readable(result.stderr), "ziglang", self.version(), flags, result.duration_ms)

    def _errors(self, said: str) -> list[str]:
        """The lines that name a place in the source; pictures of it, and how clang came there, are for the log."""
        return re.findall(rf"^{re.escape(self.source_name)}:\d+:\d+: (?:fatal )?error: .*$", said, re.MULTILINE)

    def _failure(self, result: JailResult) -> CompileFailed:
        said = readable(result.stderr)
        undefined = _UNDEFINED.findall(said)
        if any(_NO_HANDLE.match(symbol) for symbol in undefined):
            return source_failed(self.source_name, f"there is no function `{self.signature}`")
        if undefined:
            return source_failed(self.source_name, f"nothing defines {', '.join(dict.fromkeys(undefined))}", said)
        if result.returncode == 1 and (errors := self._errors(said)):
            return CompileFailed("\n".join(errors), said)
        if result.returncode == 1 and f"{self.source_name}:" in said:
            return CompileFailed(said)
        if assembly := _ASSEMBLY.search(said):
            return source_failed(self.source_name, f"error: in assembly: {assembly[1]}", said)
        if crashed := _CRASHED.search(said):
            # Clang runs its front end as a process of its own, and says how that has ended.
            result = replace(result, returncode=_SIGNALS_FROM - int(crashed[1]))
        return unfinished(result, self.limits, self.source_name)


class Cpp(C):
    """`std::string handle(const std::string &input)` becomes a module of the memory ABI."""

    language = "cpp"
    extension = "cpp"
    signature = "std::string handle(const std::string &input)"
    library = zig.CPP_LIBRARY
    libraries = ("libc++.a", "libc++abi.a", *C.libraries)
    runtime = _runtime("cpp-runtime", _RUNTIME_CPP, zig.CPP_LIBRARY)
    parts = (library, runtime)
    standard = _CPP_STANDARD
