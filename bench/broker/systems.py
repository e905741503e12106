"""What is compared: Celery on five brokers, and two queues that are no brokers of Celery's. Each brings its own
modules, which only who compares has installed.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import psycopg

from bench.broker import servers

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class System:
    """One way to queue. `made_of` makes the URL that it is used with of that of its server."""

    name: str
    server: str
    made_of: Callable[[str], str] = str
    slow: bool = False
    """Whether a round has fewer tasks, because it would take minutes."""
    celery: bool = True
    events: bool = True
    """Whether Celery's events reach who listens in another process."""


def _kiln(url: str) -> str:
    migrate(url)
    return url


def _sqla(url: str) -> str:
    return "sqla+postgresql+psycopg" + url.removeprefix("postgresql")


def _pgmq(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(import_module("pgmq.install").get_embedded_install_sql())
    return f"pgmq:{url}"


def _procrastinate(url: str) -> str:
    import_module("bench.broker.on_procrastinate").install(url)
    return f"procrastinate:{url}"


def _pgqueuer(url: str) -> str:
    import_module("bench.broker.on_pgqueuer").install(url)
    return f"pgqueuer:{url}"


SYSTEMS = (
    System("Kiln", "postgres", _kiln),
    System("Redis", "redis"),
    System("RabbitMQ", "rabbitmq"),
    System("kombu's pgmq", "postgres", _pgmq, slow=True, events=False),
    System("kombu's sqlalchemy", "postgres", _sqla, slow=True, events=False),
    System("procrastinate", "postgres", _procrastinate, slow=True, celery=False),
    System("PGQueuer", "postgres", _pgqueuer, celery=False),
)


def migrate(url: str) -> None:
    """Bring a database to Kiln's newest schema."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"DATABASE_URL": url, "KILN_HOME": home, "KILN_LOG_LEVEL": "error"}
        command = [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", "upgrade", "head"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


@contextmanager
def started(systems: Sequence[System]) -> Iterator[dict[System, str]]:
    """The systems with their URLs. Those on PostgreSQL share a server, each with a database of its own."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kiln-bench-")))
        running = {}
        for name in dict.fromkeys(system.server for system in systems):
            (home / name).mkdir()
            running[name] = stack.enter_context(getattr(servers, name)(home / name))
        yield {
            system: system.made_of(_database(running["postgres"], system) if system.server == "postgres" else url)
            for system in systems
            for url in [running[system.server]]
        }


def _database(url: str, system: System) -> str:
    name = "of_" + "".join(letter for letter in system.name.lower() if letter.isalpha())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.replace("/kiln?", f"/{name}?")
