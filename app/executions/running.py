"""What an execute worker does: one attempt at an execution, and its end. Those that nobody waits for are run in
`turns`.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from app.broker import Delivery, Keeper
from app.environments.domain import NOTHING, Opened
from app.environments.opening import opened
from app.executions import queries
from app.executions.domain import MAX_DELIVERIES, ErrorType, Finish, Status
from app.executions.queries import Claimed
from app.functions import artifacts
from app.functions.domain import Retry
from app.functions.modules import Modules
from app.platform import Platform
from app.queue import backoff_seconds
from app.wasm.limits import Limits
from app.wasm.outcome import Outcome
from app.wasm.progress import Progress, Reported
from app.wasm.run import interrupt, run

log = structlog.get_logger()

_MIB = 1 << 20


class Progressing:
    """What an attempt says of its progress, and how much of that is written."""

    def __init__(self, claimed: Claimed) -> None:
        self.reported = Reported()
        self._claimed = claimed
        self._written: Progress | None = None

    @property
    def is_unwritten(self) -> bool:
        """Whether it has said something since."""
        return self.reported.latest is not self._written

    def write(self, connection: Any) -> None:
        """Write what is unwritten through psycopg's connection."""
        latest = self.reported.latest
        if latest is not None and latest is not self._written:
            told = {"percent": latest.percent, "message": latest.message, "at": _time(latest.at)}
            queries.tell_progress(connection, self._claimed, told)
            self._written = latest


def execute(platform: Platform, modules: Modules, keeper: Keeper, claimed: Claimed) -> None:
    """Run the function once and write the end; the message goes in the same transaction.

    What the claim did not bring along is not to be run: the execution has ended already, or somebody sent this task by
    hand, and the message is only settled.
    """
    if claimed.delivery.carried is None:
        with platform.database.statement() as connection:
            queries.settle(connection, claimed.delivery)
        return
    end = run_once(platform, modules, keeper, claimed)
    if end is not None and not try_again(platform, claimed, end):
        finish(platform, claimed, end)


def run_once(
    platform: Platform, modules: Modules, keeper: Keeper, claimed: Claimed, *, patience_ms: float | None = None
) -> Finish | None:
    """Run the function once; None where its message was taken away meanwhile, for which it is stopped. Nothing is open
    while it runs.
    """
    progress = Progressing(claimed)
    with keeper.keeping(claimed.delivery, interrupt, progress.write) as kept:
        end = _run(platform, modules, claimed, patience_ms, progress.reported)
    if kept.lost:
        log.warning("execution.stopped", message=claimed.delivery.tag)
        return None
    if progress.is_unwritten:
        with platform.database.statement() as connection:
            progress.write(connection.connection.driver_connection)
    return end


def try_again(platform: Platform, claimed: Claimed, end: Finish) -> bool:
    """After a failure of the function: whether it has another attempt, for which the execution was given back."""
    carried: dict[str, Any] = claimed.delivery.carried
    if end.error_type is None or carried.get("retry") is None:
        return False
    retries = carried["retries"]
    delay = Retry.of(carried["retry"]).delay(end.error_type, retries, chance=secrets.randbelow(1000) / 1000)
    if delay is None:
        return False
    with platform.database.statement() as connection:
        held, _ = queries.again(connection, claimed, end, delay_seconds=delay, is_retry=True)
    admit_others(platform, [claimed])
    if held:
        log.info("execution.retried", error_type=end.error_type, retries=retries + 1, delay_seconds=round(delay, 3))
    else:
        log.warning("execution.stale", message=claimed.delivery.tag)
    return True


def give_up(platform: Platform, delivery: Delivery, execution_id: UUID) -> bool:
    """After a failure of the platform: give the execution back for later, or end it where that was the last failure
    that is tolerated. Nothing is left to be done then.
    """
    claimed = Claimed(execution_id, delivery)
    end = Finish.by_platform(ErrorType.INFRASTRUCTURE, "the platform failed to run this; the operators' logs say why")
    failures = delivery.deliveries - (delivery.carried or {}).get("retries", 0)
    if failures >= MAX_DELIVERIES:
        finish(platform, claimed, end)
        return True
    with platform.database.statement() as connection:
        delay = backoff_seconds(failures)
        queries.again(connection, claimed, end, delay_seconds=delay, is_retry=False)
    return True


def _run(
    platform: Platform, modules: Modules, claimed: Claimed, patience_ms: float | None, reported: Reported
) -> Finish:
    carried: dict[str, Any] = claimed.delivery.carried
    module = modules.load(carried["artifact"])
    layer = modules.layer(carried["layer"], module)
    text = carried["input"]
    if text is None:
        with platform.database.statement() as connection:
            text = queries.input_of(connection, claimed.execution_id)
    settings = platform.settings
    limits = Limits(
        timeout_ms=carried["timeout_ms"],
        memory_bytes=carried["memory_mb"] * _MIB,
        output_bytes=settings.max_output_bytes,
        log_bytes=settings.max_log_bytes,
        patience_ms=patience_ms,
    )
    context = {
        "executionId": str(claimed.execution_id),
        "functionId": carried["function_id"],
        "version": carried["version"],
        "attempt": carried["attempt"],
        "correlationId": carried["correlation_id"],
    }
    given = _environment(platform, carried)
    outcome = run(
        module,
        text or "null",
        layer=layer,
        limits=limits,
        context=context,
        environment=given.variables,
        reported=reported,
    )
    if outcome.location is None and outcome.frames:
        version = UUID(carried["function_id"]), carried["version"]
        outcome = replace(outcome, location=artifacts.place_of(platform, *version, outcome.frames))
    return _end_of(outcome, given)


def _time(seconds: float) -> str:
    """Unix time as text."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _environment(platform: Platform, carried: dict[str, Any]) -> Opened:
    if carried["environment"] is None:
        return NOTHING
    return opened(platform, UUID(carried["environment"]), carried["environment_revision"])


def _end_of(outcome: Outcome, given: Opened) -> Finish:
    return Finish(
        status=Status.COMPLETED if outcome.failure is None else Status.FAILED,
        output=outcome.output,
        error_type=None if outcome.failure is None else ErrorType(outcome.failure),
        error_message=outcome.message,
        error_location=outcome.location,
        logs=outcome.logs,
        duration_ms=outcome.duration_ms,
        fuel_used=outcome.fuel_used,
        memory_peak_bytes=outcome.memory_peak_bytes,
        environment_revision=given.revision,
    )


def finish(platform: Platform, claimed: Claimed, end: Finish) -> None:
    """Write one end, and say so."""
    with platform.database.statement() as connection:
        held, was_running = queries.finish(connection, claimed.delivery, claimed.execution_id, end)
    admit_others(platform, [claimed])
    tell(claimed, end, held=held, was_running=was_running)


def admit_others(platform: Platform, ended: Sequence[Claimed]) -> None:
    """Let through what has waited for one of these to end."""
    if any(claimed.delivery.carried and claimed.delivery.carried["gated"] for claimed in ended):
        with platform.database.statement() as connection:
            queries.admit(connection)


def tell(claimed: Claimed, end: Finish, *, held: bool, was_running: bool) -> None:
    """Log what became of an end."""
    if not held:
        log.warning("execution.stale", message=claimed.delivery.tag)
    elif was_running:
        log.info("execution.finished", status=str(end.status), error_type=end.error_type, duration_ms=end.duration_ms)
