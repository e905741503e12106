"""Another master key takes the place of one while everything goes on."""

import base64
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask.testing import FlaskClient

from app.environments import opening
from app.environments.domain import MasterKeyMissing, Secret
from app.environments.rotate import rotate
from app.environments.sealing import MasterKeys, name_of
from app.identity import new_id
from app.platform import Platform
from app.settings import Settings
from tests.environments.answers import created, entry, patched

Rows = Callable[..., list[Any]]

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As before a rotation."""
    return replace(settings, master_keys=(OLD,))


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is opened is read from the database."""
    opening.forget_all()
    monkeypatch.setattr(opening, "MOST_REMEMBERED", 0)


def with_keys(platform: Platform, *keys: bytes) -> Platform:
    """The same platform in a process with other master keys."""
    return replace(platform, settings=replace(platform.settings, master_keys=keys))


def environments(url: str, count: int) -> list[UUID]:
    """Many environments, each with a secret, as the old master key keeps them."""
    keys, ids = MasterKeys([OLD]), [new_id() for _ in range(count)]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        columns = "id, name, description, revision, writes, data_key, master_key, created_at, updated_at"
        made = []
        with cursor.copy(f"COPY environments ({columns}) FROM STDIN") as copy:
            for place, one in enumerate(ids):
                wrapped = keys.new_data_key(one)
                made.append(wrapped)
                row = (one, f"number-{place}", "", 1, 1, wrapped.content, wrapped.master_key, "now", "now")
                copy.write_row(row)
        with cursor.copy("COPY environment_entries (environment_id, key, sealed, version) FROM STDIN") as copy:
            for one, wrapped in zip(ids, made, strict=True):
                sealed = keys.data_key(one, wrapped).seal("TOKEN", 1, Secret(f"of {one}"))
                copy.write_row((one, "TOKEN", sealed, 1))
    return ids


class Readers:
    """Threads that open environments until they are stopped."""

    def __init__(self, platform: Platform, ids: list[UUID]) -> None:
        self.read, self.errors = 0, list[BaseException]()
        self._platform, self._ids, self._stop = platform, ids, threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(number,)) for number in range(2)]

    def _go_on(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stop.is_set():
            one = chance.choice(self._ids)
            try:
                assert opening._opened(self._platform, one).variables["TOKEN"] == f"of {one}"
                self.read += 1
            except BaseException as error:  # noqa: BLE001 - each is counted
                self.errors.append(error)

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_how: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts the command as an operator does."""
    started: list[subprocess.Popen[str]] = []
    given = ",".join(base64.b64encode(key).decode() for key in (NEW, OLD))

    def begin() -> "subprocess.Popen[str]":
        environ = os.environ | {
            "DATABASE_URL": settings.database_url,
            "KILN_HOME": str(settings.home),
            "KILN_MASTER_KEY": given,
        }
        command = [sys.executable, "-m", "app.environments.rotate"]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_rotation_that_was_killed_goes_on_where_it_was_and_no_reader_notices(
    platform: Platform, settings: Settings, start: Callable[[], "subprocess.Popen[str]"], rows: Rows
) -> None:
    # Given many environments, and readers that have both master keys
    ids = environments(settings.database_url, 10_000)
    before = rows("SELECT id, revision, writes, updated_at FROM environments ORDER BY id")
    with Readers(with_keys(platform, OLD, NEW), ids) as readers:
        # When the rotation is killed in the midst of a batch, which a writer of one environment keeps from ending
        with psycopg.connect(settings.database_url) as writer:
            writer.execute("SELECT FROM environments WHERE id = %s FOR UPDATE", [ids[5_200]])
            killed = start()
            assert killed.stdout is not None
            said = [killed.stdout.readline() for _ in range(10)]
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        assert said[-1] == f"wrapped by {name_of(NEW)}: 5,000 of 10,000 data keys\n"
        counts = dict(rows("SELECT master_key, count(*) FROM environments GROUP BY master_key"))
        assert counts == {name_of(OLD): 5_000, name_of(NEW): 5_000}
        # Then it does what is left, and nothing twice
        again = start()
        printed, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert printed.splitlines()[-2:] == [
        f"wrapped by {name_of(NEW)}: 5,000 of 5,000 data keys",
        f"every data key is wrapped by {name_of(NEW)}: no other master key is needed any more",
    ]
    assert readers.errors == []
    assert readers.read > 100
    # And the new master key is enough, and nobody's edition of anything has changed
    assert rows("SELECT id, revision, writes, updated_at FROM environments ORDER BY id") == before
    alone = with_keys(platform, NEW)
    assert all(opening.opened(alone, one, 1).variables["TOKEN"] == f"of {one}" for one in ids[::100])
    with pytest.raises(MasterKeyMissing):
        opening.opened(platform, ids[0], 1)


def test_two_rotations_beside_each_other_do_each_once(
    platform: Platform, settings: Settings, start: Callable[[], "subprocess.Popen[str]"]
) -> None:
    ids = environments(settings.database_url, 3_000)
    both = [start(), start()]
    assert [process.wait(60) for process in both] == [0, 0]
    alone = with_keys(platform, NEW)
    assert all(opening.opened(alone, one, 1).variables["TOKEN"] == f"of {one}" for one in ids[::50])


def test_what_another_master_key_wraps_is_left_and_told(
    client: FlaskClient, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    created(client, entry("A", "1", secret=True))
    assert rotate(with_keys(platform, NEW)) == 1
    assert capsys.readouterr().out == f"wrapped by {name_of(OLD)}, which is not given here: 1 data keys\n"
    assert rotate(with_keys(platform, NEW, OLD)) == rotate(with_keys(platform, NEW)) == 0


def test_secrets_are_written_before_and_after(client: FlaskClient, platform: Platform, rows: Rows) -> None:
    made = created(client, entry("A", "before", secret=True))
    rotate(with_keys(platform, NEW, OLD))
    client.application.extensions["kiln"] = with_keys(platform, NEW)
    after = patched(client, made, set=[entry("B", "after", secret=True)])
    assert after["revision"] == 2
    opened = opening.opened(with_keys(platform, NEW), UUID(made["id"]), 2)
    assert dict(opened.variables) == {"A": "before", "B": "after"}
    assert rows("SELECT DISTINCT master_key FROM environments") == [(name_of(NEW),)]
