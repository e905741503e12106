"""Native code is at hand before the first execution that wants it, and layers find their engine."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
from pytest_celery import CeleryTestSetup

from app.settings import Settings
from tests.acceptance.conftest import Client
from tests.acceptance.processes import LocalProcess
from tests.programs import ECHO


def native_files(settings: Settings) -> list[Path]:
    return sorted((settings.home / "cache" / "native").glob("*/*.cwasm"))


def soon(settings: Settings, count: int) -> bool:
    deadline = time.monotonic() + 20
    while len(native_files(settings)) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(native_files(settings)) == count


def maps_soon(child: psutil.Process, file: Path) -> bool:
    deadline = time.monotonic() + 20
    while not is_mapped(child, file):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_mapped(child: psutil.Process, file: Path) -> bool:
    return any(mapped.path == str(file) for mapped in child.memory_maps())


def test_execute_workers_have_native_code_before_anybody_executes(
    kiln: Client, celery_setup: CeleryTestSetup, settings: Settings, new_worker: Callable[..., LocalProcess]
) -> None:
    # Given workers of both queues, and nothing on their disk
    assert len(celery_setup.worker_cluster) == 2
    assert native_files(settings) == []
    # When a function becomes ready
    function_id = kiln.register("echo", "wat", ECHO)
    kiln.compiled(function_id)
    # Then its code is on disk, though nobody has executed it
    assert soon(settings, 1)
    # And in the memory of every child that may be asked for it
    children = celery_setup.worker_cluster[1].container.children
    assert len(children) == 2
    for child in children:
        assert maps_soon(child, native_files(settings)[0])
    # And where it has been lost, children go on with what they have, and the next worker that starts brings it again
    native_files(settings)[0].unlink()
    answer = kiln("POST", f"/functions/{function_id}/execute", json={"input": {"n": 1}}).json()
    assert (answer["status"], answer["output"]) == ("COMPLETED", {"n": 1})
    assert native_files(settings) == []
    second = new_worker("execute", "second")
    assert soon(settings, 1)
    for child in second.children:
        assert maps_soon(child, native_files(settings)[0])


def test_functions_in_javascript_share_their_engine(kiln: Client, settings: Settings) -> None:
    # Given two functions in JavaScript
    ids = [
        kiln.register(name, "javascript", f"export default (input) => [{name!r}, input];") for name in ("one", "other")
    ]
    for function_id in ids:
        kiln.compiled(function_id)
    # When both are executed
    answers = [kiln("POST", f"/functions/{one}/execute", json={"input": 7}).json()["output"] for one in ids]
    # Then each is itself, with one engine's code on disk
    assert answers == [["one", 7], ["other", 7]]
    assert len(native_files(settings)) == 1


def test_a_trap_is_told_with_its_place(kiln: Client) -> None:
    source = "char *handle(const char *input) {\n    __builtin_trap();\n}\n"
    function_id = kiln.register("traps", "c", source)
    kiln.compiled(function_id)
    answer = kiln("POST", f"/functions/{function_id}/execute", json={}).json()
    assert (answer["errorType"], answer["errorLocation"]) == ("TRAP", "source.c:2:5")
