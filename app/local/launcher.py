"""`make up`: checks, the database, the schema, the processes, the examples; then watching over them until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.addresses import flower_socket
from app.local import checks
from app.local.administrator import administrator_of
from app.local.children import adopt_orphans, kill_orphans, orphans, spawn
from app.local.errors import HomeInUse, LocalError, StepFailed, from_os_error
from app.local.examples import Example, ExampleRecord, curl_line
from app.local.locks import FileLock
from app.local.logfiles import rotated, tail
from app.local.postgres import EmbeddedPostgres
from app.local.procfile import RELEASE, ProcessSpec, processes, read_procfile
from app.local.progress import Progress
from app.local.stopping import StopSignals
from app.local.supervisor import Backoff, Supervisor
from app.settings import Settings

_REPOSITORY = Path(__file__).parents[2]
_DEATHS_THAT_TELL = 3


@dataclass(frozen=True, kw_only=True)
class Launch:
    """All that the launcher needs to know. `release` and `seed` run once; `processes` are kept running."""

    home: Path
    bind: str
    port: int
    database_url: str
    embedded: bool
    directory: Path
    environment: Mapping[str, str]
    processes: tuple[ProcessSpec, ...]
    release: tuple[str, ...] | None = None
    seed: tuple[str, ...] | None = None
    ready_seconds: float = 120
    patience_seconds: float = 15


def launch_of(settings: Settings, environ: Mapping[str, str]) -> Launch:
    """What `settings` and the repository's Procfile ask for."""
    programs = str(Path(sys.executable).parent)
    # A PGPORT or PGSERVICE of the user's own would lead libpq away from the embedded server.
    kept = {name: value for name, value in environ.items() if not (settings.embedded and name.startswith("PG"))}
    environment = kept | {
        "KILN_HOME": str(settings.home),
        "PORT": str(settings.port),
        "PATH": os.pathsep.join([programs, environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }
    commands = read_procfile(_REPOSITORY / "Procfile", environment)
    return Launch(
        home=settings.home,
        bind=settings.bind,
        port=settings.port,
        database_url=settings.database_url,
        embedded=settings.embedded,
        directory=_REPOSITORY,
        environment=environment,
        processes=processes(commands),
        release=commands.get(RELEASE),
        seed=(sys.executable, "-m", "app.functions.seed") if settings.seed_examples else None,
    )


class Launcher:
    """One run of the platform on this machine. Everything it starts ends with it, even when it is killed."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._progress = Progress()
        self._lock = FileLock(launch.home / "launcher.lock")
        self._logs = launch.home / "logs"
        self._postgres = EmbeddedPostgres(launch.home) if launch.embedded else None
        self._postgres_backoff = Backoff()
        self._strangers: list[int] | None = None
        self._is_first_start = False
        self._supervisor = Supervisor(
            launch.processes,
            logs=self._logs,
            directory=launch.directory,
            environment=launch.environment,
            say=self._progress.say,
        )

    def run(self) -> int:
        """Start, watch, stop; returns the exit code: 0 after an orderly stop, 1 when the start failed."""
        with StopSignals() as signals:
            code = 0
            try:
                with signals.interrupting():
                    self._start(signals)
                while not signals.requested:
                    signals.sleep(1.0)
                    self._watch()
            except LocalError as error:
                self._progress.fail(str(error))
                code = 1
            except OSError as error:
                self._progress.fail(str(from_os_error(error)))
                code = 1
            except KeyboardInterrupt:
                pass
            finally:
                self._stop(signals)
            return code

    def _start(self, signals: StopSignals) -> None:
        with self._progress.step("checks"):
            self._check()
        self._strangers = adopt_orphans()
        with self._progress.step("postgresql") as names:
            names.append(self._start_database())
        known = administrator_of(self._launch.home, self._launch.database_url)
        self._is_first_start = known is None
        if self._launch.release:
            with self._progress.step("schema"):
                self._run_once("release", self._launch.release, "The schema could not be brought up to date.")
        with self._progress.step(", ".join(spec.name for spec in self._launch.processes)):
            self._supervisor.start()
            self._await_readiness(signals)
        self._greet()

    def _check(self) -> None:
        checks.check_home(self._launch.home)
        if not self._lock.take():
            raise HomeInUse(f"{self._launch.home} is held by {self._lock.holder()}.")
        checks.check_port(self._launch.bind, self._launch.port)
        self._logs.mkdir(mode=0o700, exist_ok=True)

    def _start_database(self) -> str:
        if self._postgres is None:
            return checks.check_database(self._launch.database_url)
        self._postgres.start()
        self._postgres_backoff = Backoff()
        return self._postgres.version

    def _run_once(self, name: str, command: tuple[str, ...], failure: str) -> str:
        """Run a command to its end; its errors go to its log, and what it prints is returned."""
        path = self._logs / f"{name}.log"
        with rotated(path, 0) as log:
            child = spawn(
                command,
                death_signal=signal.SIGTERM,
                output=subprocess.PIPE,
                errors=log,
                environment=self._launch.environment,
                directory=self._launch.directory,
            )
            printed = child.communicate()[0]
            log.write(printed)
        if child.returncode != 0:
            raise StepFailed(f"{failure} The end of {path}:\n{tail(path)}")
        return printed.decode(errors="replace")

    def _await_readiness(self, signals: StopSignals) -> None:
        began = time.monotonic()
        told_at = began
        while (missing := self._missing()) is not None:
            now = time.monotonic()
            troubled = self._supervisor.troubled()
            if now - began > self._launch.ready_seconds or (troubled and troubled[1] >= _DEATHS_THAT_TELL):
                name = troubled[0] if troubled else self._launch.processes[0].name
                path = self._logs / f"{name}.log"
                raise StepFailed(f"Kiln does not become ready: {missing}. The end of {path}:\n{tail(path)}")
            if now - told_at > self._launch.patience_seconds:
                told_at = now
                self._progress.say(f"still waiting: {missing}")
            signals.sleep(0.1)
            self._watch()

    def _missing(self) -> str | None:
        missing = checks.missing_for_readiness(checks.dialled(self._launch.bind), self._launch.port)
        if missing is None and self._has_flower and not checks.listens(flower_socket(self._launch.home)):
            return "Flower does not listen yet"
        return missing

    @property
    def _has_flower(self) -> bool:
        return any(spec.name == "flower" for spec in self._launch.processes)

    def _greet(self) -> None:
        record = ExampleRecord(self._launch.home, self._launch.database_url)
        examples = record.read()
        if examples is None and self._launch.seed:
            with self._progress.step("examples"):
                printed = self._run_once("seed", self._launch.seed, "The examples could not be registered.")
                examples = record.write(printed)
        host = checks.dialled(self._launch.bind)
        base = f"http://{f'[{host}]' if ':' in host else host}:{self._launch.port}"
        lines = [f"\nKiln is ready: {base}   (API: {base}/docs, logs: {self._logs}, Ctrl-C stops it)"]
        if self._has_flower:
            lines.append(f"Flower: {base}/flower")
        self._progress.plain("\n".join([*lines, *self._introduction(base, examples or [])]))

    def _introduction(self, base: str, examples: list[Example]) -> Iterator[str]:
        """How to sign in, and a first request that works as it stands."""
        known = administrator_of(self._launch.home, self._launch.database_url)
        if known is not None and self._is_first_start and known.password is not None:
            yield f"Sign in as {known.email} with the password {known.password}"
        elif known is not None:
            yield f"Sign in as {known.email}; {self._launch.home / 'administrator.json'} has the rest"
        if line := curl_line(base, examples, None if known is None else known.key):
            yield f"Try it:\n  {line}"

    def _watch(self) -> None:
        self._watch_database()
        self._supervisor.watch()
        orphans(self._children())

    def _watch_database(self) -> None:
        if self._postgres is None:
            return
        if self._postgres_backoff.again_at is None and (how := self._postgres.poll()) is not None:
            delay = self._postgres_backoff.died()
            self._progress.say(f"postgresql ended ({how}); it starts again in {delay:.0f} s")
        elif self._postgres_backoff.due():
            try:
                self._postgres.start()
                self._progress.say("postgresql started again")
            except LocalError as error:
                self._progress.fail(str(error))

    def _children(self) -> list[int]:
        database = self._postgres.pid if self._postgres else None
        return [*(self._strangers or []), *self._supervisor.pids(), *([database] if database else [])]

    def _stop(self, signals: StopSignals) -> None:
        if self._lock.descriptor is None:
            return
        if signals.requested:
            self._progress.plain("")
        self._supervisor.stop(lambda: signals.urgent)
        # What left its process's group, such as a jailed compiler's session, came to us when that process ended.
        if self._strangers is not None:
            kill_orphans(self._children())
        if self._postgres is not None:
            self._postgres.stop(patience_seconds=5 if signals.urgent else 20)
        self._lock.release()
        if signals.requested:
            self._progress.say("stopped", mark="ok")
