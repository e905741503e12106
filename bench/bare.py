"""Programs without the jail: the same commands in a directory of their own, to compare. For sources of ours only."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from app.toolchains import jail
from app.toolchains.jail import JailResult


def run(
    argv: Sequence[str],
    *then: Sequence[str],
    stdin: bytes = b"",
    files: Mapping[str, bytes] | None = None,
    outputs: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **_jail: Any,
) -> JailResult:
    """What `jail.run` does, and nothing that makes it a jail."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kiln-bare-") as name:
        folder = Path(name)
        for file, content in (files or {}).items():
            (folder / file).write_bytes(content)
        variables = {**(environment or {}), "HOME": name, "TMPDIR": name, "LANG": "C.UTF-8"}
        for program in (argv, *then):
            ended = subprocess.run(program, cwd=folder, env=variables, input=stdin, capture_output=True, check=False)
            if ended.returncode != 0:
                break
        return JailResult(
            ended.returncode,
            ended.stdout,
            ended.stderr,
            round((time.monotonic() - began) * 1000),
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
            outputs={file: (folder / file).read_bytes() for file in outputs if (folder / file).exists()},
        )


@contextmanager
def without_jail() -> Iterator[None]:
    """Have every toolchain run its programs bare, in this process."""
    users = [module for module in sys.modules.values() if getattr(module, "run", None) is jail.run]
    patches = [patch.object(module, "run", run) for module in users]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()
