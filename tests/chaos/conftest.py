"""Installations to harm, made from one template; the lines and the page that come of it."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from app.accounts import first
from app.factory import create_app
from app.functions import service
from app.functions.domain import FunctionLimits
from app.functions.service import Code
from app.local.postgres import EmbeddedPostgres
from app.platform import Platform
from app.settings import load_settings
from tests.chaos import oracle, promises
from tests.chaos.installation import Install, Installation, Prepared, environment_for
from tests.chaos.oracle import Verdict
from tests.chaos.report import PAGE, Figures, Promise, page
from tests.chaos.scale import Scale
from tests.conftest import release
from tests.programs import LOOP, NAP
from tests.workbench import Workbench

_FUNCTIONS = {"nap": NAP, "loop": LOOP}

_ABOUT_THE_DATABASE = {
    "test_broken_connections",
    "test_clocks",
    "test_connection_slots",
    "test_database_crashes",
    "test_draining",
    "test_memory",
    "test_old_snapshots",
    "test_watchdog",
}

_numbers = count(1)
_figures: list[Figures] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--chaos long` is what `make chaos` runs."""
    parser.addoption("--chaos", choices=list(Scale), default=Scale.SHORT, help="the size of the tests of tests/chaos")


def pytest_configure(config: pytest.Config) -> None:
    """A promise is a marker."""
    config.addinivalue_line("markers", "promise(id, sentence): what this test shows, as docs/guarantees.md says it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They are sensitive to load, so no more than two run beside each other."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            group = "chaos-database" if item.path.stem in _ABOUT_THE_DATABASE else "chaos-workers"
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    """The size of this run."""
    return Scale(request.config.getoption("chaos", default=Scale.SHORT))


def prepare(url: str, home: Path) -> dict[str, str]:
    """Put the witness and the compiled functions into a migrated database; answers their ids."""
    oracle.install(url)
    app = create_app(load_settings(environment_for(url, home)))
    platform: Platform = app.extensions["kiln"]
    limits = FunctionLimits(timeout_ms=60_000)
    ids = {}
    for name, source in _FUNCTIONS.items():
        code = Code("wat", source.encode())
        function, _ = service.register(
            platform,
            first.program(platform),
            name=name,
            description="",
            code=code,
            limits=limits,
            correlation_id="chaos",
        )
        ids[name] = str(function.id)
    with Workbench(platform) as workbench:
        workbench.drain()
    platform.close()
    return ids


@pytest.fixture(scope="session")
def prepared(
    new_database: Callable[[], str], template: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    """What most installations are copies of."""
    url = new_database()
    ids = prepare(url, tmp_path_factory.mktemp("chaos-home"))
    return Prepared(str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]), ids, template[1])


def copied(server: EmbeddedPostgres, prepared: Prepared, tmp_path: Path) -> Installation:
    """An installation on a copy of a prepared database."""
    name = f"chaos_{next(_numbers)}"
    url = server.make_database(name, template=prepared.database)
    directory = tmp_path / name
    directory.mkdir()
    return Installation(url, directory, prepared)


@pytest.fixture
def install(postgres: EmbeddedPostgres, prepared: Prepared, tmp_path: Path) -> Iterator[Install]:
    """Makes installations, each with a database and processes of its own."""
    made: list[Installation] = []

    def installed() -> Installation:
        made.append(copied(postgres, prepared, tmp_path))
        return made[-1]

    yield installed
    for installation in made:
        installation.close()


@pytest.fixture
def kiln(install: Install) -> Installation:
    """One installation without processes yet."""
    return install()


@pytest.fixture(scope="session")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedPostgres, Prepared]]:
    """A server as in production, to be killed. Its database `kiln` is to be copied."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("durable"), superuser=True) as server:
        url, home = server.url(), server.home / "home"
        key = release(url, home)
        yield server, Prepared("kiln", prepare(url, home), key)


@pytest.fixture
def server(durable: tuple[EmbeddedPostgres, Prepared]) -> EmbeddedPostgres:
    """The server to be killed."""
    return durable[0]


@pytest.fixture
def durable_kiln(durable: tuple[EmbeddedPostgres, Prepared], tmp_path: Path) -> Iterator[Installation]:
    """One installation on it."""
    installation = copied(*durable, tmp_path)
    yield installation
    installation.close()


class Report(Protocol):
    """Says how a run ended, and fails the test where it ended badly."""

    def __call__(self, verdict: Verdict, remarks: str = "") -> None:
        """Note the verdict and assert the pass mark."""


@pytest.fixture
def report(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Report:
    """Notes a verdict under the test's promise."""
    began = time.monotonic()

    def note(verdict: Verdict, remarks: str = "") -> None:
        promise = _promise(request.node)
        figures = Figures.of(promise, verdict, time.monotonic() - began, remarks)
        record_property("chaos", figures.line)
        verdict.assert_kept()
        _figures.append(figures)

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the lines; after a long run, write the page."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    lines = [value for one in reports for name, value in one.user_properties if name == "chaos"]
    if lines:
        terminalreporter.section("chaos")
        for line in lines:
            terminalreporter.line(line)
    if _figures and config.getoption("chaos", default=Scale.SHORT) == Scale.LONG:
        PAGE.write_text(page(promises.collected(), _figures, PAGE.read_text() if PAGE.exists() else ""))


def _promise(item: Any) -> Promise:
    marker = item.get_closest_marker("promise")
    return Promise(marker.args[0], marker.args[1], f"{item.path.relative_to(PAGE.parents[1])}::{item.originalname}")
