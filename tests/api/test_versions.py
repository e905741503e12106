"""Versions over HTTP: where what is executed came from, and whether that is still true."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from kombu import Connection

from app.broker import Delivery
from app.executions import queries as executions
from app.functions import queries, verifying
from app.functions.domain import MAX_DELIVERIES, digest_of
from app.platform import Platform
from app.settings import Settings
from app.toolchains import toolchain
from app.toolchains.toolchain import Compiled
from tests.api.answers import ABSENT, assert_problem, register, registered_ready
from tests.programs import BROKEN, ECHO, TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

JAVASCRIPT = "export default (input) => input;"
ASYNC = {"Prefer": "respond-async"}


def verified(client: FlaskClient, workbench: Workbench, url: str) -> dict[str, Any]:
    """The version once it has been built again."""
    assert client.post(f"{url}/verify", headers=ASYNC).status_code == 202
    workbench.drain()
    version: dict[str, Any] = client.get(url).get_json()
    return version


def test_a_version_says_where_it_came_from(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    version = client.get(f"/functions/{function['id']}/versions/1").get_json()
    assert (version["functionId"], version["number"], version["isActive"]) == (function["id"], 1, True)
    assert (version["language"], version["source"], version["status"]) == ("wat", ECHO, "READY")
    assert version["sourceDigest"] == digest_of(ECHO.encode())
    assert version["toolchain"]
    assert version["toolchainVersion"] == toolchain("wat").version()
    assert version["flags"] == []
    assert len(version["wasmDigest"]) == 64
    assert version["layerDigest"] is None
    assert version["wasmBytes"] > 0
    assert version["compileMs"] >= 0
    assert (version["verification"], version["verifiedAt"], version["rebuilt"]) == (None, None, None)


def test_the_layer_of_a_shared_module_is_told(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function_id = register(client, "js", JAVASCRIPT, language="javascript")["id"]
    workbench.drain()
    version = client.get(f"/functions/{function_id}/versions/1").get_json()
    assert rows("SELECT digest, encode(sha256(content), 'hex') FROM layers") == [(version["layerDigest"],) * 2]
    assert version["wasmDigest"] == rows("SELECT digest FROM artifacts")[0][0]


def test_versions_are_listed_newest_first_without_source(client: FlaskClient, workbench: Workbench) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}"
    for source in (TRAP, BROKEN):
        client.put(url, json={"source": source})
        workbench.drain()
    first = client.get(f"{url}/versions?limit=2").get_json()
    second = client.get(f"{url}/versions?limit=2&cursor={first['nextCursor']}").get_json()
    items = first["items"] + second["items"]
    assert [(item["number"], item["status"], item["isActive"]) for item in items] == [
        (3, "FAILED", False),
        (2, "READY", True),
        (1, "READY", False),
    ]
    assert second["nextCursor"] is None
    assert not any("source" in item or "compileLog" in item for item in items)


def test_what_is_built_again_is_the_same(client: FlaskClient, workbench: Workbench) -> None:
    # Given a version that is no longer the active one
    url = f"/functions/{registered_ready(client, workbench)['id']}"
    client.put(url, json={"source": TRAP})
    workbench.drain()
    before = client.get(url).get_json()
    # When it is verified
    version = verified(client, workbench, f"{url}/versions/1")
    # Then that is written of it, and nothing else has changed
    assert (version["verification"], version["verificationReason"]) == ("MATCHES", None)
    assert version["verifiedAt"] > version["compiledAt"]
    assert version["rebuilt"] == {
        name: version[name] for name in ("toolchain", "toolchainVersion", "flags", "wasmDigest", "layerDigest")
    }
    assert client.get(url).get_json() == before
    assert (version["status"], version["isActive"]) == ("READY", False)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("javascript", JAVASCRIPT),
        ("assemblyscript", "export function handle(input: string): string { return input; }"),
        ("python", "def handle(input, context):\n    return input\n"),
    ],
)
def test_every_kind_of_artifact_is_compared(
    client: FlaskClient, workbench: Workbench, language: str, source: str
) -> None:
    function_id = register(client, language, source, language=language)["id"]
    workbench.drain()
    version = verified(client, workbench, f"/functions/{function_id}/versions/1")
    assert (version["verification"], version["verificationReason"]) == ("MATCHES", None)
    assert version["rebuilt"]["layerDigest"] == version["layerDigest"]


def test_who_waits_is_answered_with_the_finding(client: FlaskClient, workbench: Workbench) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    workbench.start()
    response = client.post(f"{url}/verify")
    assert response.status_code == 200
    assert response.get_json()["verification"] == "MATCHES"
    assert client.get(url).get_json() == response.get_json()


def test_who_does_not_wait_is_told_where_to_look(client: FlaskClient, workbench: Workbench) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    for headers, applied in ((ASYNC, "respond-async"), ({"Prefer": "wait=0"}, "wait=0")):
        response = client.post(f"{url}/verify", headers=headers)
        assert response.status_code == 202
        assert (response.headers["Location"], response.headers["Preference-Applied"]) == (url, applied)
        assert int(response.headers["Retry-After"]) > 0
        assert (response.get_json()["verification"], response.get_json()["verifiedAt"]) == ("PENDING", None)


def test_one_verification_is_underway_at_a_time(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    for _ in range(3):
        client.post(f"{url}/verify", headers=ASYNC)
    assert len(rows("SELECT FROM broker.messages")) == 1
    # One whose message somebody has deleted is asked for anew
    rows("DELETE FROM broker.messages")
    assert verified(client, workbench, url)["verification"] == "MATCHES"
    assert verified(client, workbench, url)["verification"] == "MATCHES"


def test_another_module_under_the_recorded_digest_is_found(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    # Given a version whose digest was changed in the database, so that something else is executed
    function_id = registered_ready(client, workbench)["id"]
    other_id = registered_ready(client, workbench, "other", TRAP)["id"]
    ((honest,),) = rows("SELECT artifact_digest FROM versions WHERE function_id = %s", function_id)
    rows(
        "UPDATE versions SET artifact_digest = (SELECT artifact_digest FROM versions WHERE function_id = %s) "
        "WHERE function_id = %s",
        other_id,
        function_id,
    )
    # When it is verified
    version = verified(client, workbench, f"/functions/{function_id}/versions/1")
    # Then both digests are told, and why they differ
    assert version["verification"] == "DIFFERS"
    assert version["rebuilt"]["wasmDigest"] == honest != version["wasmDigest"]
    assert version["verificationReason"] == verifying._CHANGED
    # And the version goes on as it was
    assert (version["status"], version["isActive"]) == ("READY", True)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("UPDATE versions SET source = source || ' '::bytea", verifying._OTHER_SOURCE),
        ("UPDATE artifacts SET wasm = wasm || '\\x00'::bytea", verifying._OTHER_MODULE),
        ("UPDATE layers SET content = content || '\\x00'::bytea", verifying._OTHER_LAYER),
    ],
)
def test_what_was_changed_beneath_its_digest_is_found(
    client: FlaskClient, workbench: Workbench, rows: Rows, damage: str, reason: str
) -> None:
    function_id = register(client, "js", JAVASCRIPT, language="javascript")["id"]
    workbench.drain()
    rows(damage)
    version = verified(client, workbench, f"/functions/{function_id}/versions/1")
    assert (version["verification"], version["verificationReason"]) == ("DIFFERS", reason)


def test_another_engine_beneath_the_same_layer_is_called_so(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    # Given a function whose language's module was another one when it was compiled
    function_id = register(client, "js", JAVASCRIPT, language="javascript")["id"]
    other_id = registered_ready(client, workbench, "other", TRAP)["id"]
    rows(
        "UPDATE versions SET artifact_digest = (SELECT artifact_digest FROM versions WHERE function_id = %s) "
        "WHERE function_id = %s",
        other_id,
        function_id,
    )
    version = verified(client, workbench, f"/functions/{function_id}/versions/1")
    assert (version["verification"], version["verificationReason"]) == ("DIFFERS", verifying._OTHER_SHARED)
    assert version["rebuilt"]["layerDigest"] == version["layerDigest"]


def test_another_compiler_is_named_as_the_reason(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function_id = registered_ready(client, workbench)["id"]
    other_id = registered_ready(client, workbench, "other", TRAP)["id"]
    rows(
        "UPDATE versions SET toolchain_version = '0.1', "
        "artifact_digest = (SELECT artifact_digest FROM versions WHERE function_id = %s) WHERE function_id = %s",
        other_id,
        function_id,
    )
    version = verified(client, workbench, f"/functions/{function_id}/versions/1")
    assert version["verification"] == "DIFFERS"
    assert f"{version['toolchain']} 0.1" in version["verificationReason"]
    assert version["rebuilt"]["toolchainVersion"] in version["verificationReason"]


def test_a_compiler_that_is_not_deterministic_is_called_so(
    client: FlaskClient, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    honest, sources = type(toolchain("wat")).compile, iter([TRAP, TRAP.replace("1024", "2048")])

    def by_chance(self: Any, _source: bytes, **more: Any) -> Compiled:
        return honest(self, next(sources).encode(), **more)

    monkeypatch.setattr(type(toolchain("wat")), "compile", by_chance)
    version = verified(client, workbench, url)
    assert (version["verification"], version["verificationReason"]) == ("DIFFERS", verifying._BY_CHANCE)


def test_a_source_that_does_not_compile_any_more_is_told(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    rows("UPDATE versions SET source = %s", BROKEN.encode())
    version = verified(client, workbench, url)
    assert (version["verification"], version["rebuilt"]) == ("FAILED", None)
    assert "source.wat:3:" in version["verificationReason"]


def test_only_what_was_built_can_be_verified(client: FlaskClient, workbench: Workbench) -> None:
    url = f"/functions/{register(client, source=BROKEN)['id']}/versions/1/verify"
    assert assert_problem(client.post(url), "version_not_ready")["state"] == "PENDING"
    workbench.drain()
    assert assert_problem(client.post(url), "version_not_ready")["state"] == "FAILED"


@pytest.mark.parametrize("number", ["2", "0", "-1", "01", "x", "1.0", "2147483647", "2147483648", "99999999999"])
def test_absent_and_malformed_numbers_answer_alike(client: FlaskClient, workbench: Workbench, number: str) -> None:
    function_id = registered_ready(client, workbench)["id"]
    for response in (
        client.get(f"/functions/{function_id}/versions/{number}"),
        client.post(f"/functions/{function_id}/versions/{number}/verify"),
        client.get(f"/functions/{ABSENT}/versions/{number}"),
        client.post(f"/functions/{ABSENT}/versions/{number}/verify"),
        client.get(f"/functions/{ABSENT}/versions"),
    ):
        body = assert_problem(response, "not_found")
        assert "state" not in body


def test_a_deleted_functions_versions_are_gone(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function_id = registered_ready(client, workbench)["id"]
    client.post(f"/functions/{function_id}/versions/1/verify", headers=ASYNC)
    message = workbench.claim(workbench.COMPILE)
    assert message is not None
    client.delete(f"/functions/{function_id}")
    assert_problem(client.get(f"/functions/{function_id}/versions"), "not_found")
    assert_problem(client.get(f"/functions/{function_id}/versions/1"), "not_found")
    workbench.work(message)
    assert rows("SELECT FROM broker.messages") == []


def test_a_verification_whose_lease_was_lost_is_not_written(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    client.post(f"{url}/verify", headers=ASYNC)
    message = workbench.claim(workbench.COMPILE)
    assert message is not None
    rows("UPDATE broker.messages SET token = token + 1")
    workbench.work(message)
    assert client.get(url).get_json()["verification"] == "PENDING"


def test_after_five_failures_of_the_platform_it_is_given_up(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    function_id = registered_ready(client, workbench)["id"]
    url = f"/functions/{function_id}/versions/1"
    client.post(f"{url}/verify", headers=ASYNC)
    message = workbench.claim(workbench.COMPILE)
    assert message is not None
    ((verification_id,),) = rows("SELECT verification_id FROM versions")
    delivery, wanted = Delivery.of(message["properties"]), (UUID(function_id), 1, verification_id)
    assert not verifying.give_up(platform, delivery, *wanted)
    last = replace(delivery, deliveries=MAX_DELIVERIES)
    assert verifying.give_up(platform, last, *wanted)
    body = client.get(url).get_json()
    assert (body["verification"], body["verificationReason"]) == ("FAILED", verifying.PLATFORM_FAILED)
    assert rows("SELECT FROM broker.messages") == []


def test_a_verification_that_takes_its_workers_down_has_failed(
    client: FlaskClient, workbench: Workbench, settings: Settings
) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    client.post(f"{url}/verify", headers=ASYNC)
    options = {"on_dead": [executions.LOST, *queries.ON_DEAD]}
    with Connection(settings.database_url, transport_options=options) as connection:
        channel = connection.default_channel
        (message,) = channel.claim(workbench.COMPILE, 1)
        channel.bury(Delivery.of(message["properties"]), reason="worker_lost")
    version = client.get(url).get_json()
    assert (version["verification"], version["status"]) == ("FAILED", "READY")
    assert "took its worker down" in version["verificationReason"]
