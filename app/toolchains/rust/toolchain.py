"""Compiles Rust: one call of rustc, which links by ziglang's linker with what was built once (`libraries.py`)."""

import re
from collections.abc import Sequence
from pathlib import Path

from app.toolchains import zig
from app.toolchains.diagnostics import readable, source_failed, unfinished
from app.toolchains.errors import CompileFailed, ToolchainMissing
from app.toolchains.jail import JailResult, run
from app.toolchains.parts import Part
from app.toolchains.rust import installation, libraries
from app.toolchains.rust.installation import Rust as Installed
from app.toolchains.rust.messages import Message, read
from app.toolchains.toolchain import Compiled, Toolchain

_SIGNATURE = "fn handle(input: serde_json::Value) -> Result<serde_json::Value, String>"
#: Put below the author's source, where it moves no line of theirs.
_EXPORT = b"\n::kiln::__export!(crate::handle);\n"

#: Lines are kept for the places of traps; the runtime takes them out of what it runs.
_FLAGS = (
    *("--edition", "2021", "--crate-type", "cdylib", "--crate-name", "function"),
    *("-C", "opt-level=s", "-C", "panic=abort", "-C", "codegen-units=1", "-C", "debuginfo=line-tables-only"),
    *("-C", "embed-bitcode=no"),
    # What an author has forbidden holds for the author; there is a line below that must do it.
    *("--cap-lints", "warn", "--error-format", "json"),
)
_LINK = ("-C", "linker-flavor=wasm-ld", "-C", "link-self-contained=no")
_LINK_ARGUMENTS = (*(word for word in zig.LINK if not word.startswith("--entry")), "--export=_initialize")
#: The libraries ask for a C library by its name, by which the linker does not find it where only root comes (access(2)
#: is not asked by a privilege, but by a user): so an empty one is found, and the real one is named by its path.
_EMPTY_LIBRARY = b"!<arch>\n"
#: What `env!` could read says nothing of this machine, and neither do paths. The shell can tell the directory's name.
_COMPILE = 'here=$PWD; unset PWD OLDPWD; export HOME=. TMPDIR=.; exec "$@" "--remap-path-prefix=$here=."'

_HANDLE = re.compile(rb"\bfn\s+handle\b")
#: What is wrong in the line below the source is so because of its handle.
_OF_HANDLE = {
    "E0425": f"there is no function `{_SIGNATURE}`",
    "E0061": "handle takes one parameter, the input",
    "E0277": "what handle takes must be owned and Deserialize",
    "E0599": "what handle answers must be Serialize, or a Result of that and of an error that is Display or Debug",
}


class Rust(Toolchain):
    """`fn handle` of whatever serde can read, to whatever it can write, becomes a module of the memory ABI."""

    language = "rust"
    extension = "rs"

    @property
    def parts(self) -> Sequence[Part]:
        """What is built for the compiler that is here; nothing where there is none."""
        return () if self.missing() else libraries.parts(installation.rust())

    def version(self) -> str:
        """The version of rustc."""
        try:
            return installation.rust().version
        except ToolchainMissing:
            return "not installed"

    def missing(self) -> str | None:
        """What of Rust is not on this machine, which need not have it."""
        return installation.missing() or zig.missing()

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Compile and link one source file."""
        if reason := self.missing():
            raise ToolchainMissing(reason)
        rust = installation.rust()
        parts = libraries.parts(rust)
        if not all(part.is_made(shared) for part in parts):
            raise ToolchainMissing("the libraries of rust are not built yet")
        result = run(
            [str(libraries.SHELL), "-c", _COMPILE, "sh", *_command(rust, shared), self.source_name],
            files={self.source_name: source + _EXPORT, "libc.a": _EMPTY_LIBRARY},
            outputs=["module.wasm"],
            readable=[rust.rustc, rust.sysroot / "lib", zig.home(), *(part.folder(shared) for part in parts)],
            limits=self.limits,
        )
        messages = list(read(result.stderr, source.count(b"\n") + 1))
        wasm = result.outputs.get("module.wasm")
        if result.returncode != 0 or wasm is None:
            raise self._failure(result, source, messages)
        flags = (f"--target={rust.target}", *_FLAGS, *_LINK, *_LINK_ARGUMENTS)
        return Compiled(wasm, _warnings(messages), "rustc", rust.version, flags, result.duration_ms)

    def _failure(self, result: JailResult, source: bytes, messages: Sequence[Message]) -> CompileFailed:
        errors = [message for message in messages if message.level == "error"]
        log = _warnings(messages)
        if result.returncode == 1 and (theirs := [str(error) for error in errors if error.line and error.is_theirs]):
            return CompileFailed(readable("\n".join(theirs)), log)
        for error in errors:
            if error.linking:
                message = f"the module cannot be linked: {'; '.join(error.linking)}"
                return source_failed(self.source_name, message, log)
            if not error.is_theirs:
                is_of_handle = error.code in _OF_HANDLE
                line, column = _place_of_handle(source) if is_of_handle or not error.cause else error.cause
                message = _OF_HANDLE.get(error.code, error.text)
                return CompileFailed(readable(f"{self.source_name}:{line}:{column}: {message}"), log)
        return unfinished(result, self.limits, self.source_name)


def _warnings(messages: Sequence[Message]) -> str:
    return readable("\n".join(str(one) for one in messages if one.level == "warning" and one.line and one.is_theirs))


def _place_of_handle(source: bytes) -> tuple[int, int]:
    found = _HANDLE.search(source)
    if found is None:
        return 1, 1
    before = source[: found.start()]
    return before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode(errors="replace")) + 1


def _command(rust: Installed, shared: Path) -> list[str]:
    library, crates = zig.C_LIBRARY.folder(shared), libraries.crates(rust).folder(shared)
    objects = [str(library / name) for name in ("crt1-reactor.o", "libc.a", "libzigc.a", "libcompiler_rt.a")]
    command = [str(rust.rustc), f"--sysroot={rust.sysroot}", "--target", rust.target, *_FLAGS, *_LINK]
    command += ["-C", f"linker={crates / libraries.LINKER}", "-L", "native=."]
    command += [word for argument in (*objects, *_LINK_ARGUMENTS) for word in ("-C", f"link-arg={argument}")]
    command += [*libraries.std_flags(rust, shared), "-L", f"dependency={crates}", "-o", "module.wasm"]
    for name in ("serde", "serde_json", "kiln"):
        (library_of_name,) = (path for path in crates.glob(f"lib{name}-*.rlib"))
        command += ["--extern", f"{name}={library_of_name}"]
    return command
