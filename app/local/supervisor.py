"""Keeps processes running: one that dies is started again, and at the end they are stopped in order."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from app.local.children import ended, ending, kill_group, signal_child, spawn
from app.local.logfiles import rotated
from app.local.procfile import ProcessSpec

_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0


@dataclass
class Backoff:
    """How long to wait before something that died starts again: doubling, but anew after a healthy life."""

    deaths: int = 0
    started_at: float = field(default_factory=time.monotonic)
    again_at: float | None = None

    def died(self) -> float:
        """Note a death now; returns the seconds until the next start."""
        now = time.monotonic()
        self.deaths = 1 if now - self.started_at >= _HEALTHY_SECONDS else self.deaths + 1
        delay = min(_FIRST_DELAY_SECONDS * 2.0 ** (self.deaths - 1), _LONGEST_DELAY_SECONDS)
        self.again_at = now + delay
        return delay

    def due(self) -> bool:
        """Whether the waiting is over; it is noted as the start then."""
        if self.again_at is None or time.monotonic() < self.again_at:
            return False
        self.again_at, self.started_at = None, time.monotonic()
        return True


@dataclass
class _Kept:
    spec: ProcessSpec
    child: subprocess.Popen[bytes]
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Runs `specs` in `directory`, each with its log in `logs`. `say` gets one line for each thing that happens.

    Use it from the main thread: the children end when the thread that started them does.
    """

    def __init__(
        self,
        specs: Iterable[ProcessSpec],
        *,
        logs: Path,
        directory: Path,
        environment: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._specs = tuple(specs)
        self._logs = logs
        self._directory = directory
        self._environment = environment
        self._say = say
        self._kept: list[_Kept] = []

    def start(self) -> None:
        """Start every process; the logs of the run before move to `.1`."""
        for spec in self._specs:
            self._kept.append(_Kept(spec, self._spawn(spec, keep_log_bytes=0)))

    def watch(self) -> None:
        """Look after the processes once: note who died, start again whose time has come."""
        for kept in self._kept:
            if kept.backoff.again_at is None and ended(kept.child):
                delay = kept.backoff.died()
                self._say(f"{kept.spec.name} ended ({ending(kept.child)}); it starts again in {delay:.0f} s")
            elif kept.backoff.due():
                kept.child = self._spawn(kept.spec, keep_log_bytes=10_000_000)
                self._say(f"{kept.spec.name} started again")

    def pids(self) -> list[int]:
        """The process ids of the children that this supervisor has not seen end."""
        return [kept.child.pid for kept in self._kept if kept.child.returncode is None]

    def troubled(self) -> tuple[str, int] | None:
        """The name of the process that died most often lately, with the number of its deaths; None when none did."""
        worst = max(self._kept, key=lambda kept: kept.backoff.deaths, default=None)
        return (worst.spec.name, worst.backoff.deaths) if worst and worst.backoff.deaths else None

    def stop(self, urgent: Callable[[], bool] = lambda: False) -> None:
        """Stop everything, rank by rank. Who outlives its patience is killed; all are when `urgent` becomes true."""
        by_rank = sorted(self._kept, key=attrgetter("spec.stop_rank"))
        for _, group in groupby(by_rank, key=attrgetter("spec.stop_rank")):
            self._stop_together(list(group), urgent)
        self._kept.clear()

    def _stop_together(self, group: list[_Kept], urgent: Callable[[], bool]) -> None:
        began = time.monotonic()
        left = [kept for kept in group if not ended(kept.child)]
        for kept in left:
            signal_child(kept.child, signal.SIGTERM)
        told = False
        while left := [kept for kept in left if not ended(kept.child)]:
            waited = time.monotonic() - began
            for kept in left:
                if urgent() or waited > kept.spec.stop_seconds:
                    self._say(f"{kept.spec.name} is killed after {waited:.1f} s")
                    kill_group(kept.child)
                    kept.child.wait()
            if waited > 2 and not told:
                told = True
                waiting = ", ".join(f"{kept.spec.name} (at most {kept.spec.stop_seconds:.0f} s)" for kept in left)
                self._say(f"waiting for what is running to end: {waiting}; Ctrl-C again ends it now")
            time.sleep(0.02)

    def _spawn(self, spec: ProcessSpec, *, keep_log_bytes: int) -> subprocess.Popen[bytes]:
        with rotated(self._logs / f"{spec.name}.log", keep_log_bytes) as output:
            return spawn(
                spec.argv,
                death_signal=signal.SIGTERM,
                output=output,
                environment=self._environment,
                directory=self._directory,
            )
