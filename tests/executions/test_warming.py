"""What is executed is in a child's memory before anybody asks for it, and asking for it never depends on that."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime
import wasmtime.component
from flask.testing import FlaskClient

from app.executions import queries, warming
from app.functions import modules as keeping
from app.functions.arrivals import Arrivals
from app.functions.modules import Modules
from app.functions.native_cache import NativeCache
from app.platform import Platform
from app.wasm.engine import component_engine, engine
from app.wasm.errors import AlreadyRunning
from app.wasm.limits import Limits
from app.wasm.run import prepare, run, warm_up
from tests.api.answers import register, registered_ready
from tests.patience import until
from tests.programs import ECHO
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]


def echoes(client: FlaskClient, workbench: Workbench, rows: Rows, count: int = 1) -> list[str]:
    """The artifacts of functions that are READY."""
    for number in range(count):
        registered_ready(client, workbench, f"echo-{number}", ECHO.replace("1024", str(1024 + number)))
    return [digest for (digest,) in rows("SELECT artifact_digest FROM versions ORDER BY compiled_at")]


def file_of(platform: Platform, digest: str) -> Path:
    (path,) = (platform.settings.home / "cache" / "native").glob(f"*/{digest}.cwasm")
    return path


def test_what_is_renamed_into_a_directory_is_told_at_once(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    arrivals = iter(Arrivals(inside))
    (inside / "draft").write_text("is written there")
    outside.write_text("comes whole")
    outside.rename(inside / "first")
    (inside / "draft").rename(inside / "ä second, of a longer name")
    assert [next(arrivals), next(arrivals)] == ["first", "ä second, of a longer name"]
    with pytest.raises(OSError, match="inotify_add_watch"):
        Arrivals(tmp_path / "absent")


def test_what_is_on_disk_is_loaded_before_it_is_asked_for(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    (digest,) = echoes(client, workbench, rows)
    modules = Modules(platform)
    # Given native code that is not on disk: nobody fetches it for a hint
    assert not modules.preload(digest)
    assert not modules.holds(digest)
    # When it is brought
    assert NativeCache(platform).hold(digest)
    # Then it is loaded once, and is what is executed
    assert [modules.preload(digest), modules.preload(digest)] == [True, False]
    assert modules.holds(digest)
    outcome = run(modules.load(digest), "7", limits=Limits(), context={}, environment={})
    assert outcome.output == "7"


def test_a_damaged_file_is_not_loaded_and_is_mended_by_who_needs_it(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    (digest,) = echoes(client, workbench, rows)
    NativeCache(platform).hold(digest)
    path = file_of(platform, digest)
    path.write_bytes(path.read_bytes()[:-1] + b"\x00\x01")
    modules = Modules(platform)
    assert not modules.preload(digest)
    outcome = run(modules.load(digest), "7", limits=Limits(), context={}, environment={})
    assert outcome.output == "7"


def test_what_nobody_asked_for_is_the_first_to_leave_the_disk(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    (digest,) = echoes(client, workbench, rows)
    NativeCache(platform).hold(digest)
    os.utime(file_of(platform, digest), (1, 1))
    modules = Modules(platform)
    modules.preload(digest)
    assert file_of(platform, digest).stat().st_mtime == 1
    modules.load(digest)
    assert file_of(platform, digest).stat().st_mtime > 1


def test_a_child_keeps_so_many_modules_and_no_more(
    client: FlaskClient,
    workbench: Workbench,
    platform: Platform,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "MODULES_IN_MEMORY", 2)
    first, second, third = echoes(client, workbench, rows, 3)
    modules = Modules(platform)
    modules.load(first)
    for digest in (second, third):
        NativeCache(platform).hold(digest)
        modules.preload(digest)
        modules.load(first)
    assert [modules.holds(digest) for digest in (first, second, third)] == [True, False, True]


def test_a_child_loads_what_is_executed_most_and_then_what_comes(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    before, after = echoes(client, workbench, rows, 2)
    function_id = rows("SELECT function_id FROM versions WHERE artifact_digest = %s", before)[0][0]
    client.post(f"/functions/{function_id}/execute", json={}, headers={"Prefer": "respond-async"})
    cache, modules = NativeCache(platform), Modules(platform)
    cache.hold(before)
    threading.Thread(target=warming.keep_warm, args=(platform, modules), daemon=True).start()
    until(lambda: modules.holds(before))
    assert not modules.holds(after)
    cache.hold(after)
    until(lambda: modules.holds(after))


def test_modules_that_functions_share_come_first(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    echo = registered_ready(client, workbench)["id"]
    register(client, "js", "export default (input) => input;", language="javascript")
    workbench.drain()
    for _ in range(3):
        client.post(f"/functions/{echo}/execute", json={}, headers={"Prefer": "respond-async"})
    platform: Platform = client.application.extensions["kiln"]
    with platform.database.statement() as connection:
        found = queries.most_used(connection, most=10)
    languages = dict(rows("SELECT artifact_digest, language FROM versions"))
    assert [languages[digest] for digest in found] == ["javascript", "wat"]


def test_a_process_is_warmed_up_without_anybodys_module() -> None:
    warm_up()
    prepare(wasmtime.Module(engine(), bytes(wasmtime.wat2wasm(ECHO))))
    component = wasmtime.component.Component(component_engine(), bytes(wasmtime.wat2wasm("(component)")))
    prepare(component)


def test_a_module_may_be_prepared_while_another_runs() -> None:
    module = wasmtime.Module(engine(), bytes(wasmtime.wat2wasm(ECHO)))
    seen = list[int]()

    def look() -> None:
        while not done.is_set():
            prepare(wasmtime.Module(engine(), bytes(wasmtime.wat2wasm(ECHO))))
            seen.append(1)

    done = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(200):
            assert run(module, str(number), limits=Limits(), context={}, environment={}).output == str(number)
    except AlreadyRunning:
        pytest.fail("to prepare is not to run")
    finally:
        done.set()
        thread.join()
    assert seen
