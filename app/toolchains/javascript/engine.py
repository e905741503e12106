"""QuickJS as WebAssembly: built once, it reads JavaScript in the jail, and what its memory then holds is kept.

Nothing of it is left to do when the function is executed. What is kept is only what differs from an engine that has
read nothing, so all functions share that engine's code.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.toolchains import zig
from app.toolchains.c.toolchain import FOLDER as C_FOLDER
from app.toolchains.c.toolchain import RUNTIME, clang
from app.toolchains.diagnostics import readable, source_failed, unfinished
from app.toolchains.errors import CompileFailed, ToolchainMissing
from app.toolchains.jail import JailLimits, JailResult, run
from app.toolchains.javascript import quickjs
from app.toolchains.parts import Part, build
from app.toolchains.toolchain import SharedModule

_FOLDER = Path(__file__).parent
_PROGRAM = _FOLDER / "image.py"
_PRELUDE = _FOLDER / "prelude.js"
_PYTHON = (sys.executable, "-I", "-B")
_READABLE = (Path(sys.prefix), Path(sys.base_prefix), _FOLDER)
_REFUSED = 3
_LAYER, _LOG = "layer.bin", "log.txt"

_FLAGS = ("-O2", "-D_GNU_SOURCE", "-DNDEBUG", "-w")
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


#: All that has to be there before JavaScript can be read.
PARTS = (zig.C_LIBRARY, RUNTIME, ENGINE)


def shared_module(shared: Path) -> SharedModule:
    """The engine that has read nothing but the prelude."""
    return SharedModule(ENGINE.folder(shared) / "base.wasm")


def missing() -> str | None:
    """Whether QuickJS's source and what compiles it are there, as a sentence."""
    if not quickjs.installed():
        return "QuickJS is not installed: run python -m app.toolchains.install."
    return zig.missing()


def read(
    *before: Sequence[str],
    files: Mapping[str, bytes],
    script: str,
    source_name: str,
    source_map: str = "",
    readable: Sequence[Path] = (),
    limits: JailLimits,
    shared: Path,
) -> JailResult:
    """Have the engine read the file `script`, which the commands `before` may have made of `files`, under the name of
    the author's source; `source_map` is a file that says where in that source a place of the script came from.

    Raises ToolchainMissing before the engine is built.
    """
    if not ENGINE.is_made(shared):
        raise ToolchainMissing("the engine of JavaScript is not built yet")
    engine = ENGINE.folder(shared)
    program = [*_PYTHON, str(_PROGRAM), "function", str(engine / "base.cwasm"), source_name, script, source_map]
    return run(
        *before,
        program,
        files=files,
        outputs=[_LAYER, _LOG],
        readable=[*_READABLE, engine, *readable],
        limits=limits,
    )


def outcome(result: JailResult, *, source_name: str, limits: JailLimits, shared: Path) -> tuple[bytes, bytes, str]:
    """The engine, the layer on it, and what was printed meanwhile; raises CompileFailed where the source was
    refused.
    """
    log = readable(result.outputs.get(_LOG, b""))
    layer = result.outputs.get(_LAYER)
    if result.returncode == 0 and layer is not None:
        return shared_module(shared).wasm.read_bytes(), layer, log
    if result.returncode != _REFUSED:
        raise unfinished(result, limits, source_name)
    said = readable(result.stderr)
    place = _PLACE.search(said)
    if place is None:
        raise source_failed(source_name, said, log)
    raise CompileFailed(f"{place.group()}: {said.replace(place.group(), '').strip()}", log)
