"""Web and workers as processes, started from the Procfile's own lines, and started again when they die."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import psycopg
import requests

from app.local.children import ended, kill_group, spawn
from app.local.procfile import read_procfile
from tests.patience import came_true, until

ROOT = Path(__file__).resolve().parents[2]

_WATCH_SECONDS = 0.05


class Node:
    """One process, its group, and those that took its place."""

    def __init__(
        self, name: str, argv: Sequence[str], *, environment: Mapping[str, str], log: Path, root: Path = ROOT
    ) -> None:
        self.name = name
        self.respawn = True
        """Whether it is started again when it ends."""
        self.exits: list[int] = []
        """How its processes ended: exit codes, or signals as negative numbers."""
        self._argv, self._environment, self._log, self._root = argv, environment, log, root
        self._lock = threading.RLock()
        self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return spawn(
                self._argv,
                death_signal=signal.SIGKILL,
                output=log,
                environment=self._environment,
                directory=self._root,
            )

    @property
    def pid(self) -> int:
        """The leader's process id."""
        return self._process.pid

    @property
    def process(self) -> psutil.Process:
        """The leader."""
        return psutil.Process(self.pid)

    @property
    def children(self) -> list[psutil.Process]:
        """A worker's pool."""
        try:
            return list(self.process.children())
        except psutil.NoSuchProcess:
            return []

    @property
    def log(self) -> str:
        """Everything that its processes have written."""
        return self._log.read_text(errors="replace")

    def said(self, event: str) -> int:
        """How often an event stands in its log."""
        return self.log.count(f'"event": "{event}"')

    def kill(self) -> None:
        """`kill -9` of the whole group."""
        with self._lock:
            kill_group(self._process)

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Signal the leader, or everybody."""
        with self._lock:
            if self._process.returncode is None:
                (os.killpg if group else os.kill)(self.pid, number)

    def look_after(self) -> None:
        """Note whether it has ended, and start it again."""
        with self._lock:
            running = self._process.returncode is None
            if running and ended(self._process):
                self.exits.append(int(self._process.returncode or 0))
                if self.respawn:
                    self._process = self._spawn()

    def terminate(self, *, group: bool = False, patience_seconds: float = 30) -> float:
        """SIGTERM; answers the seconds until it ended, and fails where it does not."""
        before = len(self.exits)
        self.signal(signal.SIGTERM, group=group)
        return until(lambda: len(self.exits) > before, seconds=patience_seconds, what=f"the end of {self.name}")

    def end(self) -> None:
        """End it for good."""
        self.respawn = False
        self.kill()
        self._process.wait(5)


class Fleet:
    """The processes of one Kiln and their supervisor."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self.nodes: list[Node] = []
        self._environment = {**os.environ, **environment} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        }
        self._directory = directory
        self._stop = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervisor.start()

    def web(self, *, root: Path = ROOT, **environment: str) -> str:
        """Start a web server of the code in `root`; answers its address when it serves."""
        port = free_port()
        argv = read_procfile(root / "Procfile", {})["web"]
        self._start("web", argv, {"PORT": str(port), **environment}, root=root)
        address = f"http://127.0.0.1:{port}"
        until(lambda: _answers(address), what="the web server")
        return address

    def worker(
        self,
        name: str = "execute-1",
        *,
        queue: str = "execute",
        concurrency: int = 2,
        broken: str | None = None,
        ready: bool = True,
        root: Path = ROOT,
        **environment: str,
    ) -> Node:
        """Start a worker as the Procfile of `root` does, under a name of its own; with `broken`, one in which that
        mechanism is broken (see `broken_worker`).
        """
        argv = list(read_procfile(root / "Procfile", {})[queue])
        argv[argv.index("--concurrency") + 1] = str(concurrency)
        argv[argv.index("--hostname") + 1] = f"{name}@%h"
        if broken is not None:
            argv[argv.index("-A") + 1] = "tests.chaos.broken_worker"
            environment["CHAOS_BROKEN"] = broken
        node = self._start(name, argv, environment, root=root)
        if ready:
            self.ready([node])
        return node

    def workers(self, count: int, *, concurrency: int = 2, broken: str | None = None, **environment: str) -> list[Node]:
        """Start that many execute workers; returns when all of them consume."""
        nodes = [
            self.worker(
                f"execute-{number}", concurrency=concurrency, broken=broken, ready=False, root=ROOT, **environment
            )
            for number in range(1, count + 1)
        ]
        self.ready(nodes)
        return nodes

    def ready(self, nodes: Sequence[Node]) -> None:
        """Wait until these consume."""
        names = {f"{node.name}@{socket.gethostname()}" for node in nodes}
        with psycopg.connect(self._environment["DATABASE_URL"], autocommit=True) as connection:

            def all_consume() -> bool:
                rows = connection.execute("SELECT node FROM broker.consumers WHERE seen_at > now() - interval '3 s'")
                return names <= {name for (name,) in rows}

            assert came_true(all_consume), "\n".join(node.log[-3000:] for node in nodes)

    def stop(self) -> None:
        """End everything."""
        self._stop.set()
        self._supervisor.join()
        for node in self.nodes:
            node.end()

    def _start(self, name: str, argv: Sequence[str], environment: Mapping[str, str], *, root: Path = ROOT) -> Node:
        log = self._directory / f"{name}.log"
        self.nodes.append(Node(name, argv, environment={**self._environment, **environment}, log=log, root=root))
        return self.nodes[-1]

    def _supervise(self) -> None:
        while not self._stop.is_set():
            for node in list(self.nodes):
                node.look_after()
            time.sleep(_WATCH_SECONDS)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/livez", timeout=5).ok
    except requests.RequestException:
        return False
