"""The servers of the peers, from Debian's packages: each in a directory of its own and on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.local.cluster import DATABASE
from app.local.postgres import EmbeddedPostgres

PATIENCE_SECONDS = 60


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ensure_package(program: str, package: str) -> None:
    """Install a Debian package where its program is missing."""
    if shutil.which(program) is None:
        install = ["apt-get", "install", "-y", "--no-install-recommends", package]
        subprocess.run(install, check=True, capture_output=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


@contextmanager
def running(command: list[str], *, answers: Callable[[], bool], log: Path, env: dict[str, str]) -> Iterator[None]:
    """A server as a process group of its own, from its first answer on."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | env, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def accepts(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def redis(home: Path) -> Iterator[str]:
    """Redis without persistence, which is the kindest setting for it."""
    ensure_package("redis-server", "redis-server")
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with running([*command, "--dir", str(home)], answers=lambda: accepts(port), log=home / "redis.log", env={}):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def rabbitmq(home: Path) -> Iterator[str]:
    """RabbitMQ as installed, its data in `home`."""
    ensure_package("rabbitmq-server", "rabbitmq-server")
    port, distribution = free_port(), free_port()
    env = {
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
    }
    command = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
    with running(command, answers=lambda: accepts(port), log=home / "rabbitmq.log", env=env):
        time.sleep(2)  # The listener is there before the node is.
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


@contextmanager
def postgres(home: Path) -> Iterator[str]:
    """PostgreSQL as `make up` starts it: fsync and synchronous_commit on. As its superuser, for any system."""
    with EmbeddedPostgres(home, superuser=True) as server:
        yield server.superuser_url(DATABASE)
