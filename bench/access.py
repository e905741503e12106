"""What access costs a request, a list of many functions, and everybody else while many sign in.

    python -m bench.access

A request with a key is answered in this process with its credentials looked up, with SELECT 1 asked instead, and with
who asks known beforehand, in turn: the differences are what authentication adds. Then a developer in twenty groups
lists fifty of a hundred thousand functions, of which one in fifty is shared with them. Then a whole Kiln is asked for a
function by one client, first alone and then while a hundred others sign in, each from an address of their own and half
of them to accounts that are there, so that every password is hashed as far as there is a place for it.
"""

import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psycopg
from flask import Flask

from app.accounts import credentials, first, people
from app.accounts.credentials import Authenticated
from app.accounts.domain import Principal
from app.factory import create_app
from app.local.postgres import EmbeddedPostgres
from app.operations import release
from app.rules import EVERY_SCOPE, Role
from app.settings import load_settings
from bench.latency import Api, percentile, ready_function, request
from bench.sources import SHARED
from bench.whole import kiln

FUNCTIONS: Final = 100_000
GROUPS: Final = 20
ROUNDS: Final = 2000
SIGN_INS: Final = 100
#: As many more who sign in have no account.
ACCOUNTS: Final = 20
PAUSE_SECONDS: Final = 5
WATCHED_SECONDS: Final = 15
PASSWORD: Final = "a kiln fires clay"  # noqa: S105 - of a server that ends with this

#: Everybody's are none of them: one in fifty is shared with a group of the developer's, the rest with another.
_MANY = """
INSERT INTO functions (id, name, description, timeout_ms, memory_mb, latest_version, revision, created_at, updated_at,
    allowed_groups)
SELECT id, 'function-' || n, '', 1000, 64, 1, 1, now(), now(),
    ARRAY[CASE WHEN n %% 50 = 0 THEN (%(groups)s::uuid[])[1 + n / 50 %% %(count)s] ELSE %(other)s END]
FROM (SELECT n, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id
      FROM generate_series(1, %(functions)s) AS n) AS numbered
"""
_VERSIONS = """
INSERT INTO versions (function_id, number, language, source, source_digest, status, compile_attempts, created_at)
SELECT id, 1, 'wat', '(module)', '', 'PENDING', 0, now() FROM functions
"""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="kiln-bench-") as name, EmbeddedPostgres(Path(name)) as server:
        environment = {"DATABASE_URL": server.url(), "KILN_HOME": name, "KILN_ADMIN_PASSWORD": PASSWORD}
        release.bring_up(load_settings(environment))
        app = create_app(load_settings(environment))
        developer = populated(app, server.url())
        add(app, developer)
        listing(app, developer)
        app.extensions["kiln.waiters"].close()
        app.extensions["kiln"].close()
    signing_in()


def populated(app: Flask, url: str) -> str:
    """A hundred thousand functions and a developer; answers their key."""
    platform = app.extensions["kiln"]
    root = first.program(platform)
    user = people.create_user(platform, root, email="d@example.org", name="D", role=Role.DEV, password=None).user
    groups = [people.create_group(platform, root.actor, name=f"g{n}", description="").id for n in range(GROUPS + 1)]
    for group_id in groups[:-1]:
        people.add_member(platform, root.actor, group_id, user.id)
    with psycopg.connect(url, autocommit=True) as connection:
        values = {"groups": groups[:-1], "count": GROUPS, "other": groups[-1], "functions": FUNCTIONS}
        connection.execute(_MANY, values)
        connection.execute(_VERSIONS)
        connection.execute("VACUUM ANALYZE")
    owner = Principal(user.id, user.email, user.name, Role.DEV, frozenset(), root.actor, EVERY_SCOPE)
    return credentials.create_key(platform, owner, name="bench", scopes=None, expires_at=None)[1]


def timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def add(app: Flask, key: str) -> None:
    """One line: a request with and without its credentials being looked up."""
    client = app.test_client()
    headers = {"Authorization": f"Bearer {key}"}
    looked_up = credentials.authenticate
    known: list[Authenticated | None] = []
    database = app.extensions["kiln"].database

    def remember(*arguments: object, **named: object) -> Authenticated | None:
        known[:] = [looked_up(*arguments, **named)]  # type: ignore[arg-type]
        return known[0]

    def recall(*_arguments: object, **_named: object) -> Authenticated | None:
        return known[0]

    def recall_after_nothing(*_arguments: object, **_named: object) -> Authenticated | None:
        with database.statement() as connection:
            connection.exec_driver_sql("SELECT 1").one()
        return known[0]

    def ask(authenticate: Callable[..., Authenticated | None]) -> float:
        credentials.authenticate = authenticate
        return timed(lambda: client.get("/me", headers=headers))

    assert client.get("/me", headers=headers).status_code == 200
    ask(remember)
    rounds = [(ask(recall), ask(recall_after_nothing), ask(looked_up)) for _ in range(ROUNDS)]
    credentials.authenticate = looked_up
    bare, floor, ours = (statistics.median(one[at] for one in rounds) for at in range(3))
    more = statistics.median(one[2] - one[0] for one in rounds)
    least = statistics.median(one[1] - one[0] for one in rounds)
    print(f"a request with a key   {ours:6.2f} ms p50, {bare:6.2f} with who asks known: {more:+.2f} ms (goal 0.4)")
    print(f"    where SELECT 1 is asked instead {floor:6.2f}: {least:+.2f} ms, the way to the database and back")


def listing(app: Flask, key: str) -> None:
    """One line: a list of what is shared with somebody."""
    client, durations = app.test_client(), []
    headers = {"Authorization": f"Bearer {key}"}
    for _ in range(300):
        began = time.perf_counter()
        response = client.get("/functions?limit=50", headers=headers)
        durations.append((time.perf_counter() - began) * 1000)
        assert len(response.get_json()["items"]) == 50
    p50, p99 = statistics.median(durations), percentile(durations, 0.99)
    print(f"50 of {FUNCTIONS:,} functions     {p50:6.2f} ms p50, {p99:6.2f} p99, by one in {GROUPS} groups (goal 15)")


def signing_in() -> None:
    """Some lines: what others notice of many who sign in, beside as many who ask for something that costs nothing."""
    with kiln(toolchains=SHARED, KILN_TRUSTED_PROXY="127.0.0.1") as whole:
        api = Api(whole.port, whole.home)
        path = f"/functions/{ready_function(api)}"
        for number in range(ACCOUNTS):
            user = {"email": f"{number}@example.org", "name": "Somebody", "role": "DEV", "password": PASSWORD}
            request(api, "POST", "/users", user)

        def watched() -> float:
            durations, until = [], time.monotonic() + WATCHED_SECONDS
            while time.monotonic() < until:
                durations.append(timed(lambda: request(api, "GET", path)))
                time.sleep(0.005)
            return percentile(durations, 0.99)

        def beside(ask: Callable[[int], int]) -> tuple[float, list[int]]:
            stop, answers = threading.Event(), list[int]()

            def go_on(number: int) -> None:
                stop.wait(number * PAUSE_SECONDS / SIGN_INS)
                while not stop.is_set():
                    answers.append(ask(number))
                    stop.wait(PAUSE_SECONDS)

            with ThreadPoolExecutor(SIGN_INS) as threads:
                for number in range(SIGN_INS):
                    threads.submit(go_on, number)
                p99 = watched()
                stop.set()
            return p99, answers

        def ask(method: str, path: str, number: int, body: dict[str, str] | None = None) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", whole.port)
            headers = {"Content-Type": "application/json", "X-Forwarded-For": f"10.0.0.{number}"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            status = connection.getresponse().status
            connection.close()
            return status

        def sign_in(number: int) -> int:
            email = f"{number % (2 * ACCOUNTS)}@example.org"
            return ask("POST", "/sessions", number, {"email": email, "password": PASSWORD})

        idle = watched()
        asking, _ = beside(lambda number: ask("GET", "/livez", number))
        busy, answers = beside(sign_in)
    counts = ", ".join(f"{answers.count(status)} times {status}" for status in sorted(set(answers)))
    print(
        f"while {SIGN_INS} sign in       {busy:6.2f} ms p99 of others, {idle:6.2f} before: {busy / idle:.1f} (goal 2)"
    )
    print(f"    every {PAUSE_SECONDS} s each, all from addresses of their own, and were answered {counts}")
    print(f"    while as many ask for /livez {asking:6.2f}: {asking / idle:.1f}")


if __name__ == "__main__":
    main()
