"""What this package raises; a guest's own failure is never among it."""


class WasmError(Exception):
    """The WebAssembly host failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class AlreadyRunning(WasmError):
    """Another function is running in this process."""


class EngineFailed(WasmError):
    """The engine could not run the module, and not by the module's fault."""


class ModuleRefused(WasmError):
    """The module is not valid, or larger than what is compiled here."""


class UnsupportedModule(WasmError):
    """The module has none of the shapes that run here."""


class NativeCodeRefused(WasmError):
    """The native code is not what was sealed here, or was made for another engine."""


class PrecompileFailed(WasmError):
    """The compiler ended without an answer."""


class LayerRefused(WasmError):
    """The layer is not what a compiler makes."""
