"""Packages of npm that a lock file in a toolchain's folder pins: their versions and their installation."""

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.toolchains.fetching import fetch
from app.toolchains.node import node, npm


@dataclass(frozen=True)
class Packages:
    """What the lock file of one folder names, in that folder's `node_modules`."""

    folder: Path

    def pinned(self, package: str) -> str:
        """The version of a package that the lock file names."""
        version: str = self._locked["packages"][f"node_modules/{package}"]["version"]
        return version

    def installed(self) -> bool:
        """Whether exactly what the lock file says has been installed."""
        try:
            return self._stamp.read_text(encoding="ascii") == self._digest()
        except FileNotFoundError:
            return False

    def install(self) -> None:
        """Install the packages with npm unless they are; raises InstallFailed with npm's own reason.

        Processes that install at the same time wait for the first of them.
        """
        with self._lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.installed():
                self._run_npm()
                self._stamp.write_text(self._digest(), encoding="ascii")

    @property
    def _lock(self) -> Path:
        return self.folder / "package-lock.json"

    @property
    def _stamp(self) -> Path:
        return self.folder / "node_modules" / ".kiln-installed"

    @cached_property
    def _locked(self) -> dict[str, dict[str, dict[str, str]]]:
        locked: dict[str, dict[str, dict[str, str]]] = json.loads(self._lock.read_text(encoding="utf-8"))
        return locked

    def _digest(self) -> str:
        return hashlib.sha256(self._lock.read_bytes()).hexdigest()

    def _run_npm(self) -> None:
        command = [str(node()), str(npm()), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        # Packages' programs start with `#!/usr/bin/env node`, and this node need not be the system's.
        environment = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        fetch("npm ci", command, folder=self.folder, environment=environment)
