"""Rust: what a handle may be, how it fails, what authors are told, and what they cannot see of the machine."""

from pathlib import Path

import pytest

from app.toolchains import CompileFailed, CompilerOutOfMemory, CompilerTimedOut
from app.toolchains.jail import JailLimits
from app.toolchains.rust.toolchain import Rust
from app.wasm.outcome import Failure, Outcome
from tests.toolchains.running import SHARED, Compilation, compiled, execute, need

SECRET = "the secret of this machine"


@pytest.fixture(scope="module", autouse=True)
def rust() -> Rust:
    need("rust")
    toolchain = Rust()
    toolchain.prepare(SHARED)
    return toolchain


def function(source: str) -> Compilation:
    return compiled("rust", source.encode())


def answer(source: str, text: str = "7") -> str | None:
    outcome = execute(function(source), text)
    assert outcome.failure is None, outcome
    return outcome.output


def failure(source: str, text: str = "7") -> Outcome:
    outcome = execute(function(source), text)
    assert outcome.output is None
    return outcome


def diagnostics(source: str | bytes, limits: JailLimits | None = None) -> str:
    with pytest.raises(CompileFailed) as caught:
        Rust(limits).compile(source.encode() if isinstance(source, str) else source, shared=SHARED)
    return caught.value.diagnostics


TYPED = """
use serde::{Deserialize, Serialize};
#[derive(Deserialize)]
struct Order { id: u32, lines: Vec<String>, #[serde(default)] note: Option<String> }
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt<'a> { order_id: u32, line_count: usize, kind: &'a str }
"""


@pytest.mark.parametrize(
    ("handle", "output"),
    [
        ("fn handle(order: Order) -> Receipt<'static> { RECEIPT }", None),
        ("pub fn handle(order: Order) -> Result<Receipt<'static>, String> { Ok(RECEIPT) }", None),
        ("pub fn handle(order: Order) -> Result<Receipt<'static>, Box<dyn std::error::Error>> { Ok(RECEIPT) }", None),
        ("pub fn handle(order: Order) -> Result<Receipt<'static>, kiln::Error> { Ok(RECEIPT) }", None),
        ("pub fn handle(order: Order) -> impl Serialize { RECEIPT }", None),
        ("pub fn handle(_: Order) {}", "null"),
        ("pub fn handle((_, order): (u8, Order)) -> Option<u32> { Some(order.id) }", "41"),
        ("pub fn handle(input: serde_json::Value) -> usize { input.as_object().unwrap().len() }", "2"),
    ],
)
def test_a_handle_takes_and_answers_what_serde_knows(handle: str, output: str | None) -> None:
    receipt = (
        'Receipt { order_id: order.id, line_count: order.lines.len(), kind: order.note.map_or("new", |_| "noted") }'
    )
    source = "#![allow(dead_code)]" + TYPED + handle.replace("RECEIPT", receipt)
    order = '{"id": 41, "lines": ["x", "ä"]}'
    text = f"[1, {order}]" if "(u8" in handle else order
    assert answer(source, text) == (output or '{"orderId":41,"lineCount":2,"kind":"new"}')


@pytest.mark.parametrize(
    ("error", "made", "message"),
    [
        ("String", '"no such order".to_string()', "no such order"),
        ("&'static str", '"no such order"', "no such order"),
        ("std::num::ParseIntError", '"x".parse::<u8>().unwrap_err()', "invalid digit found in string"),
        ("Box<dyn std::error::Error>", '"no such order".into()', "no such order"),
        ("Refusal", "Refusal::Unknown(7)", "Unknown(7)"),
    ],
)
def test_an_error_is_told_as_it_is_displayed_or_else_as_it_is_debugged(error: str, made: str, message: str) -> None:
    refusal = "#[derive(Debug)] #[allow(dead_code)] pub enum Refusal { Unknown(u32) }\n"
    outcome = failure(f"{refusal}pub fn handle(_: u8) -> Result<u8, {error}> {{ Err({made}) }}")
    assert (outcome.failure, outcome.message, outcome.location) == (Failure.FUNCTION_ERROR, message, None)


def test_the_error_that_kiln_brings_knows_its_place() -> None:
    source = 'pub fn handle(x: u8) -> Result<u8, kiln::Error> {\n    let y: u8 = "x".parse()?;\n    Ok(x + y)\n}'
    outcome = failure(source)
    assert outcome.message == "invalid digit found in string"
    assert outcome.location is not None
    assert outcome.location.startswith("source.rs:2:")


@pytest.mark.parametrize(
    ("body", "message", "column"),
    [
        ("None::<u8>.unwrap()", "called `Option::unwrap()` on a `None` value", 12),
        ("[1, 2, 3][x as usize]", "index out of bounds: the len is 3 but the index is 7", 1),
        ("x / (x - 7)", "attempt to divide by zero", 1),
        ('std::str::from_utf8(&[255]).expect("text").len() as u8', "text: Utf8Error", 29),
        ("std::panic::panic_any(x)", "panicked", 1),
    ],
)
def test_a_panic_has_its_message_and_the_place_that_called(body: str, message: str, column: int) -> None:
    outcome = failure(f"pub fn handle(x: u8) -> u8 {{\n{body}\n}}")
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message is not None
    assert outcome.message.startswith(message)
    assert outcome.location == f"source.rs:2:{column}"


def test_what_was_printed_before_a_panic_is_kept() -> None:
    outcome = failure('pub fn handle(_: u8) -> u8 { print!("half a line"); panic!() }')
    assert outcome.logs.strip() == "half a line"


def test_input_that_does_not_fit_is_told() -> None:
    outcome = failure("pub fn handle(x: u8) -> u8 { x }", '"seven"')
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message is not None
    assert outcome.message.startswith('the input is not what handle takes: invalid type: string "seven", expected u8')


def test_an_exit_is_the_functions_error() -> None:
    outcome = failure("pub fn handle(x: i32) -> i32 { std::process::exit(x) }")
    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, "The function exited with code 7.")


def test_lines_are_logged_with_their_levels() -> None:
    source = 'pub fn handle(x: u8) { kiln::log(kiln::Level::Warning, format_args!("{x} left")); }'
    assert execute(function(source), "7").logs.splitlines() == ["warning: 7 left"]


def test_what_an_author_forbids_does_not_forbid_what_stands_around() -> None:
    source = (
        "//! What it is.\n#![forbid(unsafe_code)]\n#![deny(warnings)]\npub fn handle(x: u8) -> u8 { crate::inner(x) }\n"
    )
    assert answer(f"{source}fn inner(x: u8) -> u8 {{ let y = 1; x }} // no end of line") == "7"


def test_a_source_is_its_own_crate_with_modules_and_macros() -> None:
    source = """
macro_rules! twice { ($x:expr) => { $crate::add($x, $x) }; }
fn add(a: u64, b: u64) -> u64 { a + b }
mod inner {
    pub mod kiln {
        pub fn four(x: u64) -> u64 { twice!(crate::inner::two(x)) }
    }
    pub(super) fn two(x: u64) -> u64 { twice!(x) }
}
pub fn handle(x: u64) -> u64 { inner::kiln::four(x) }
"""
    assert answer(source) == "28"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "source.rs:1:1: there is no function `fn handle("),
        ("pub fn other() {}", "source.rs:1:1: there is no function `fn handle("),
        ("pub fn handle() -> u8 { 1 }", "source.rs:1:5: handle takes one parameter"),
        (
            "struct In;\n  fn handle(_: In) -> u8 { 1 }",
            "source.rs:2:3: what handle takes must be owned and Deserialize",
        ),
        (
            "pub struct Out;\npub fn handle(_: u8) -> Out { Out }",
            "source.rs:2:5: what handle answers must be Serialize",
        ),
        ("pub fn handle(x: u8) -> u8 {\n  x + (1\n", "source.rs:2:7: this file contains an unclosed delimiter"),
        ("/* never ends", "source.rs:1:1: error[E0758]: unterminated block comment"),
        (
            'pub fn handle(x: u8) -> u8 {\n  let y: u8 = "ä";\n  x + y\n}',
            "source.rs:2:15: error[E0308]: mismatched types: ",
        ),
        (
            'extern "C" { fn nowhere(); }\npub fn handle(_: u8) { unsafe { nowhere() } }',
            "source.rs:1:1: the module cannot",
        ),
        ('pub fn handle(_: u8) -> u8 { format!("{}") }', "source.rs:1:39: error: 1 positional argument"),
    ],
)
def test_an_error_has_its_place_and_nothing_of_ours(source: str, told: str) -> None:
    said = diagnostics(source)
    assert said.startswith(told)
    assert "__export" not in said
    assert "glue" not in said


def test_errors_are_lines_and_warnings_are_in_the_log(rust: Rust) -> None:
    said = diagnostics("pub fn handle(x: u8) -> u8 { one() }\nfn two() -> u8 { three() }").splitlines()
    assert [line.split(" ")[0] for line in said if not line.startswith(" ")] == ["source.rs:1:30:", "source.rs:2:18:"]
    log = rust.compile(b"pub fn handle(x: u8) -> u8 { 1 }", shared=SHARED).log
    assert log.startswith("source.rs:1:15: warning: unused variable: `x`")
    assert len([line for line in log.splitlines() if not line.startswith(" ")]) == 1


def test_a_source_that_is_no_text_is_refused() -> None:
    assert diagnostics(b"pub fn handle(x: u8) -> u8 { x } // \xff").startswith("source.rs:1:")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.rs"
    path.write_text(f"// {SECRET}\n")
    path.chmod(0o644)
    return path


HOSTILE = [
    'const S: &str = include_str!("{secret}");',
    'const S: &[u8] = include_bytes!("{secret}");',
    'include!("{secret}");',
    '#[path = "{secret}"] mod secret;',
    '#[path = "../../../../../../../../../../..{secret}"] mod secret;',
    'core::arch::global_asm!(".incbin \\"{secret}\\"");',
    '#[link(name = "secret", kind = "static")] extern "C" {{}}',
    '#[doc = include_str!("{secret}")] mod documented {{}}',
    'const S: &str = include_str!("/proc/self/environ");',
    'const S: &[u8] = include_bytes!("/etc/passwd");',
    'const S: &[u8] = include_bytes!("/dev/zero");',
    'const S: &str = env!("PATH");',
    'const S: &str = env!("LD_LIBRARY_PATH");',
    'const S: &str = env!("PWD");',
    'const S: &str = env!("CARGO_HOME");',
    "#![feature(proc_macro_hygiene)]",
    "#![feature(rustc_private)]",
    "extern crate libc;",
    "extern crate rustc_driver;",
    "extern crate itoa;",
    "use serde_derive::Serialize;",
    "#[proc_macro] pub fn made(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ loop {{}} }}",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_source_cannot_look_around(secret: Path, line: str) -> None:
    said = diagnostics(f"{line.format(secret=secret)}\npub fn handle(x: u8) -> u8 {{ x }}\n")
    assert said.startswith("source.rs:1:")
    assert SECRET not in said
    assert "root:" not in said


def test_nothing_of_the_machine_is_in_a_module() -> None:
    source = """
const SEEN: [Option<&str>; 6] = [option_env!("HOME"), option_env!("TMPDIR"), option_env!("PATH"), option_env!("PWD"),
    option_env!("RUSTC"), option_env!("USER")];
pub fn handle(x: serde_json::Value) -> Vec<Option<&'static str>> {
    let mut seen = SEEN.to_vec();
    seen.extend([Some(file!()), Some(module_path!()), Some(std::any::type_name_of_val(&x))]);
    seen
}
"""
    made = function(source)
    assert (
        execute(made, "7").output == '[".",".",null,null,null,null,"source.rs","function","serde_json::value::Value"]'
    )
    for path in (str(Path.home()), str(SHARED), "/usr/", "/tmp/", "kiln-job"):
        assert path.encode() not in made.compiled.wasm


def test_the_crate_that_a_source_says_to_be_is_not_believed() -> None:
    assert answer('#![crate_type = "proc-macro"]\npub fn handle(x: u8) -> u8 { x }') == "7"


def test_a_compilation_is_bounded() -> None:
    endless = "const fn spin() -> u64 { let mut n = 0; while n < u64::MAX { n += 1; } n }"
    source = (
        f"#![allow(long_running_const_eval)]\n{endless}\npub fn handle(_: u8) -> u64 {{ const N: u64 = spin(); N }}"
    )
    with pytest.raises(CompilerTimedOut):
        Rust(JailLimits(wall_ms=3000)).compile(source.encode(), shared=SHARED)


def test_a_source_that_multiplies_itself_is_bounded() -> None:
    doubling = "macro_rules! double { ($($t:tt)*) => { double!($($t)* $($t)*); } }\ndouble!(a);"
    with pytest.raises(CompilerOutOfMemory):
        Rust().compile(f"{doubling}\npub fn handle(x: u8) -> u8 {{ x }}".encode(), shared=SHARED)
