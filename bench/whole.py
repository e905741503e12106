"""A whole Kiln of its own, started from the Procfile's commands: what is measured is what is delivered. Flower is left
out; it watches, and would be measured along.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from app.addresses import embedded_url
from app.local.postgres import EmbeddedPostgres
from app.local.procfile import RELEASE, read_procfile
from bench.latency import ROOT, await_ready

STOP_SECONDS = 30


class Kiln:
    """The processes of one home."""

    def __init__(self, home: Path, server: EmbeddedPostgres, settings: Mapping[str, str]) -> None:
        self.home, self._server = home, server
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = inherited | {"KILN_HOME": str(home), "PORT": str(self.port), "PATH": path}
        self._environment |= settings
        self._commands = read_procfile(ROOT / "Procfile", self._environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        subprocess.run(self._commands[RELEASE], cwd=ROOT, env=self._environment, check=True, capture_output=True)

    @property
    def url(self) -> str:
        """Its database."""
        return embedded_url(self.home)

    @property
    def superuser_url(self) -> str:
        """For what only the superuser may: to change the server's settings."""
        return self._server.superuser_url()

    @property
    def server_log(self) -> Path:
        """PostgreSQL's log."""
        return self._server.log

    def start(self, name: str) -> None:
        """Start a process of the Procfile; its log lies in the home."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                self._commands[name], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    def stop(self, name: str) -> None:
        """Stop it in order."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=STOP_SECONDS)

    def stop_all(self) -> None:
        """Stop what runs, the web first."""
        for name in ("web", *[name for name in self._running if name != "web"]):
            self.stop(name)

    def cpu_seconds(self) -> dict[str, float]:
        """What each part has used so far: web, the execute worker's main process and its children, and PostgreSQL."""
        worker = self._running.get("execute")
        parts = {"web": [psutil.Process(self._running["web"].pid)]}
        if worker is not None:
            main = psutil.Process(worker.pid)
            parts |= {"main": [main], "children": main.children()}
        server = psutil.Process(self._server.pid)
        parts["postgres"] = [server, *server.children()]
        used = {name: sum(map(_used, processes)) for name, processes in parts.items()}
        # Servers of connections that were closed count with their parent.
        ended = server.cpu_times()
        used["postgres"] += ended.children_user + ended.children_system
        return used

    def query(self, statement: str) -> tuple[float, ...]:
        """The first row of an answer."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def kiln(toolchains: Path | None = None, **settings: str) -> Iterator[Kiln]:
    """Everything but Flower, ready, in a directory that goes with it. What compilations share is built anew, or taken
    from `toolchains` as far as it is there. `settings` are variables of the environment.
    """
    with (
        tempfile.TemporaryDirectory(prefix="kiln-bench-") as name,
        EmbeddedPostgres(Path(name), superuser=True) as server,
    ):
        if toolchains is not None:
            toolchains.mkdir(exist_ok=True)
            (Path(name) / "toolchains").symlink_to(toolchains)
        whole = Kiln(Path(name), server, settings)
        try:
            for process in ("compile", "execute", "upkeep", "web"):
                whole.start(process)
            await_ready(whole.port)
            yield whole
        finally:
            whole.stop_all()
