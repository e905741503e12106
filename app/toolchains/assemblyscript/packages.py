"""The pinned packages: their versions, whether they are installed, and their installation."""

import fcntl
import hashlib
import json
import os
import subprocess
from functools import cache
from pathlib import Path

from app.toolchains.errors import InstallFailed
from app.toolchains.node import node, npm

FOLDER = Path(__file__).parent
_LOCK = FOLDER / "package-lock.json"
_STAMP = FOLDER / "node_modules" / ".kiln-installed"
_INSTALL_SECONDS = 600


@cache
def pinned(package: str) -> str:
    """The version of a package that the lock file names."""
    lock = json.loads(_LOCK.read_text(encoding="utf-8"))
    version: str = lock["packages"][f"node_modules/{package}"]["version"]
    return version


def installed() -> bool:
    """Whether exactly what the lock file says has been installed."""
    try:
        return _STAMP.read_text(encoding="ascii") == _digest()
    except FileNotFoundError:
        return False


def install() -> None:
    """Install the packages with npm unless they are; raises InstallFailed with npm's own reason.

    Processes that install at the same time wait for the first of them.
    """
    with _LOCK.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed():
            _run_npm()
            _STAMP.write_text(_digest(), encoding="ascii")


def _run_npm() -> None:
    command = [str(node()), str(npm()), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    # Packages' programs start with `#!/usr/bin/env node`, and this node need not be the system's.
    environment = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    try:
        ended = subprocess.run(
            command, cwd=FOLDER, env=environment, capture_output=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"npm did not finish within {_INSTALL_SECONDS} s"
        raise InstallFailed(message) from error
    if ended.returncode != 0:
        reason = ended.stderr.decode(errors="replace").strip() or f"exit code {ended.returncode}"
        message = f"npm ci failed: {reason}"
        raise InstallFailed(message)


def _digest() -> str:
    return hashlib.sha256(_LOCK.read_bytes()).hexdigest()
