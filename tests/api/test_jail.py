"""What compile workers say of their jails, and what becomes of functions where one cannot be trusted."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app.functions import preparing
from app.platform import Platform
from app.toolchains import LANGUAGES
from app.toolchains.jail import JailError, probe
from tests.api.answers import register
from tests.workbench import Workbench

C = "char *handle(const char *input) { return (char *)input; }"
Rows = Callable[..., list[Any]]


@pytest.fixture
def unsound(monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine whose jail has a hole; answers what is said of it."""
    monkeypatch.setattr(probe, "breaches", lambda: ("read another's file",))
    return "The jail for compilers cannot be trusted on this machine: in it a program can read another's file."


@pytest.fixture
def unusable(monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine whose jail runs nothing; answers what is said of it."""

    def fail() -> NoReturn:
        raise JailError("no process can be started")

    monkeypatch.setattr(probe, "breaches", fail)
    reason = "it does not work: no process can be started"
    return f"The jail for compilers cannot be trusted on this machine: {reason}."


def jail(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/readyz").get_json()["jail"]
    return found


def test_a_sound_jail_is_said_to_be(client: FlaskClient, workbench: Workbench) -> None:
    assert jail(client) == {"status": "unknown", "reasons": []}
    workbench.prepare()
    assert jail(client) == {"status": "sound", "reasons": []}


def test_an_unsound_jail_is_said_with_its_reason(client: FlaskClient, workbench: Workbench, unsound: str) -> None:
    workbench.prepare()
    assert jail(client) == {"status": "unsound", "reasons": [f"workbench: {unsound}"]}
    items = {item["language"]: item for item in client.get("/languages").get_json()["items"]}
    for name in [name for name, language in LANGUAGES.items() if language.is_native and not language.missing()]:
        assert (items[name]["status"], items[name]["reason"]) == ("missing", unsound), name
    assert items["wat"]["status"] == "ready"
    assert "jail" not in items


def test_where_nothing_runs_in_the_jail_no_language_can_be_compiled(
    client: FlaskClient, workbench: Workbench, unusable: str
) -> None:
    workbench.prepare()
    assert jail(client) == {"status": "unsound", "reasons": [f"workbench: {unusable}"]}
    items = {item["language"]: item for item in client.get("/languages").get_json()["items"]}
    for name in [name for name, language in LANGUAGES.items() if not language.missing()]:
        assert (items[name]["status"], items[name]["reason"]) == ("missing", unusable), name


def test_a_worker_whose_jail_is_unsound_logs_it_when_it_starts(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, unsound: str
) -> None:
    def stop(*_arguments: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "prepare", stop)
    with capture_logs() as lines, pytest.raises(KeyboardInterrupt):
        preparing.serve(platform, "compile@here")
    assert lines == [{"event": "jail.unsound", "log_level": "error", "reason": unsound}]


def test_an_unsound_jail_does_not_make_the_installation_unready(client: FlaskClient, rows: Rows) -> None:
    rows("INSERT INTO broker.consumers (name, queues) VALUES ('here:1:a', '{compile,execute}')")
    say(rows, "compile@here", "It has a hole.")
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "UP",
        "reasons": [],
        "jail": {"status": "unsound", "reasons": ["compile@here: It has a hole."]},
    }


def test_which_hole_a_jail_has_is_for_administrators_to_know(
    client: FlaskClient, stranger: FlaskClient, rows: Rows
) -> None:
    say(rows, "compile@here", "It has a hole.")
    assert jail(client)["reasons"] == ["compile@here: It has a hole."]
    assert jail(stranger) == {"status": "unsound"}


def test_one_unsound_jail_counts_however_sound_the_others_are(client: FlaskClient, rows: Rows) -> None:
    say(rows, "compile@c", None)
    assert jail(client)["status"] == "sound"
    say(rows, "compile@b", "It has a hole.")
    say(rows, "compile@a", "It does not work.")
    reasons = ["compile@a: It does not work.", "compile@b: It has a hole."]
    assert jail(client) == {"status": "unsound", "reasons": reasons}


def test_what_a_worker_said_of_its_jail_is_past_after_a_while(client: FlaskClient, rows: Rows) -> None:
    say(rows, "compile@gone", "It has a hole.")
    rows("UPDATE compilers SET reported_at = now() - interval '181 seconds'")
    assert jail(client) == {"status": "unknown", "reasons": []}
    say(rows, "compile@here", None)
    assert jail(client) == {"status": "sound", "reasons": []}


def test_where_the_jail_is_unsound_no_native_compiler_reads_a_source(
    client: FlaskClient, workbench: Workbench, unsound: str
) -> None:
    # Given a function that needs such a compiler, and one that does not
    native, other = register(client, "native", C, language="c")["id"], register(client, "other")["id"]
    # When nobody else could compile it
    workbench.drain()
    # Then it fails by the machine's fault, and the other one is compiled
    refused = client.get(f"/functions/{native}").get_json()
    assert (refused["status"], refused["compileError"]) == ("FAILED", f"source.c:1:1: {unsound}")
    assert client.get(f"/functions/{other}").get_json()["status"] == "READY"


def test_where_the_jail_is_unsound_native_compilers_are_left_to_other_workers(
    client: FlaskClient, workbench: Workbench, rows: Rows, unsound: str
) -> None:
    rows("INSERT INTO compilers (worker, language, state, version) VALUES ('compile@there', 'c', 'ready', '1')")
    function_id = register(client, "native", C, language="c")["id"]
    workbench.drain()
    assert client.get(f"/functions/{function_id}").get_json()["status"] == "PENDING"
    assert rows("SELECT state FROM broker.messages") == [("delayed",)]


def say(rows: Rows, worker: str, reason: str | None) -> None:
    """What a compile worker writes of its jail."""
    rows(
        "INSERT INTO compilers (worker, language, state, reason, version) VALUES (%s, 'jail', %s, %s, '')",
        *(worker, "ready" if reason is None else "missing", reason),
    )
