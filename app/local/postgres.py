"""A real PostgreSQL server as a child of this process, on a Unix socket that only its user can reach.

    with EmbeddedPostgres(Path("/tmp/x"), durable=False) as server:
        psycopg.connect(server.url("kiln"))

It survives `kill -9` of everything: the server stops when its parent dies, and the next start clears away what is left.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from app.addresses import PORT, SUPERUSER, embedded_url, private_directory, socket_directory
from app.local import cluster, remains, roles
from app.local.binaries import binaries_directory
from app.local.children import ended, ending, kill_group, signal_child, spawn
from app.local.errors import HomeInUse, ServerFailed, explain, from_os_error
from app.local.identity import Identity, choose_identity, server_environment
from app.local.locks import FileLock
from app.local.logfiles import rotated, tail

_READY_SECONDS = 300.0  # Recovery after a crash reads up to `max_wal_size` of log.
_RELOAD_SECONDS = 60.0  # A server that is told to read its files does so in milliseconds.
_LARGEST_LOG_BYTES = 10_000_000


class EmbeddedPostgres:
    """The server of one home: `home/postgres` its data, `home/postgres.log` its log. One holder at a time.

    Start it from the main thread, or from one that lives as long as the server shall: it stops when that thread ends.
    `durable=False` is for tests: a crash of the machine may lose the data, one of the server the last commits.
    `identity` is chosen at the start unless it is given. Once it has started, nobody is let in but Kiln's role, to the
    database `kiln` alone; with `superuser`, for tests and administration, it and the superuser to every database.
    """

    def __init__(
        self, home: Path, *, durable: bool = True, superuser: bool = False, identity: Identity | None = None
    ) -> None:
        self.home = Path(os.path.realpath(home))
        self.data = self.home / "postgres"
        self.log = self.home / "postgres.log"
        self.version = ""
        self._durable = durable
        self._keeps_superuser = superuser
        self._wanted_identity = identity
        self._server: subprocess.Popen[bytes] | None = None
        self._holder = FileLock(self.home / "postgres.lock")
        self._alive = FileLock(self.home / "postgres.alive.lock")

    @property
    def pid(self) -> int | None:
        """The server's process id, while it is ours."""
        return self._server.pid if self._server else None

    def url(self, database: str = cluster.DATABASE) -> str:
        """The libpq URL of a database on this server, for Kiln's role."""
        return embedded_url(self.home, database)

    def superuser_url(self, database: str = SUPERUSER) -> str:
        """The same for the superuser, whom the server must have been told to let in."""
        return embedded_url(self.home, database, role=SUPERUSER)

    def make_database(self, name: str, *, template: str = "template1") -> str:
        """Make another database of Kiln's role, as the superuser; answers its URL."""
        with self._superuser() as connection:
            roles.make_database(connection, name, template)
        return self.url(name)

    def start(self) -> None:
        """Start the server, make the cluster, the role and the database `kiln` if need be, or bring over what an older
        version made; returns when it answers.

        Also starts a server again that `poll` found ended. Raises a `LocalError` that says what to do; then nothing
        runs.
        """
        try:
            self._start()
        except OSError as error:
            self.stop()
            raise from_os_error(error) from error
        except BaseException:
            self.stop()
            raise

    def poll(self) -> str | None:
        """How the server ended, in words; None while it runs."""
        if self._server is None:
            return "not started"
        return ending(self._server) if ended(self._server) else None

    def stop(self, *, patience_seconds: float = 20) -> None:
        """Stop the server and release the home. What is open is rolled back; after the patience it stops harder."""
        if self._server is not None:
            for number, seconds in ((signal.SIGINT, patience_seconds), (signal.SIGQUIT, 5.0)):
                signal_child(self._server, number)
                if self._ended_within(seconds):
                    break
            kill_group(self._server)
            self._server.wait()
            self._server = None
        self._alive.release()
        self._holder.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        binaries = binaries_directory()
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._holder.take():
            raise HomeInUse(f"{self.home} is held by {self._holder.holder()}.")
        sockets = private_directory(socket_directory(self.home))
        remains.clear(self.data, sockets, self._alive)
        try:
            self._run(binaries, sockets)
        finally:
            # From here on the lock is the server's alone, so that it tells whether the server lives.
            self._alive.release()
        self._await_readiness()
        self._hand_over()
        if not self._keeps_superuser:
            self._shut_out_superuser()

    def _run(self, binaries: Path, sockets: Path) -> None:
        inherited = self._alive.descriptor
        assert inherited is not None  # noqa: S101 - `clear` returned, so it is taken
        identity = self._identity = choose_identity(binaries, self.home, self._wanted_identity)
        cluster.prepare(self.data, binaries, identity, durable=self._durable, inherited=inherited)
        cluster.admit(self.data, identity, superuser=True, everywhere=self._keeps_superuser)
        # What makes the server ours stands here, where no ALTER SYSTEM can change it.
        fixed = {
            "listen_addresses": "",
            "unix_socket_directories": sockets,
            "unix_socket_permissions": "0700",
            "port": PORT,
        }
        with rotated(self.log, _LARGEST_LOG_BYTES) as output:
            self._log_start = output.tell()
            self._server = spawn(
                [binaries / "postgres", "-D", self.data, *(f"--{name}={value}" for name, value in fixed.items())],
                death_signal=signal.SIGINT,
                output=output,
                environment=server_environment(),
                identity=str(identity),
                inherited=[inherited],
            )

    def _await_readiness(self) -> None:
        """Ask the server itself until it answers; a file that says so may be stale."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                with self._superuser() as connection:
                    self.version = str(connection.info.parameter_status("server_version"))
                    return
            except psycopg.OperationalError as error:
                if (how := self.poll()) is not None:
                    raise explain(tail(self.log, since=self._log_start) or how) from error
                if time.monotonic() > deadline:
                    raise ServerFailed(tail(self.log, since=self._log_start)) from error
                time.sleep(0.02)

    def _hand_over(self) -> None:
        with self._superuser() as connection:
            roles.make_role(connection)
            roles.make_database(connection, cluster.DATABASE)
        with self._superuser(cluster.DATABASE) as connection:
            roles.hand_over(connection)

    def _shut_out_superuser(self) -> None:
        """Let nobody in any more but Kiln's role; returns when it is so, and raises ServerFailed where it does not
        become so.
        """
        cluster.admit(self.data, self._identity, superuser=False)
        with self._superuser() as connection:
            connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + _RELOAD_SECONDS
        with contextlib.suppress(psycopg.OperationalError):
            while time.monotonic() < deadline:
                self._superuser().close()
                time.sleep(0.005)
            raise ServerFailed("the server goes on letting its superuser in")

    def _superuser(self, database: str = SUPERUSER) -> "psycopg.Connection[Any]":
        url = self.superuser_url(database)
        return psycopg.connect(url, connect_timeout=5, autocommit=True, options=roles.SAFELY)

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True
