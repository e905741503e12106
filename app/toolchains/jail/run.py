"""One call: run a program in the jail."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGXCPU, SIGXFSZ

from app.toolchains.jail.job import Job, OutputRefused, OutputTooLarge
from app.toolchains.jail.limits import Bound, JailError, JailLimits, JailResult
from app.toolchains.jail.supervise import Command, supervise

_DEFAULT_LIMITS = JailLimits()

#: How the kernel ends a process for what it has too much of.
_BY_SIGNAL = {-SIGXCPU: Bound.TIME, -SIGXFSZ: Bound.OUTPUT}


def run(
    argv: Sequence[str],
    *then: Sequence[str],
    stdin: bytes = b"",
    files: Mapping[str, bytes] | None = None,
    outputs: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    readable: Sequence[Path] = (),
    limits: JailLimits = _DEFAULT_LIMITS,
    scratch: Path | None = None,
) -> JailResult:
    """Run `argv` in a private directory that holds `files`, and bring back what it printed and the `outputs` it left.

    What is to be done `then` runs there too, each program if the one before ended with 0. A program is named by its
    absolute path. It sees `environment`, HOME, TMPDIR and LANG, and nothing else of the worker's. Outside its directory
    it may read the system's libraries and what `readable` names; all of it must exist. `scratch` is where the directory
    is made, by default the system's place for temporary files. Blocks until the programs and all that they started have
    ended. Raises JailError when one could not be run; how the last that ran ended is in the result.
    """
    programs = [Path(program[0]) for program in (argv, *then)]
    for path in (*programs, *readable):
        if not path.is_absolute() or not path.exists():
            message = f"{path} is not there"
            raise JailError(message)
    started = time.monotonic()
    with Job(scratch or Path(tempfile.gettempdir())) as job:
        job.write(files or {})
        home = str(job.path)
        command = Command(
            programs=(argv, *then),
            directory=job.path,
            environment={**(environment or {}), "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"},
            readable=(*programs, *readable),
        )
        ended = supervise(command, stdin=stdin, limits=limits)
        taken, refused, too_large = _take(job, outputs, limits)
    return JailResult(
        returncode=ended.returncode,
        stdout=ended.stdout,
        stderr=ended.stderr,
        duration_ms=round((time.monotonic() - started) * 1000),
        exceeded=ended.exceeded or _BY_SIGNAL.get(ended.returncode) or (Bound.OUTPUT if too_large else None),
        peak_memory_bytes=ended.peak_memory_bytes,
        outputs=taken,
        refused=refused,
        lacking=ended.lacking,
    )


def _take(job: Job, names: Sequence[str], limits: JailLimits) -> tuple[dict[str, bytes], dict[str, str], bool]:
    taken: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    too_large = False
    for name in names:
        try:
            taken[name] = job.take(name, limits.output_bytes)
        except OutputRefused as refusal:
            refused[name] = str(refusal)
            too_large = too_large or isinstance(refusal, OutputTooLarge)
    return taken, refused, too_large
