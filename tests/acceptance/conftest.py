"""A whole Kiln: a web server and workers as processes, on a database of the test's own."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from celery import Celery
from pytest_celery import CeleryTestSetup, CeleryTestWorker, CeleryWorkerCluster

from app.executions import queries as executions
from app.functions import queries as functions
from app.local.procfile import read_procfile
from app.queue import Queue, create_celery
from app.settings import Settings
from tests.acceptance.processes import QUIET, ROOT, LocalProcess, worker

#: The server of the tests trusts its socket and asks for none; what must not be shown is looked for by this.
PASSWORD = "for-the-database-alone"


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """What every process of the test runs with. A short lease makes a killed worker's work come back soon."""
    return {
        "DATABASE_URL": settings.database_url.replace("kiln@", f"kiln:{PASSWORD}@"),
        "KILN_HOME": str(settings.home),
        "KILN_LEASE_SECONDS": "2",
        "KILN_SYNC_WAIT_SECONDS": "60",
    }


@pytest.fixture
def celery_setup_app(settings: Settings) -> Celery:
    """The workers' Celery application, for control from the test."""
    return create_celery(
        settings.database_url,
        lease_seconds=2,
        on_claim={Queue.EXECUTE: executions.BEGIN},
        on_dead=[executions.LOST, *functions.ON_DEAD],
        on_expired=[executions.EXPIRED],
    )


@pytest.fixture
def celery_broker_cluster() -> None:
    """The database is the broker."""


@pytest.fixture
def celery_backend_cluster() -> None:
    """The rows are the results."""


@pytest.fixture
def celery_worker_cluster(
    environment: dict[str, str], tmp_path: Path, celery_setup_app: Celery
) -> Iterator[CeleryWorkerCluster]:
    """One compile worker and one execute worker."""
    cluster = CeleryWorkerCluster(
        CeleryTestWorker(
            worker("compile", concurrency=1, environment=environment, log=tmp_path / "c.log"), celery_setup_app
        ),
        CeleryTestWorker(
            worker("execute", concurrency=2, environment=environment, log=tmp_path / "e.log"), celery_setup_app
        ),
    )
    yield cluster
    for node in cluster:
        node.teardown()


@pytest.fixture
def new_worker(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., LocalProcess]]:
    """Starts further workers."""
    started: list[LocalProcess] = []

    def start(queue: str, name: str, options: Sequence[str] = QUIET, **more: str) -> LocalProcess:
        log, given = tmp_path / f"{name}.log", environment | more
        process = worker(queue, concurrency=2, environment=given, log=log, name=name, options=options)
        started.append(process)
        process.ready()
        return process

    yield start
    for process in started:
        process.teardown()


@pytest.fixture
def new_flower(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], LocalProcess]]:
    """Starts Flower as the Procfile does."""
    started: list[LocalProcess] = []

    def start() -> LocalProcess:
        command = read_procfile(ROOT / "Procfile", environment)["flower"]
        log = tmp_path / "flower.log"
        started.append(LocalProcess("flower", command, environment=environment, log=log, needle="Visit me"))
        started[-1].ready()
        return started[-1]

    yield start
    for process in started:
        process.teardown()


class Client:
    """A REST client."""

    def __init__(self, address: str, key: str) -> None:
        self.address, self._key = address, key
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def __call__(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """One request."""
        return self._session.request(method, self.address + path, timeout=90, **kwargs)

    def another(self) -> "Client":
        """The same user on a connection of its own."""
        return Client(self.address, self._key)

    def register(self, name: str, language: str, source: str, **members: Any) -> str:
        """Register a function; answers its id."""
        response = self("POST", "/functions", json={"name": name, "language": language, "source": source, **members})
        assert response.status_code == 201, response.text
        function_id: str = response.json()["id"]
        return function_id

    def compiled(self, function_id: str) -> dict[str, Any]:
        """The function once its compilation has ended."""
        deadline = time.monotonic() + 60
        while True:
            body: dict[str, Any] = self("GET", f"/functions/{function_id}").json()
            if body["latestVersion"]["status"] in {"READY", "FAILED"}:
                return body
            assert time.monotonic() < deadline, body
            time.sleep(0.05)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


@pytest.fixture
def web(environment: dict[str, str], tmp_path: Path) -> Iterator[LocalProcess]:
    """A real web server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        environment = environment | {"PORT": str(probe.getsockname()[1])}
    server = LocalProcess("web", ["wsgi"], environment=environment, log=tmp_path / "web.log", needle="")
    yield server
    server.teardown()


@pytest.fixture
def new_web(environment: dict[str, str], template: tuple[str, str], tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Starts further web servers, with other settings."""
    started: list[tuple[LocalProcess, Client]] = []

    def start(**more: str) -> Client:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        given = environment | {"PORT": port} | more
        server = LocalProcess("web", ["wsgi"], environment=given, log=tmp_path / f"web-{port}.log", needle="")
        client = Client(f"http://127.0.0.1:{port}", template[1])
        started.append((server, client))
        _await(client)
        return client

    yield start
    for server, client in started:
        client.close()
        server.teardown()


@pytest.fixture
def api(web: LocalProcess, template: tuple[str, str]) -> Iterator[Client]:
    """A client of it: the first administrator."""
    client = Client(f"http://127.0.0.1:{web.environment['PORT']}", template[1])
    _await(client)
    yield client
    client.close()


@pytest.fixture
def kiln(celery_setup: CeleryTestSetup, api: Client) -> Client:
    """Web and workers, all ready."""
    for node in celery_setup.worker_cluster:
        node.container.ready()
    return api


def _await(client: Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client("GET", "/livez")
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the web server did not answer")
