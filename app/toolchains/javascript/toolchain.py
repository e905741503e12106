"""Compiles JavaScript: the engine reads it, and there is nothing else to do."""

from pathlib import Path

from app.toolchains.javascript import engine, quickjs
from app.toolchains.toolchain import Compiled, SharedModule, Toolchain


class JavaScript(Toolchain):
    """`export default function handle(input, context)` becomes a layer on the engine."""

    language = "javascript"
    extension = "js"
    # The only program that sees the source is WebAssembly itself.
    is_native = False
    parts = engine.PARTS

    def version(self) -> str:
        """The version of QuickJS-NG's package."""
        return quickjs.VERSION

    def missing(self) -> str | None:
        """What the engine lacks."""
        return engine.missing()

    def shared_module(self, shared: Path) -> SharedModule:
        """The engine."""
        return engine.shared_module(shared)

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Have one module read and evaluated."""
        name = self.source_name
        result = engine.read(files={name: source}, script=name, source_name=name, limits=self.limits, shared=shared)
        base, layer, log = engine.outcome(result, source_name=name, limits=self.limits, shared=shared)
        return Compiled(base, log, "quickjs-ng", self.version(), (), result.duration_ms, layer=layer)
