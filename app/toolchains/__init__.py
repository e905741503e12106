"""Source to WebAssembly: one file per language, one line per language in `registry.py`.

The package owns which languages there are, how each is compiled, what its author is told when that fails, and the jail
in which it happens. It knows nothing of functions, queues or the database: bytes go in, `Compiled` or `CompileFailed`
comes out. What comes out is a module of the memory ABI (`alloc`, `handle`, `memory`), except for `wat` and `wasm`,
whose authors choose; whether the module's shape can be run is for the runtime to say.
"""

from app.toolchains.errors import (
    CompileFailed,
    CompilerExceededOutput,
    CompilerOutOfMemory,
    CompilerTimedOut,
    ToolchainError,
    ToolchainMissing,
    UnknownLanguage,
)
from app.toolchains.registry import LANGUAGES, toolchain
from app.toolchains.toolchain import Compiled, Readiness, SharedModule, State, Toolchain, jail_readiness

__all__ = [
    "LANGUAGES",
    "CompileFailed",
    "Compiled",
    "CompilerExceededOutput",
    "CompilerOutOfMemory",
    "CompilerTimedOut",
    "Readiness",
    "SharedModule",
    "State",
    "Toolchain",
    "ToolchainError",
    "ToolchainMissing",
    "UnknownLanguage",
    "jail_readiness",
    "toolchain",
]
