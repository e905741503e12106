"""Languages whose shared parts are still being built, and what is left of functions that share a module."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.functions import languages, preparing, seed
from app.operations.upkeep import purge_deleted
from app.platform import Platform
from app.settings import Settings
from tests.api.answers import register
from tests.workbench import Workbench

C = "char *handle(const char *input) { return (char *)input; }"
Rows = Callable[..., list[Any]]


@pytest.fixture
def unprepared(settings: Settings) -> Callable[[], None]:
    """A machine on which nothing has been built; calling it puts back what has been."""
    toolchains = settings.home / "toolchains"
    built = toolchains.readlink()
    toolchains.unlink()
    toolchains.mkdir()

    def put_back() -> None:
        toolchains.rmdir()
        toolchains.symlink_to(built)

    return put_back


def test_a_function_waits_for_its_language_and_loses_no_attempt(
    client: FlaskClient, workbench: Workbench, rows: Rows, unprepared: Callable[[], None]
) -> None:
    # Given a function whose language is not there yet, and one whose is
    waiting, other = register(client, "waits", C, language="c")["id"], register(client, "goes")["id"]
    # When a worker looks at both
    workbench.drain()
    # Then the one waits, untouched, and the other does not wait for it
    assert client.get(f"/functions/{other}").get_json()["status"] == "READY"
    assert client.get(f"/functions/{waiting}").get_json()["status"] == "PENDING"
    assert rows("SELECT state, deliveries, losses FROM broker.messages") == [("delayed", 1, 0)]
    assert rows("SELECT compile_attempts FROM versions WHERE function_id = %s", waiting) == [(0,)]
    # And when its language has been prepared, it is compiled
    unprepared()
    rows("UPDATE broker.messages SET state = 'ready', ready_at = now()")
    workbench.drain()
    assert client.get(f"/functions/{waiting}").get_json()["status"] == "READY"


def test_examples_of_languages_that_are_being_prepared_are_not_waited_for(
    client: FlaskClient, platform: Platform, rows: Rows
) -> None:
    function_id = register(client, "waits", C, language="c")["id"]
    rows("INSERT INTO compilers (worker, language, state, version) VALUES ('compile@there', 'c', 'preparing', '1')")
    assert languages.is_preparing(platform, "c")
    assert not languages.is_preparing(platform, "wat")
    began = time.monotonic()
    assert seed.await_compilation(platform, function_id) == "PENDING"
    assert time.monotonic() - began < seed.PATIENCE_SECONDS / 2


def test_what_functions_share_is_there_before_the_first_of_them_and_stays(
    client: FlaskClient, workbench: Workbench, platform: Platform, settings: Settings, rows: Rows
) -> None:
    # Given a worker that has prepared the languages, and nobody who has used them
    kept = preparing.keep_shared(platform)
    assert rows("SELECT digest FROM artifacts ORDER BY 1") == [(digest,) for digest in sorted(kept.values())]
    assert len(kept) == 2
    # When hours go by, and the worker goes on
    rows("UPDATE artifacts SET created_at = created_at - interval '1 day'")
    assert preparing.keep_shared(platform) == kept
    with platform.database.statement() as connection:
        purge_deleted(connection, settings)
    # Then a function needs nothing but its layer
    function_id = register(client, "first", "export default () => 1;", language="javascript")["id"]
    workbench.drain()
    (used,) = rows("SELECT artifact_digest FROM versions WHERE function_id = %s", function_id)[0]
    assert used in kept.values()
    assert rows("SELECT count(*) FROM native_code") == [(2,)]
    # And what was lost is brought again
    rows("DELETE FROM artifacts WHERE digest <> %s", used)
    assert preparing.keep_shared(platform) == kept
    assert rows("SELECT digest FROM artifacts ORDER BY 1") == [(digest,) for digest in sorted(kept.values())]


def test_what_no_version_uses_any_more_goes(
    client: FlaskClient, workbench: Workbench, platform: Platform, settings: Settings, rows: Rows
) -> None:
    # Given two functions that share their engine, each with a layer of its own
    gone, kept = (
        register(client, name, f"export default () => {name!r};", language="javascript")["id"]
        for name in ("gone", "kept")
    )
    workbench.drain()
    assert rows("SELECT count(*) FROM artifacts") == [(1,)]
    assert rows("SELECT count(*) FROM layers") == [(2,)]
    # When one is deleted, and upkeep comes much later
    client.delete(f"/functions/{gone}")
    rows("UPDATE functions SET deleted_at = deleted_at - interval '1 day'")
    rows("UPDATE artifacts SET created_at = created_at - interval '1 day'")
    rows("UPDATE layers SET created_at = created_at - interval '1 day'")
    with platform.database.statement() as connection:
        purge_deleted(connection, settings)
    # Then its layer has gone, and what the other needs is there
    assert rows("SELECT digest FROM layers") == rows("SELECT layer_digest FROM versions WHERE function_id = %s", kept)
    assert rows("SELECT count(*) FROM artifacts") == [(1,)]
