"""The component that is CPython, as the runtime sees it: told from what users send, bounded, usable after a fork."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import wasmtime
from wasmtime.component import Component

from app.functions import artifacts
from app.functions.domain import digest_of
from app.toolchains import LANGUAGES, CompileFailed
from app.toolchains.python.toolchain import COMPONENT
from app.wasm.engine import component_engine, engine
from app.wasm.errors import AlreadyRunning, LayerRefused, ModuleRefused, PrecompileFailed, UnsupportedModule
from app.wasm.layer import Layer, Script, read
from app.wasm.limits import MIB, Limits
from app.wasm.native import load, precompile, precompile_component
from app.wasm.outcome import Failure, Outcome
from app.wasm.precompile import COMMAND, parse_reply
from app.wasm.run import interrupt, run, translate
from tests.toolchains.running import SHARED
from tests.wasm.modules import ECHO, module_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def native() -> Path:
    LANGUAGES["python"].prepare(SHARED)
    return COMPONENT.folder(SHARED) / "python.cwasm"


@pytest.fixture(scope="module")
def cpython(native: Path) -> Component:
    component = load(native)
    assert isinstance(component, Component)
    return component


def script(component: Component, line: str) -> Script:
    source = f"def handle(input, context):\n    {line}\n"
    outcome = translate(component, source, limits=Limits())
    assert outcome.output is not None, outcome
    return Script(outcome.output, source)


def invoke(component: Component, line: str, given: str = "{}", limits: Limits | None = None) -> Outcome:
    layer = script(component, line)
    return run(component, given, layer=layer, limits=limits or Limits(), context={}, environment={})


def test_each_execution_is_an_instance_of_its_own(cpython: Component) -> None:
    layer = script(cpython, "import json; seen = getattr(json, 'seen', 0); json.seen = 1; return [seen, input]")
    for number in range(20):
        outcome = run(cpython, str(number), layer=layer, limits=Limits(), context={}, environment={})
        assert outcome.output == f"[0,{number}]"


def test_a_component_of_a_user_is_refused_everywhere() -> None:
    ours = (COMPONENT.folder(SHARED) / "python.wasm").read_bytes()
    foreign = bytes(wasmtime.wat2wasm("(component)"))
    for component, message in ((ours, "bytes; at most"), (foreign, "not components")):
        with pytest.raises(ModuleRefused, match=message):
            precompile(component)
        with pytest.raises(CompileFailed, match=message):
            artifacts.build(component)
        with pytest.raises(CompileFailed, match="components cannot be run here"):
            LANGUAGES["wasm"].compile(component, shared=SHARED)
    with pytest.raises(wasmtime.WasmtimeError):
        Component(engine(), foreign)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(component)", "lacks"),
        ('(component (import "files" (func)))', "files"),
        ('(component (import "wasi:cli/environment@0.2.0" (instance)))', "wasi:cli/environment"),
    ],
)
def test_a_component_that_is_not_this_one_has_no_shape(text: str, message: str) -> None:
    with pytest.raises(UnsupportedModule, match=message):
        precompile_component(bytes(wasmtime.wat2wasm(text)))


def test_a_module_is_no_component_and_neither_is_garbage() -> None:
    for wasm in (bytes(wasmtime.wat2wasm(ECHO)), b"", b"\0asm\x0d\0\1\0\xff"):
        given = subprocess.run([*COMMAND, "--component"], input=wasm, capture_output=True, timeout=60, check=False)
        with pytest.raises(PrecompileFailed):
            parse_reply(given.stdout)


def test_native_code_says_of_what_it_is(native: Path, tmp_path: Path) -> None:
    path = tmp_path / "echo.native"
    path.write_bytes(precompile(bytes(wasmtime.wat2wasm(ECHO))).native)

    assert isinstance(load(path), wasmtime.Module)
    assert isinstance(load(native), Component)


def test_native_code_is_made_again_of_what_the_database_holds(native: Path, tmp_path: Path) -> None:
    artifact = artifacts.build_again(native.with_suffix(".wasm").read_bytes())

    path = tmp_path / "again.cwasm"
    path.write_bytes(artifact.native)
    component = load(path)
    assert isinstance(component, Component)
    assert invoke(component, "return input", "[1]").output == "[1]"
    assert artifact.digest == digest_of(native.with_suffix(".wasm").read_bytes())


def test_a_layer_is_for_its_own_kind_of_program(cpython: Component) -> None:
    module = module_of(ECHO)
    mine, theirs = script(cpython, "return 1"), Layer(1, ())
    assert read(cpython, mine.dump()) == mine
    for program, layer in ((module, mine), (cpython, theirs), (cpython, None)):
        with pytest.raises(LayerRefused):
            run(program, "{}", layer=layer, limits=Limits(), context={}, environment={})
    for content in (b"\xff\n", b"abc\n\xff"):
        with pytest.raises(LayerRefused):
            read(cpython, content)


@pytest.mark.parametrize("code", ["", "!", "AAAA", "4wAAAA==", "gAAAAAA="])
def test_code_that_is_none_ends_only_its_execution(cpython: Component, code: str) -> None:
    outcome = run(cpython, "{}", layer=Script(code, ""), limits=Limits(), context={}, environment={})
    assert outcome.failure in {Failure.FUNCTION_ERROR, Failure.TRAP}
    assert invoke(cpython, "return 1").output == "1"


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("import wit_world; wit_world.random(1 << 30)", Failure.FUNCTION_ERROR),
        ("import wit_world; wit_world.fail('TIMEOUT', 'x' * (20 << 20), 'y' * (20 << 20))", Failure.FUNCTION_ERROR),
        ("import wit_world; wit_world.fail('no such failure', '', '/etc/passwd:1')", Failure.FUNCTION_ERROR),
        ("import wit_world; wit_world.log('é' * (20 << 20), True); raise ValueError", Failure.FUNCTION_ERROR),
        ("import wit_world; wit_world.sleep((1 << 64) - 1)", Failure.TIMEOUT),
        ("return 'é' * (20 << 20)", Failure.OUTPUT_TOO_LARGE),
        ("import os; os.abort()", Failure.TRAP),
        ("import faulthandler; faulthandler._sigsegv()", Failure.TRAP),
        ("exec((lambda: 0).__code__.replace(co_code=b'\\xff' * 64, co_stacksize=1))", Failure.FUNCTION_ERROR),
    ],
)
def test_what_a_guest_asks_of_its_host_is_bounded(cpython: Component, line: str, failure: Failure) -> None:
    outcome = invoke(cpython, line, limits=Limits(memory_bytes=256 * MIB, timeout_ms=2_000))
    assert outcome.output is None
    assert outcome.failure in {failure, Failure.TRAP}
    assert outcome.message is not None
    assert len(outcome.message) < 5_000
    assert len(outcome.logs) < 70_000
    assert outcome.location in {None, "source.py:2"}


def test_half_of_a_surrogate_pair_does_not_reach_the_guest(cpython: Component) -> None:
    layer = script(cpython, "return [input, context['executionId']]")
    outcome = run(cpython, '"\ud800"', layer=layer, limits=Limits(), context={"executionId": "1"}, environment={})
    assert outcome.output == '["?","1"]'


def test_only_one_function_runs_in_a_process_whatever_its_kind(cpython: Component) -> None:
    layer, module = script(cpython, "import time; time.sleep(1)"), module_of(ECHO)
    kept = {"limits": Limits(timeout_ms=5_000), "context": {}, "environment": {}}
    thread = threading.Thread(target=run, args=(cpython, "{}"), kwargs=kept | {"layer": layer})
    thread.start()
    time.sleep(0.3)
    with pytest.raises(AlreadyRunning):
        run(module, "{}", limits=Limits(), context={}, environment={})
    thread.join()
    assert run(module, "{}", limits=Limits(), context={}, environment={}).output == "{}"


def test_an_interrupted_function_ends(cpython: Component) -> None:
    layer = script(cpython, "while True: pass")
    timer = threading.Timer(0.3, interrupt)
    timer.start()
    started = time.monotonic()
    outcome = run(cpython, "{}", layer=layer, limits=Limits(timeout_ms=20_000), context={}, environment={})
    assert outcome.failure is Failure.TIMEOUT
    assert time.monotonic() - started < 2


FORK = """
import os, sys
from pathlib import Path
from app.wasm.engine import component_engine
from app.wasm.limits import Limits
from app.wasm.layer import Script
from app.wasm.native import load
from app.wasm.run import run, translate
from tests.wasm.modules import ECHO, invoke

def check():
    component = load(Path(sys.argv[1]))
    for line in ("return input", "while True: pass", "import time; time.sleep(9)", "return {1}"):
        source = "def handle(input):\\n  print('said')\\n  " + line
        layer = Script(translate(component, source, limits=Limits()).output, source)
        outcome = run(component, "[1]", layer=layer, limits=Limits(timeout_ms=300), context={}, environment={})
        print(outcome.output, outcome.failure, outcome.logs.strip(), flush=True)
    assert invoke(ECHO).output == "{}"

check()
mine = component_engine()
for _ in range(2):
    child = os.fork()
    if child == 0:
        assert component_engine() is not mine
        check()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
check()
"""


def test_a_forked_child_runs_after_its_parent_ran(native: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(native)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    once = ["[1] None said", "None TIMEOUT said", "None TIMEOUT said", "None INVALID_OUTPUT said"]
    assert done.stdout.splitlines() == once * 4, done.stderr
    assert (done.returncode, done.stderr) == (0, "")


def test_the_engine_for_components_is_one_of_its_own() -> None:
    assert component_engine() is component_engine()
    assert component_engine() is not engine()
