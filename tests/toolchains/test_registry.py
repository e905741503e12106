"""The languages as the rest of the tree sees them."""

import pytest

from app.toolchains import LANGUAGES, ToolchainError, UnknownLanguage, toolchain
from app.toolchains.assemblyscript import AssemblyScript
from tests.toolchains.running import SHARED


def test_each_language_is_found_by_its_name() -> None:
    assert set(LANGUAGES) == {"assemblyscript", "c", "cpp", "javascript", "python", "wat", "wasm"}
    for name, language in LANGUAGES.items():
        assert toolchain(name) is language
        assert language.language == name
        assert language.version()


def test_an_unknown_language_says_which_there_are() -> None:
    known = "assemblyscript, c, cpp, javascript, python, wat, wasm"
    with pytest.raises(UnknownLanguage, match=f"'cobol'; there are {known}") as caught:
        toolchain("cobol")
    assert isinstance(caught.value, ToolchainError)


def test_each_template_compiles(assemblyscript: AssemblyScript) -> None:
    assert assemblyscript.missing() is None
    for language in LANGUAGES.values():
        if language.template:
            language.prepare(SHARED)
            assert language.compile(language.template.encode(), shared=SHARED).wasm.startswith(b"\0asm")
