"""Compiles JavaScript: QuickJS, itself WebAssembly, reads the source in the jail, and what its memory then holds is
kept.

Nothing of it is left to do when the function is executed. What is kept is only what differs from an engine that has
read nothing, so all functions share that engine's code.
"""

import re
import sys
from pathlib import Path
from typing import ClassVar

from app.toolchains import zig
from app.toolchains.c.toolchain import FOLDER as C_FOLDER
from app.toolchains.c.toolchain import RUNTIME, clang
from app.toolchains.diagnostics import readable, source_failed, unfinished
from app.toolchains.errors import CompileFailed, ToolchainMissing
from app.toolchains.jail import JailResult, run
from app.toolchains.javascript import quickjs
from app.toolchains.parts import Part, build
from app.toolchains.toolchain import Compiled, Toolchain

_FOLDER = Path(__file__).parent
_PROGRAM = _FOLDER / "image.py"
_PRELUDE = _FOLDER / "prelude.js"
_PYTHON = (sys.executable, "-I", "-B")
_READABLE = (Path(sys.prefix), Path(sys.base_prefix), _FOLDER)
_REFUSED = 3

_FLAGS = ("-O2", "-D_GNU_SOURCE", "-D_WASI_EMULATED_MMAN", "-DNDEBUG", "-w")
_LIBRARIES = ("libc.a", "libzigc.a", "libcompiler_rt.a")
_PLACE = re.compile(r"^(source\.\w+:\d+(?::\d+)?)$", re.MULTILINE)


def _build_engine(folder: Path) -> None:
    """Compile QuickJS and its glue, link them, and keep the module as it is after it has read the prelude."""
    sources = [quickjs.folder() / name for name in quickjs.SOURCES] + [_FOLDER / "engine.c"]
    library, runtime = zig.C_LIBRARY.folder(folder.parent), RUNTIME.folder(folder.parent)
    include = f"-I{quickjs.folder()}"
    objects = [library / "crt1-reactor.o", runtime / "kiln.c.o", *(f"{source.name}.o" for source in sources)]
    link = [zig.zig(), "wasm-ld", *zig.LINK, "--strip-all", "-o", "engine.wasm", *map(str, objects)]
    build(
        folder,
        *(clang(str(source), f"{source.name}.o", *_FLAGS, include) for source in sources),
        [*link, *(str(library / name) for name in _LIBRARIES)],
        [*_PYTHON, str(_PROGRAM), "engine", "engine.wasm", str(_PRELUDE)],
        readable=[zig.home(), C_FOLDER, library, runtime, quickjs.folder(), *_READABLE],
        kept=["base.wasm", "base.cwasm"],
    )


ENGINE = Part(
    "javascript",
    [
        quickjs.VERSION,
        *_FLAGS,
        *zig.LINK,
        *zig.C_LIBRARY.made_of,
        *RUNTIME.made_of,
        *((_FOLDER / name).read_bytes() for name in ("engine.c", "prelude.js", "image.py")),
    ],
    _build_engine,
)


class JavaScript(Toolchain):
    """`export default function handle(input, context)` becomes a layer on the engine."""

    language = "javascript"
    extension = "js"
    is_native = False
    parts = (zig.C_LIBRARY, RUNTIME, ENGINE)
    name: ClassVar[str] = "quickjs-ng"

    def version(self) -> str:
        """The version of QuickJS-NG's package."""
        return quickjs.VERSION

    def missing(self) -> str | None:
        """Whether QuickJS's source and what compiles it are there."""
        if not quickjs.installed():
            return "QuickJS is not installed: run python -m app.toolchains.install."
        return zig.missing()

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Have one module read and evaluated."""
        if not ENGINE.is_made(shared):
            raise ToolchainMissing("the engine of JavaScript is not built yet")
        engine = ENGINE.folder(shared)
        result = run(
            [*_PYTHON, str(_PROGRAM), "function", str(engine / "base.cwasm"), self.source_name],
            stdin=source,
            outputs=["layer.bin", "log.txt"],
            readable=[*_READABLE, engine],
            limits=self.limits,
        )
        layer = result.outputs.get("layer.bin")
        if result.returncode != 0 or layer is None:
            raise self._failure(result)
        log = readable(result.outputs.get("log.txt", b""))
        base = (engine / "base.wasm").read_bytes()
        return Compiled(base, log, self.name, self.version(), (), result.duration_ms, layer=layer)

    def _failure(self, result: JailResult) -> CompileFailed:
        if result.returncode != _REFUSED:
            return unfinished(result, self.limits, self.source_name)
        said = readable(result.stderr)
        place = _PLACE.search(said)
        log = readable(result.outputs.get("log.txt", b""))
        if place is None:
            return source_failed(self.source_name, said, log)
        return CompileFailed(f"{place.group()}: {said.replace(place.group(), '').strip()}", log)
