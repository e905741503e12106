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
    *("-C", "opt-level=s", "-C", "panic=abort", "-C", "debuginfo=line-tables-only", "-C", "embed-bitcode=no"),
    # What an author has forbidden holds for the author; there is a line below that must do it.
    *("--cap-lints", "warn", "--error-format", "json"),
)
_LINK = ("-C", "linker-flavor=wasm-ld", "-C", "link-self-contained=no")
_LINK_ARGUMENTS = (*(word for word in zig.LINK if not word.startswith("--entry")), "--export=_initialize")
#: The libraries ask for a C library by its name, by which the linker does not find it where only root comes (access(2)
#: is not asked by a privilege, but by a user): so an empty one is found, and the real one is named by its path.
_EMPTY_LIBRARY = b"!<arch>\n"
#: What `env!` could read says nothing of this machine, and neither do paths. The shell can tell the directory's name.
_COMPILE = 'export HOME=. TMPDIR=.; exec "$@" "--remap-path-prefix=$PWD=."'

_HANDLE = re.compile(rb"\bfn\s+handle\b")
_NO_HANDLE = "E0425"
_UNDEFINED = re.compile(r"(?:undefined|duplicate) symbol: [^\n]*")


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
        messages, rest = read(result.stderr, source.count(b"\n") + 1)
        wasm = result.outputs.get("module.wasm")
        if result.returncode != 0 or wasm is None:
            raise self._failure(result, source, messages, rest)
        log = "\n".join(str(message) for message in messages if message.is_theirs)
        flags = (f"--target={rust.target}", *_FLAGS, *_LINK, *_LINK_ARGUMENTS)
        return Compiled(wasm, readable(log), "rustc", rust.version, flags, result.duration_ms)

    def _failure(self, result: JailResult, source: bytes, messages: Sequence[Message], rest: str) -> CompileFailed:
        errors = [message for message in messages if message.level == "error"]
        if any(message.code == _NO_HANDLE and not message.is_theirs for message in errors):
            return source_failed(self.source_name, f"there is no function `{_SIGNATURE}`", readable(rest))
        if undefined := [symbol for message in errors for symbol in _UNDEFINED.findall(message.text)]:
            return source_failed(self.source_name, f"the module cannot be linked: {'; '.join(undefined)}")
        placed = [message for message in errors if message.line]
        if result.returncode == 1 and placed:
            warnings = [str(message) for message in messages if message.level == "warning" and message.is_theirs]
            return CompileFailed(readable("\n".join(map(str, placed))), readable("\n".join(warnings)))
        return unfinished(result, self.limits, self.source_name)


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
