"""One Kiln under test: its database, its processes, its clients, and the verdict on it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from celery import Celery

from app.accounts import credentials, first, people
from app.accounts.domain import Principal
from app.audit.domain import Actor, Via
from app.platform import Platform
from app.queue import create_celery
from app.rules import Role
from app.settings import load_settings
from tests.chaos import oracle
from tests.chaos.clients import Clients
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Verdict
from tests.patience import PATIENCE_SECONDS, until

#: Shared by everything of one test session, so that native code is made once.
SECRET_KEY = "chaos " * 6

LEASE_SECONDS = 2


def environment_for(url: str, home: Path) -> dict[str, str]:
    """What every process of an installation runs with. The lease is the shortest that there is."""
    return {
        "DATABASE_URL": url,
        "KILN_HOME": str(home),
        "KILN_SECRET_KEY": SECRET_KEY,
        "KILN_LEASE_SECONDS": str(LEASE_SECONDS),
        "KILN_SYNC_WAIT_SECONDS": "60",
    }


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database to be copied: its name, the ids of its functions by name, and the first administrator's key."""

    database: str
    functions: Mapping[str, str]
    key: str


class Installation:
    """A Kiln whose web server and workers are processes, on a copy of what was prepared."""

    def __init__(self, url: str, directory: Path, prepared: Prepared) -> None:
        self.url = url
        self.directory = directory
        self.functions, self.key = prepared.functions, prepared.key
        self.environment = environment_for(url, directory / "home")
        self.settings = load_settings(self.environment)
        self.ledger = Ledger(directory / "ledger.tsv")
        self.fleet = Fleet(self.environment, directory)
        self._clients: Clients | None = None

    @cached_property
    def celery(self) -> Celery:
        """The workers' Celery application, for control from the test."""
        return create_celery(self.url, lease_seconds=LEASE_SECONDS, on_claim={}, on_dead=[])

    @property
    def clients(self) -> Clients:
        """Clients of a web server, which is started when they are first asked for."""
        if self._clients is None:
            self._clients = Clients(self.fleet.web(), self.key, self.ledger)
        return self._clients

    def clients_of(self, address: str) -> Clients:
        """Clients of another web server."""
        return Clients(address, self.key, self.ledger)

    @property
    def authorization(self) -> dict[str, str]:
        """The header of who may everything."""
        return {"Authorization": f"Bearer {self.key}"}

    def another_user(self) -> tuple[str, str]:
        """Make a user; answers their id, and a key of theirs."""
        platform = Platform.of(self.settings, process="test")
        root, email = first.program(platform), f"{uuid4()}@example.org"
        user = people.create_user(platform, root, email=email, name=email, role=Role.DEV, password=None).user
        actor = Actor(user.id, email, Via.SYSTEM)
        principal = Principal(user.id, email, email, Role.DEV, frozenset(), actor)
        _, key = credentials.create_key(platform, principal, name="test", scopes=None, expires_at=None)
        platform.close()
        return str(user.id), key

    def submit(
        self, values: list[int] | list[str] | range, *, function: str = "nap", clients: int = 4, **terms: object
    ) -> None:
        """Have clients submit executions, each insisting until it is accepted."""
        self.clients.submit(self.functions[function], values, clients=clients, **terms)

    def cancel(self, execution_id: object) -> int:
        """Have a client cancel an execution; answers the status."""
        return self.clients.cancel(str(execution_id))

    @contextmanager
    def writing(self, *, function: str = "nap", clients: int = 6) -> Iterator[None]:
        """Have clients submit as fast as they are answered while the block runs."""
        stop = threading.Event()
        thread = threading.Thread(
            target=self.clients.submit_until,
            args=(self.functions[function], stop),
            kwargs={"value": 0, "clients": clients},
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def rows(self, statement: str, *parameters: object) -> list[Any]:
        """Look into the database, over a connection of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description is not None else []

    def shadow_functions(self) -> None:
        """Let functions of the schema `chaos` stand before PostgreSQL's own, for whoever connects from now on."""
        database = psycopg.conninfo.conninfo_to_dict(self.url)["dbname"]
        self.rows(f"ALTER DATABASE {database} SET search_path = chaos, pg_catalog, public")

    def count(self, condition: str) -> int:
        """How many executions are like this."""
        ((count,),) = self.rows(f"SELECT count(*) FROM executions WHERE {condition}")
        return int(count)

    def until(self, condition: str, *, seconds: float = PATIENCE_SECONDS) -> float:
        """Wait until an execution is like this; answers the seconds that took."""
        return until(lambda: self.count(condition), seconds=seconds, what=condition)

    def await_rest(self, *, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether everything has ended in time."""
        return oracle.came_to_rest(self.url, seconds=seconds)

    def verdict(self, *, seconds: float = PATIENCE_SECONDS) -> Verdict:
        """Wait for everything to end, then ask the oracle."""
        self.await_rest(seconds=seconds)
        return oracle.verdict(self.url, self.ledger)

    def close(self) -> None:
        """End every process."""
        self.fleet.stop()
        self.ledger.close()


Install = Callable[[], Installation]
