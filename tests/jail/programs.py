"""Programs for the jail, and how they are run."""

import sys
from collections.abc import Sequence
from pathlib import Path

from app.toolchains.jail import JailLimits, JailResult, run

#: Where a shell and its tools are, and where Python is.
SYSTEM = (Path("/bin"), Path("/usr/bin"))
INTERPRETER = (Path(sys.prefix), Path(sys.base_prefix))


def shell(
    program: str, scratch: Path, *, stdin: bytes = b"", outputs: Sequence[str] = (), limits: JailLimits | None = None
) -> JailResult:
    """Run a program of the shell's."""
    command = ["/bin/sh", "-c", program]
    given = limits or JailLimits()
    return run(command, stdin=stdin, outputs=outputs, readable=SYSTEM, limits=given, scratch=scratch)


def python(program: str, scratch: Path, *, stdin: bytes = b"", limits: JailLimits | None = None) -> JailResult:
    """Run a Python program."""
    command = [sys.executable, "-I", "-S", "-c", program]
    return run(command, stdin=stdin, readable=INTERPRETER, limits=limits or JailLimits(), scratch=scratch)
