"""The Procfile, the one list of what runs: `name: command` lines, `release` first and once, the others for as long as
Kiln is up.

A command is split like a shell would and its `$NAME`, `${NAME}` and `${NAME:-default}` are replaced, but no shell runs
it, so that signals reach the process itself. What would need a shell is refused.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.local.errors import ProcfileInvalid

RELEASE = "release"
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>.+)")
_VARIABLE = re.compile(r"\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\})")
_SHELL = re.compile(r"[;&|<>`]|\$\(")


@dataclass(frozen=True)
class ProcessSpec:
    """A process to keep running. It has `stop_seconds` to end after SIGTERM; lower `stop_rank`s go first."""

    name: str
    argv: tuple[str, ...]
    stop_seconds: float = 10
    stop_rank: int = 1


# The web goes first, so that nothing new arrives; workers then finish what they hold: a compilation or an execution at
# most.
_STOPPING = {"web": (10, 0), "execute": (75, 1), "compile": (125, 1)}


def read_procfile(path: Path, environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Each name's command as a list of arguments, in the file's order; raises `ProcfileInvalid`."""
    commands = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or _SHELL.search(match["command"]):
            raise ProcfileInvalid(f"{path}:{number}: {line}")
        commands[match["name"]] = tuple(_expand(word, environment) for word in shlex.split(match["command"]))
    return commands


def processes(commands: Mapping[str, tuple[str, ...]]) -> tuple[ProcessSpec, ...]:
    """What is to be kept running of a Procfile's commands, with the patience that each needs when it is stopped."""
    return tuple(
        ProcessSpec(name, argv, *_STOPPING.get(name, (10, 1))) for name, argv in commands.items() if name != RELEASE
    )


def _expand(word: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return environment.get(match["plain"] or match["name"]) or match["default"] or ""

    return _VARIABLE.sub(value, word)
