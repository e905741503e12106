"""The verbs of executions as callers know them: submit, await, read, list, cancel. Running them is in `running`."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.accounts.domain import Principal
from app.executions import queries
from app.executions.domain import (
    Batch,
    Execution,
    Filter,
    FunctionNotReady,
    InputTooLarge,
    Status,
    Submission,
    UnknownExecution,
    UnknownVersion,
)
from app.executions.waiting import Waiters
from app.functions import service as functions
from app.functions import versions
from app.functions.domain import UnknownFunction, VersionStatus, function_status
from app.functions.models import Version
from app.platform import Platform
from app.queue import BACKGROUND, INTERACTIVE, Queue, Task, message


def submit(platform: Platform, principal: Principal, submission: Submission) -> Execution:
    """Accept an execution: when this returns, its row and its message are committed."""
    _refuse_large(platform, submission.input, pointer="/input")
    priority = BACKGROUND if submission.waiter is None else INTERACTIVE
    payload = _message(str(submission.id), priority=priority, correlation_id=submission.correlation_id)
    with platform.database.statement() as connection:
        accepted = queries.submit(
            connection, principal, submission, queue=Queue.EXECUTE, priority=priority, payload=payload
        )
    if accepted is None:
        raise _why_not(platform, principal, submission)
    version, created_at = accepted
    return Execution(
        id=submission.id,
        function_id=submission.function_id,
        version=version,
        status=Status.PENDING,
        attempts=0,
        trigger=submission.trigger,
        correlation_id=submission.correlation_id,
        created_at=created_at,
        input=submission.input,
    )


def submit_batch(platform: Platform, principal: Principal, batch: Batch) -> None:
    """Accept an execution for every input, or none: when this returns, all rows and messages are committed."""
    for place, text in enumerate(batch.inputs):
        _refuse_large(platform, text, pointer=f"/inputs/{place}")
    payload = _message(queries.EACH, priority=BACKGROUND, correlation_id=batch.correlation_id)
    with platform.database.statement() as connection:
        accepted = queries.submit_batch(
            connection, principal, batch, queue=Queue.EXECUTE, priority=BACKGROUND, payload=payload
        )
    if not accepted:
        raise _why_not(platform, principal, batch)


def submit_and_wait(
    platform: Platform, principal: Principal, waiters: Waiters, submission: Submission, *, seconds: float
) -> Execution:
    """Accept an execution and wait for its end; answers it as it is after at most `seconds`, or at once when too many
    wait already.
    """
    with waiters.expect(submission.id) as waiting:
        if waiting is None:
            return submit(platform, principal, submission)
        execution = submit(platform, principal, replace(submission, waiter=waiters.channel))
        if not waiting.wait(seconds):
            return execution
        if waiting.result is not None:
            return _ended(execution, waiting.result)
    # It is read although its function may have been deleted meanwhile: the caller learns that it was cancelled.
    return even_hidden(platform, execution.id) or execution


def read(platform: Platform, principal: Principal, execution_id: UUID) -> Execution:
    """One execution; raises `UnknownExecution`, also for one of a function that the caller may not see."""
    with platform.database.statement() as connection:
        execution = queries.find_visible(connection, principal, execution_id)
    if execution is None:
        raise UnknownExecution
    return execution


def even_hidden(platform: Platform, execution_id: UUID) -> Execution | None:
    """One execution for our own programs, from whom nothing is hidden."""
    with platform.database.statement() as connection:
        return queries.find(connection, execution_id)


def read_when_ended(
    platform: Platform, principal: Principal, waiters: Waiters, execution_id: UUID, *, seconds: float
) -> Execution:
    """One execution as it is when it ends, or after `seconds`. Its end is found by the second look."""
    execution = read(platform, principal, execution_id)
    if execution.is_final or seconds <= 0:
        return execution
    with waiters.expect(execution_id) as waiting:
        if waiting is not None:
            waiting.wait(seconds)
    return read(platform, principal, execution_id)


def cancel(platform: Platform, execution_id: UUID) -> bool:
    """End an execution that has not ended: what waits is never run, what runs is stopped. Answers whether that was
    left to do.
    """
    with platform.database.statement() as connection:
        return queries.cancel(connection, execution_id)


def page(
    platform: Platform, principal: Principal, wanted: Filter, *, before: UUID | None, limit: int
) -> list[Execution]:
    """The newest matching executions before an id; raises `UnknownFunction` for a function that is not there."""
    if wanted.function_id is not None:
        functions.check_visible(platform, principal, wanted.function_id)
    with platform.database.statement() as connection:
        return queries.page(connection, principal, wanted, before=before, limit=limit)


def delete_function(platform: Platform, principal: Principal, function_id: UUID, *, if_match: str | None) -> None:
    """Delete a function and end everything of it that has not ended, in one transaction."""
    with platform.database.transaction() as session:
        functions.delete(platform, session, principal, function_id, if_match=if_match)
        queries.cancel_all(session.connection(), function_id)


def verify_and_wait(
    platform: Platform,
    principal: Principal,
    waiters: Waiters,
    function_id: UUID,
    number: int,
    *,
    seconds: float,
    correlation_id: str,
) -> tuple[Version, bool]:
    """Ask for a version to be verified and wait for that; answers the version as it is after at most `seconds`, and
    whether it is the active one. The end is found by the second look.
    """
    verification_id = versions.verify(platform, principal, function_id, number, correlation_id=correlation_id)
    if seconds > 0:
        with waiters.expect(verification_id) as waiting:
            if waiting is not None:
                waiting.wait(seconds)
    return versions.read(platform, principal, function_id, number)


def _refuse_large(platform: Platform, text: str, *, pointer: str) -> None:
    size = len(text.encode())
    if size > platform.settings.max_input_bytes:
        raise InputTooLarge(platform.settings.max_input_bytes, size, pointer=pointer)


def _message(execution_id: str, *, priority: int, correlation_id: str) -> str:
    ids = {"execution_id": execution_id}
    return message(
        Task.EXECUTE,
        Queue.EXECUTE,
        message_id=execution_id,
        priority=priority,
        correlation_id=correlation_id,
        ids=ids,
    )


def _why_not(platform: Platform, principal: Principal, submission: Submission | Batch) -> Exception:
    try:
        function, latest = functions.read(platform, principal, submission.function_id)
    except UnknownFunction as error:
        return error
    wanted = submission.alias if submission.version is None else submission.version
    if wanted is not None:
        return UnknownVersion(wanted)
    return FunctionNotReady(function_status(function.active_version, VersionStatus(latest.status)))


_TOLD: Final = {one.name for one in fields(Execution)} - {"id"}


def _ended(execution: Execution, result: Mapping[str, Any]) -> Execution:
    """The execution that we accepted, with the end that its worker told us. A worker of a newer release may tell more
    than this one knows.
    """
    values = {name: value for name, value in result.items() if name in _TOLD}
    values["status"] = Status(values["status"])
    for name in ("started_at", "completed_at"):
        values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
    return replace(execution, **values)
