"""`python -m app.functions.seed`: register the examples of `examples/` that are not there yet and wait until they are
compiled, but for those whose languages are still being prepared: these follow.

Prints one JSON line for each: `{"name", "id", "status", "input"}`.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from app.accounts import first
from app.functions import queries, service
from app.functions.domain import FunctionLimits, NameTaken, VersionStatus
from app.functions.languages import is_preparing
from app.functions.service import Code
from app.identity import new_id
from app.logs import configure_logs
from app.platform import Platform
from app.settings import load_settings
from app.toolchains import toolchain

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

PATIENCE_SECONDS = 60


def seed(platform: Platform) -> list[tuple[UUID, dict[str, Any]]]:
    """Register every example whose language is here, as the first administrator's; answers those that were not there
    before.
    """
    registered, principal = [], first.program(platform)
    for example in json.loads((EXAMPLES / "examples.json").read_text())["examples"]:
        if toolchain(example["language"]).missing():
            continue
        try:
            function, _ = service.register(
                platform,
                principal,
                name=example["name"],
                description=example["description"],
                code=Code(example["language"], (EXAMPLES / example["file"]).read_bytes()),
                limits=FunctionLimits(),
                correlation_id=str(new_id()),
            )
        except NameTaken:
            continue
        registered.append((function.id, example))
    return registered


def await_compilation(platform: Platform, function_id: UUID) -> str:
    """The status that a function's first version ends in, or has when patience ends, or while its language is being
    prepared.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with platform.database.transaction() as session:
            found = queries.find(session, function_id)
        if found is None:
            return "DELETED"
        version = found[1]
        if version.status not in {VersionStatus.PENDING, VersionStatus.COMPILING} or time.monotonic() > deadline:
            return version.status
        if is_preparing(platform, version.language):
            return version.status
        time.sleep(0.1)


def main() -> None:
    """The command."""
    settings = load_settings(os.environ)
    configure_logs(settings.log_level, process="seed")
    platform = Platform.of(settings, process="seed")
    for function_id, example in seed(platform):
        status = await_compilation(platform, function_id)
        line = {"name": example["name"], "id": str(function_id), "status": status, "input": example["input"]}
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
