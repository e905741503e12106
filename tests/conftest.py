"""A real PostgreSQL for the session, and for each test a database of its own, copied from a migrated template."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from kombu import pools

from app.broker.transport import Transport, transports
from app.factory import create_app
from app.local.administrator import administrator_of
from app.local.postgres import EmbeddedPostgres
from app.platform import Platform
from app.settings import Settings, load_settings
from app.toolchains import LANGUAGES, State
from tests.accounts.world import World
from tests.toolchains.running import SHARED
from tests.workbench import Workbench

ROOT = Path(__file__).resolve().parents[1]

# Tests start from a clean environment: a setting of the machine would be a setting of the test.
for name in [name for name in os.environ if name.startswith("KILN_") or name == "DATABASE_URL"]:
    del os.environ[name]

_numbers = count(1)

#: How many languages are prepared at the same time.
_BUILDERS = 2


def pytest_configure(config: pytest.Config) -> None:
    """Build what compilations share before the first test, once for all processes: it takes minutes, in which every
    worker that a test starts would build it, and keep the tests waiting.
    """
    if hasattr(config, "workerinput"):
        return
    waiting = [one for one in LANGUAGES.values() if one.readiness(SHARED).state is State.PREPARING]
    with ThreadPoolExecutor(_BUILDERS) as builders:
        for language, _ in zip(waiting, builders.map(lambda one: one.prepare(SHARED), waiting), strict=True):
            print(f"built what compilations of {language.language} share", flush=True)


@pytest.fixture(autouse=True)
def empty_pools() -> Iterator[None]:
    """Whoever asks workers something leaves a connection in kombu's pools, which live as long as the process; any other
    is the test's to close, or a later one would fail when it is collected.
    """
    before = _connected()
    yield
    pools.reset()
    assert _connected() <= before


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server for the session; it need not survive a crash of the machine."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False, superuser=True) as server:
        yield server


def _connected() -> set[Transport]:
    return {transport for transport in transports if transport.connected}


#: The first administrator's, in every database of the tests.
PASSWORD = "a kiln fires clay"


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> tuple[str, str]:
    """The name of a database that has every migration and an administrator, and the administrator's key."""
    return "template_kiln", release(postgres.make_database("template_kiln"), postgres.home / "home")


def release(url: str, home: Path) -> str:
    """Bring an empty database to the newest schema, as an operator does; answers the first administrator's key."""
    subprocess.run(
        [sys.executable, "-m", "app.operations.release"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "KILN_HOME": str(home), "KILN_ADMIN_PASSWORD": PASSWORD},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    made = administrator_of(home, url)
    assert made is not None
    return made.key


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres, template: tuple[str, str]) -> Callable[[], str]:
    """Makes a fresh migrated database and answers its URL; copying takes about 30 ms."""

    def create() -> str:
        return postgres.make_database(f"test_{next(_numbers)}", template=template[0])

    return create


@pytest.fixture
def settings(new_database: Callable[[], str], tmp_path: Path) -> Settings:
    """Settings with a database and a home of the test's own; what compilations share is built once for all tests."""
    settings = load_settings({"DATABASE_URL": new_database(), "KILN_HOME": str(tmp_path / "home")})
    SHARED.mkdir(exist_ok=True)
    (settings.home / "toolchains").symlink_to(SHARED)
    return settings


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The web application."""
    flask = create_app(settings)
    yield flask
    flask.extensions["kiln.waiters"].close()
    flask.extensions["kiln"].close()


@pytest.fixture
def world(app: Flask) -> World:
    """People, and what they share, of the test's database."""
    return World(app)


@pytest.fixture
def client(app: Flask, template: tuple[str, str]) -> FlaskClient:
    """A client of the web application: the first administrator, by their key."""
    return with_key(app, template[1])


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """A client that nobody knows."""
    return app.test_client()


def with_key(app: Flask, key: str) -> FlaskClient:
    """A client with an API key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


@pytest.fixture
def platform(app: Flask) -> Platform:
    """The platform of the web application."""
    value: Platform = app.extensions["kiln"]
    return value


@pytest.fixture
def workbench(platform: Platform) -> Iterator[Workbench]:
    """Does workers' work in this process, through the real transport and the real services."""
    with Workbench(platform) as bench:
        yield bench


@pytest.fixture
def rows(settings: Settings) -> Callable[..., list[Any]]:
    """Looks into the database: `rows("SELECT …", parameter, …)`."""

    def query(statement: str, *parameters: object) -> list[Any]:
        with psycopg.connect(settings.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description is not None else []

    return query
