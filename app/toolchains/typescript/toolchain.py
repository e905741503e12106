"""Compiles TypeScript: its compiler checks the types and writes JavaScript with a source map, in the same jail in which
JavaScript's engine then reads that.

The compiler is the native one, which checks a function in a tenth of a second: so types are checked, and not only
taken away.
"""

import re
from pathlib import Path

from app.toolchains.diagnostics import readable
from app.toolchains.errors import CompileFailed, ToolchainMissing
from app.toolchains.jail import JailResult
from app.toolchains.javascript import engine, quickjs
from app.toolchains.npm import Packages
from app.toolchains.toolchain import Compiled, SharedModule, Toolchain

_FOLDER = Path(__file__).parent
PACKAGES = Packages(_FOLDER)

_FLAGS = (
    *("--ignoreConfig", "--strict", "--noEmitOnError", "--sourceMap", "--skipLibCheck", "--pretty", "false"),
    *("--target", "es2023", "--lib", "es2023", "--module", "esnext", "--moduleDetection", "force", "--types", ""),
)
_DIAGNOSTIC = re.compile(r"^(?:(\S+?)\((\d+),(\d+)\): )?error (TS\d+: .*)$", re.MULTILINE)
#: The compiler advises to install what cannot be installed.
_NO_MODULE = re.compile(r"^TS(?:2307|2591|2792): Cannot find (?:name|module) '(.*?)'.*")
_SAID_OF_MODULES = r"TS2307: there is no module '\1': a function is one file"


class TypeScript(Toolchain):
    """`export default function handle(input: Input, context: KilnContext): Output` becomes a layer on the engine."""

    language = "typescript"
    extension = "ts"
    parts = engine.PARTS

    def version(self) -> str:
        """The pinned version of the compiler."""
        return PACKAGES.pinned("typescript")

    def missing(self) -> str | None:
        """Whether the compiler is there, and what the engine lacks."""
        if not PACKAGES.installed():
            return "The TypeScript compiler is not installed: run python -m app.toolchains.install."
        return engine.missing()

    def shared_module(self, shared: Path) -> SharedModule:
        """The engine."""
        return engine.shared_module(shared)

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Check and translate one module, and have that read and evaluated."""
        name, compiler = self.source_name, _compiler()
        result = engine.read(
            [str(compiler), *_FLAGS, name, str(_FOLDER / "kiln.d.ts")],
            files={name: source},
            script="source.js",
            source_name=name,
            source_map="source.js.map",
            readable=[compiler.parent, _FOLDER],
            limits=self.limits,
            shared=shared,
        )
        if errors := self._errors(result):
            raise errors
        base, layer, log = engine.outcome(result, source_name=name, limits=self.limits, shared=shared)
        flags = (*_FLAGS, f"quickjs-ng@{quickjs.VERSION}")
        return Compiled(base, log, "typescript", self.version(), flags, result.duration_ms, layer=layer)

    def _errors(self, result: JailResult) -> CompileFailed | None:
        """What the compiler said; what it says of another file than the author's is said of the whole."""
        said = readable(result.stdout)
        found = []
        for file, line, column, message in _DIAGNOSTIC.findall(said):
            place = f"{line}:{column}" if file == self.source_name else "1:1"
            found.append(f"{self.source_name}:{place}: {_NO_MODULE.sub(_SAID_OF_MODULES, message)}")
        return CompileFailed("\n".join(found), said) if found else None


def _compiler() -> Path:
    """The native program, in the package for this machine; raises ToolchainMissing."""
    for path in (_FOLDER / "node_modules" / "@typescript").glob("typescript-*/lib/tsc"):
        return path
    raise ToolchainMissing("the TypeScript compiler has no program for this machine")
