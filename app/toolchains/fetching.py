"""Package managers, by which compilers are fetched when Kiln is installed."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from app.toolchains.errors import InstallFailed

_SECONDS: Final = 600


def fetch(
    name: str, command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run a package manager's command, called `name` where it fails; raises InstallFailed with its own reason."""
    try:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"{name} did not finish within {_SECONDS} s"
        raise InstallFailed(message) from error
    if ended.returncode != 0:
        reason = ended.stderr.decode(errors="replace").strip() or f"exit code {ended.returncode}"
        message = f"{name} failed: {reason}"
        raise InstallFailed(message)
