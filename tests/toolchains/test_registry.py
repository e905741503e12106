"""The languages as the rest of the tree sees them."""

import pytest

from app.toolchains import LANGUAGES, ToolchainError, UnknownLanguage, toolchain
from app.toolchains.assemblyscript import AssemblyScript
from tests.toolchains.running import SHARED, need


def test_each_language_is_found_by_its_name() -> None:
    scripted, native = {"assemblyscript", "javascript", "python", "typescript"}, {"c", "cpp", "go", "rust", "zig"}
    assert set(LANGUAGES) == scripted | native | {"wat", "wasm"}
    for name, language in LANGUAGES.items():
        assert toolchain(name) is language
        assert language.language == name
        assert language.version()


def test_an_unknown_language_says_which_there_are() -> None:
    known = ", ".join(LANGUAGES)
    with pytest.raises(UnknownLanguage, match=f"'cobol'; there are {known}") as caught:
        toolchain("cobol")
    assert isinstance(caught.value, ToolchainError)


@pytest.mark.parametrize("name", [name for name, language in LANGUAGES.items() if language.template])
def test_each_template_compiles(assemblyscript: AssemblyScript, name: str) -> None:
    need(name)
    language = LANGUAGES[name]
    assert language.missing() is None
    language.prepare(SHARED)
    assert language.compile(language.template.encode(), shared=SHARED).wasm.startswith(b"\0asm")
