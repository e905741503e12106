"""The languages. A new one is a file beside this and a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from app.toolchains.assemblyscript import AssemblyScript
from app.toolchains.c.toolchain import C, Cpp
from app.toolchains.errors import UnknownLanguage
from app.toolchains.go.toolchain import Go
from app.toolchains.javascript.toolchain import JavaScript
from app.toolchains.python.toolchain import Python
from app.toolchains.rust.toolchain import Rust
from app.toolchains.toolchain import Toolchain
from app.toolchains.typescript.toolchain import TypeScript
from app.toolchains.wasm import Wasm
from app.toolchains.wat import Wat
from app.toolchains.zig.toolchain import Zig

LANGUAGES: Mapping[str, Toolchain] = MappingProxyType(
    {
        "assemblyscript": AssemblyScript(),
        "c": C(),
        "cpp": Cpp(),
        "go": Go(),
        "javascript": JavaScript(),
        "python": Python(),
        "rust": Rust(),
        "typescript": TypeScript(),
        "wat": Wat(),
        "wasm": Wasm(),
        "zig": Zig(),
    }
)


def toolchain(language: str) -> Toolchain:
    """The toolchain of a language; raises UnknownLanguage."""
    try:
        return LANGUAGES[language]
    except KeyError as error:
        raise UnknownLanguage(language, tuple(LANGUAGES)) from error
