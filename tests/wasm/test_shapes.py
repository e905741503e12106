"""Which modules run, and why the others do not."""

import pytest

from app.wasm.errors import UnsupportedModule
from app.wasm.shapes import Shape, shape_of
from tests.wasm.modules import ALLOC, COMMAND_ECHO, ECHO, ECHO_HANDLE, MEMORY, assemblyscript, module_of


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (ECHO, Shape.MEMORY_ABI),
        (COMMAND_ECHO, Shape.WASI_COMMAND),
        (assemblyscript("(local.get $s)"), Shape.ASSEMBLYSCRIPT),
    ],
)
def test_a_shape_is_told_from_its_exports(text: str, shape: Shape) -> None:
    assert shape_of(module_of(text)) is shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(module)", "It exports nothing."),
        (f'(module {MEMORY} (func (export "main")))', "It exports memory, main () -> ()."),
        (f"(module (memory 1) {ALLOC} {ECHO_HANDLE})", "It exports alloc (i32) -> (i32), handle (i32 i32) -> (i64)."),
        (f'(module {MEMORY} {ALLOC} (func (export "handle")))', "handle () -> ()."),
        (
            f'(module (import "env" "nothing" (func)) {MEMORY} {ALLOC} {ECHO_HANDLE})',
            "import env.nothing does not exist",
        ),
        (f'(module (import "env" "abort" (func)) {MEMORY} {ALLOC} {ECHO_HANDLE})', "(i32 i32 i32 i32) -> () here"),
        (f'(module (import "env" "memory" (memory 1)) {ALLOC} {ECHO_HANDLE})', "env.memory is not a function"),
        (f'(module {MEMORY} {ALLOC} {ECHO_HANDLE} (func (export "_initialize") (param i32)))', "_initialize must be"),
    ],
)
def test_what_cannot_run_is_refused_with_what_was_found(text: str, message: str) -> None:
    with pytest.raises(UnsupportedModule) as refused:
        shape_of(module_of(text))

    assert message in str(refused.value)


def test_a_long_list_of_exports_is_cut() -> None:
    many = " ".join(f'(func (export "f{number}"))' for number in range(500))
    with pytest.raises(UnsupportedModule, match=r"f19 \(\) -> \(\) and 480 more\.$"):
        shape_of(module_of(f"(module {many})"))
