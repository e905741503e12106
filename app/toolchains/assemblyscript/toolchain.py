"""Compiles AssemblyScript in the jail, by one node process (`compile.mjs`)."""

from pathlib import Path

from app.toolchains.diagnostics import readable, source_failed, unfinished
from app.toolchains.errors import CompileFailed, ToolchainMissing
from app.toolchains.jail import JailResult, run
from app.toolchains.node import ENVIRONMENT, node
from app.toolchains.npm import Packages
from app.toolchains.toolchain import Compiled, Toolchain

_FOLDER = Path(__file__).parent
#: The compiler, and the library that authors may import.
PACKAGES = Packages(_FOLDER)

_MODULE, _ERRORS, _LOG = "module.wasm", "errors.txt", "log.txt"
# The start function is exported, so that what runs before `handle` runs under the runtime's limits and error handling.
_FLAGS = ("-O2", "--exportStart", "_initialize")
_JSON_FLAGS = ("--transform", "json-as")
_NODE_FLAGS = (
    # Binaryen is 10 MB of WebAssembly of which a compilation needs little: optimising it costs more than it wins.
    "--liftoff-only",
    # Node reserves 512 MiB for code besides; the sum stays below the jail's limit, so that node says what happened.
    "--max-old-space-size=512",
)


class AssemblyScript(Toolchain):
    """`export function handle(input: string): string` becomes a module of the memory ABI."""

    language = "assemblyscript"
    extension = "ts"

    def version(self) -> str:
        """The pinned version of asc."""
        return PACKAGES.pinned("assemblyscript")

    def missing(self) -> str | None:
        """Whether node and the pinned packages are there."""
        try:
            node()
        except ToolchainMissing as missing:
            return f"{missing}."
        return None if PACKAGES.installed() else "Its packages are not installed: run python -m app.toolchains.install."

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Compile one source file. Its text decides alone: there are no options for its author."""
        if reason := self.missing():
            raise ToolchainMissing(reason)
        try:
            text = source.decode("utf-8")
        except UnicodeDecodeError as error:
            raise source_failed(self.source_name, f"the source is not UTF-8 (byte {error.start})") from error
        # The transform costs a second, which a source that does not import the library need not pay.
        flags = (*_JSON_FLAGS, *_FLAGS) if "json-as" in text else _FLAGS
        result = run(
            [str(node()), *_NODE_FLAGS, *_permissions(), str(_FOLDER / "compile.mjs"), *flags],
            stdin=source,
            outputs=[_MODULE, _ERRORS, _LOG],
            environment=ENVIRONMENT,
            readable=[_FOLDER, node().parents[1]],
            limits=self.limits,
        )
        wasm = result.outputs.get(_MODULE)
        if result.returncode != 0 or wasm is None:
            raise self._failure(result)
        log = readable(result.outputs.get(_LOG, b""))
        return Compiled(wasm, log, self.language, self.version(), self._flags(flags), result.duration_ms)

    def _flags(self, flags: tuple[str, ...]) -> tuple[str, ...]:
        """The flags with the library's version, which the artifact depends on as well."""
        return tuple(f"{flag}@{PACKAGES.pinned(flag)}" if flag == "json-as" else flag for flag in flags)

    def _failure(self, result: JailResult) -> CompileFailed:
        errors = readable(result.outputs.get(_ERRORS, b""))
        if errors and result.returncode == 1:
            return CompileFailed(errors, readable(result.outputs.get(_LOG, b"")))
        return unfinished(result, self.limits, self.source_name)


def _permissions() -> tuple[str, ...]:
    """Node's own bounds on top of the jail's: two folders; no child processes, worker threads or native add-ons."""
    return ("--permission", f"--allow-fs-read={_FOLDER}", "--allow-fs-read=.", "--allow-fs-write=.")
