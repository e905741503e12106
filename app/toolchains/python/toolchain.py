"""Compiles Python to what CPython reads: that is itself a component, which is built once.

The component is built in the jail by componentize-py of the files in `guest`, which have read what authors may import.
It is the same component that compiles a source to bytecode in the jail, and says what is wrong with it.
"""

import sys
from codecs import BOM_UTF8
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

from app.toolchains.diagnostics import readable, unfinished
from app.toolchains.errors import CompileFailed, ToolchainMissing
from app.toolchains.jail import JailResult, run
from app.toolchains.parts import Part, build
from app.toolchains.toolchain import Compiled, SharedModule, Toolchain

_GUEST = Path(__file__).parent / "guest"
_APP = Path(__file__).parents[2]
_REFUSED = 3
_READABLE = (Path(sys.prefix), Path(sys.base_prefix))
_BUILDER = "componentize-py"

_BUILD = "import sys; from componentize_py import script; sys.exit(script())"
# The engine's own program. It is named and not imported, because toolchains know nothing of what runs their modules;
# the package is given as a bare name, because the jail has nothing else of the application.
_CHILD = f"""
import sys, types
app = types.ModuleType("app")
app.__path__ = [{str(_APP)!r}]
sys.modules["app"] = app
from app.wasm.python_child import main
sys.exit(main(sys.argv[1:]))
"""
_PYTHON = (sys.executable, "-I", "-B", "-c")
# Without WASI: the component then has no imports but those of its world.
_FLAGS = ("--stub-wasi",)


@cache
def _version() -> str:
    try:
        return version_of(_BUILDER)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """What native code is made for; a folder may have come from another machine."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _build(folder: Path) -> None:
    componentize = [*_PYTHON, _BUILD, "--quiet", "-d", str(_GUEST), "-w", "function", "componentize"]
    build(
        folder,
        [*componentize, "-p", str(_GUEST), *_FLAGS, "-o", "python.wasm", "kiln_runner"],
        [*_PYTHON, _CHILD, "native", "python.wasm"],
        readable=[_APP],
        kept=["python.wasm", "python.cwasm"],
    )


COMPONENT = Part(
    "python",
    [
        _version(),
        version_of("wasmtime"),
        _processor(),
        *_FLAGS,
        *((_APP / "wasm" / name).read_bytes() for name in ("engine.py", "limits.py")),
        *(path.read_bytes() for path in sorted(_GUEST.iterdir()) if path.is_file()),
    ],
    _build,
)


class Python(Toolchain):
    """`def handle(input, context)` becomes a layer on CPython: bytecode, and the source for the log."""

    language = "python"
    extension = "py"
    is_native = False
    parts = (COMPONENT,)
    least_memory_mb = 32

    def version(self) -> str:
        """The version of componentize-py, which brings CPython 3.14."""
        return _version()

    def missing(self) -> str | None:
        """Whether componentize-py is there."""
        return None if _version() else f"The package {_BUILDER} is not installed; it is among the requirements."

    def shared_module(self, shared: Path) -> SharedModule:
        """CPython."""
        folder = COMPONENT.folder(shared)
        return SharedModule(folder / "python.wasm", folder / "python.cwasm")

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Have one source read."""
        if not COMPONENT.is_made(shared):
            raise ToolchainMissing("CPython is not built yet")
        module = self.shared_module(shared)
        result = run(
            [*_PYTHON, _CHILD, "translate", str(module.native)],
            stdin=source.removeprefix(BOM_UTF8),
            outputs=["layer.bin"],
            readable=[*_READABLE, _APP, module.wasm.parent],
            limits=self.limits,
        )
        layer = result.outputs.get("layer.bin")
        if result.returncode != 0 or layer is None:
            raise self._failure(result)
        return Compiled(
            wasm=module.wasm.read_bytes(),
            log="",
            toolchain=_BUILDER,
            toolchain_version=self.version(),
            flags=_FLAGS,
            duration_ms=result.duration_ms,
            layer=layer,
            native=module.native,
        )

    def _failure(self, result: JailResult) -> CompileFailed:
        if result.returncode != _REFUSED:
            return unfinished(result, self.limits, self.source_name)
        return CompileFailed(f"{self.source_name}:{readable(result.stderr)}")
