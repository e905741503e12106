"""The installation of compilers as a command."""

import subprocess
import sys
from pathlib import Path

from app.toolchains.assemblyscript import AssemblyScript
from app.toolchains.javascript import quickjs
from app.toolchains.typescript.toolchain import TypeScript

ROOT = Path(__file__).parents[2]


def test_a_second_installation_does_nothing_and_says_so(assemblyscript: AssemblyScript) -> None:
    command = [sys.executable, "-m", "app.toolchains.install"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [
        f"toolchains: assemblyscript {assemblyscript.version()} is installed",
        f"toolchains: typescript {TypeScript().version()} is installed",
        f"toolchains: quickjs-ng {quickjs.VERSION} is installed",
    ]
    assert ended.stderr == ""
