"""What an execute worker does: one attempt at an execution, and its end."""

from typing import Any
from uuid import UUID

import structlog

from app.broker import Delivery, Keeper
from app.executions import queries
from app.executions.domain import MAX_DELIVERIES, ErrorType, Finish, Status
from app.functions.artifacts import Modules
from app.platform import Platform
from app.wasm.limits import Limits
from app.wasm.outcome import Outcome
from app.wasm.run import interrupt, run

log = structlog.get_logger()

_MIB = 1 << 20


def execute(platform: Platform, modules: Modules, keeper: Keeper, delivery: Delivery, execution_id: UUID) -> None:
    """Run the function once and write the end; the message goes in the same transaction. Nothing is open while the
    function runs, and it is stopped when its message has been taken away.

    What the claim did not bring along is not to be run: the execution has ended already, or somebody sent this task by
    hand, and the message is only settled.
    """
    carried = delivery.carried
    if carried is None:
        with platform.database.statement() as connection:
            queries.settle(connection, delivery)
        return
    with keeper.keeping(delivery, interrupt) as kept:
        end = _run(platform, modules, execution_id, carried)
    if kept.lost:
        log.warning("execution.stopped", message=delivery.tag)
    else:
        _finish(platform, delivery, execution_id, end)


def give_up(platform: Platform, delivery: Delivery, execution_id: UUID) -> bool:
    """After a failure of the platform: whether it was the last that is tolerated, so that the execution has been
    FAILED.
    """
    if delivery.token < MAX_DELIVERIES:
        return False
    end = Finish.by_platform(ErrorType.INFRASTRUCTURE, "the platform failed to run this; the operators' logs say why")
    _finish(platform, delivery, execution_id, end)
    return True


def _run(platform: Platform, modules: Modules, execution_id: UUID, carried: dict[str, Any]) -> Finish:
    module = modules.load(carried["artifact"])
    text = carried["input"]
    if text is None:
        with platform.database.statement() as connection:
            text = queries.input_of(connection, execution_id)
    settings = platform.settings
    limits = Limits(
        timeout_ms=carried["timeout_ms"],
        memory_bytes=carried["memory_mb"] * _MIB,
        output_bytes=settings.max_output_bytes,
        log_bytes=settings.max_log_bytes,
    )
    context = {
        "executionId": str(execution_id),
        "functionId": carried["function_id"],
        "version": carried["version"],
        "attempt": carried["attempt"],
        "correlationId": carried["correlation_id"],
    }
    return _end_of(run(module, text or "null", limits=limits, context=context, environment={}))


def _end_of(outcome: Outcome) -> Finish:
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
    )


def _finish(platform: Platform, delivery: Delivery, execution_id: UUID, end: Finish) -> None:
    with platform.database.statement() as connection:
        held, was_running = queries.finish(connection, delivery, execution_id, end)
    if not held:
        log.warning("execution.stale", message=delivery.tag)
    elif was_running:
        log.info("execution.finished", status=str(end.status), error_type=end.error_type, duration_ms=end.duration_ms)
