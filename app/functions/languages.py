"""Which languages can be compiled now, by whom, and if not, why: compile workers say so, everybody else reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection

from app.functions import queries
from app.platform import Platform
from app.toolchains import (
    LANGUAGES,
    Compiled,
    Readiness,
    State,
    Toolchain,
    ToolchainMissing,
    jail_readiness,
    toolchain,
)

log = structlog.get_logger()

#: How often a worker repeats what it said. What is older than three times this is past.
REPORT_SECONDS: Final = 60
_PAST_SECONDS: Final = 3 * REPORT_SECONDS

#: When a worker that cannot compile something yet had better be asked again.
ASK_AGAIN_SECONDS: Final = 1.0

#: Among the languages that a worker speaks of this is none: it is the jail that they are compiled in.
_JAIL: Final = "jail"

_NOBODY: Final = "No compile worker is running."


@dataclass(frozen=True, slots=True)
class Language:
    """A language and whether it can be compiled anywhere."""

    toolchain: Toolchain
    version: str
    readiness: Readiness


def languages(platform: Platform) -> list[Language]:
    """Every language as its workers see it: it is as ready as it is at the one that is furthest."""
    with platform.database.statement() as connection:
        said = queries.compilers(connection, past_seconds=_PAST_SECONDS)
    return [_seen(language, said.get(name, {})) for name, language in LANGUAGES.items()]


def jails(connection: Connection) -> dict[str, str | None]:
    """By compile worker: why the jail of its machine cannot be trusted; None where it can."""
    return queries.compilers_of(connection, _JAIL, past_seconds=_PAST_SECONDS)


def is_preparing(platform: Platform, name: str) -> bool:
    """Whether workers are still building what a language's compilations share, and none can compile it yet."""
    seen = next(language for language in languages(platform) if language.toolchain.language == name)
    return seen.readiness.state is State.PREPARING


def _seen(language: Toolchain, said: Mapping[State, tuple[str | None, str]]) -> Language:
    for state in State:
        if state in said:
            reason, version = said[state]
            return Language(language, version, Readiness(state, reason))
    return Language(language, language.version(), Readiness(State.MISSING, _NOBODY))


def readiness(platform: Platform, name: str) -> Readiness:
    """Whether this machine can compile a language now, or whether another can: then this one is to leave it alone."""
    here = toolchain(name).readiness(platform.toolchains)
    if here.state is not State.MISSING:
        return here
    with platform.database.statement() as connection:
        elsewhere = queries.compilers(connection, past_seconds=_PAST_SECONDS).get(name, {})
    return Readiness(State.PREPARING) if {State.READY, State.PREPARING} & elsewhere.keys() else here


def compiled(platform: Platform, language: Toolchain, source: bytes) -> Compiled:
    """Compile a source on this machine. Raises what the toolchain raises, and ToolchainMissing before anything reads
    the source where something is missing, and be it a jail that can be trusted.
    """
    here = language.readiness(platform.toolchains)
    if here.state is State.MISSING:
        raise ToolchainMissing(here.reason)
    return language.compile(source, shared=platform.toolchains)


def report(platform: Platform, worker: str, failed: Mapping[str, str]) -> None:
    """Say how far this machine's languages are, and for which of them preparing `failed`, and why."""
    rows = [_row(_JAIL, jail_readiness(), "")]
    for name, language in LANGUAGES.items():
        here = language.readiness(platform.toolchains)
        if name in failed and here.state is State.PREPARING:
            here = Readiness(State.MISSING, failed[name])
        rows.append(_row(name, here, language.version()))
    try:
        with platform.database.statement() as connection:
            queries.report_compilers(connection, worker, rows, past_seconds=_PAST_SECONDS)
    except Exception:
        log.exception("language.not_reported")


def _row(name: str, here: Readiness, version: str) -> dict[str, str | None]:
    return {"language": name, "state": here.state, "reason": here.reason, "version": version}
