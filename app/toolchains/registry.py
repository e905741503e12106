"""The languages. A new one is a file beside this and a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from app.toolchains.assemblyscript import AssemblyScript
from app.toolchains.c.toolchain import C, Cpp
from app.toolchains.errors import UnknownLanguage
from app.toolchains.javascript.toolchain import JavaScript
from app.toolchains.python.toolchain import Python
from app.toolchains.toolchain import Toolchain
from app.toolchains.wasm import Wasm
from app.toolchains.wat import Wat

LANGUAGES: Mapping[str, Toolchain] = MappingProxyType(
    {
        "assemblyscript": AssemblyScript(),
        "c": C(),
        "cpp": Cpp(),
        "javascript": JavaScript(),
        "python": Python(),
        "wat": Wat(),
        "wasm": Wasm(),
    }
)


def toolchain(language: str) -> Toolchain:
    """The toolchain of a language; raises UnknownLanguage."""
    try:
        return LANGUAGES[language]
    except KeyError as error:
        raise UnknownLanguage(language, tuple(LANGUAGES)) from error
