"""The verbs of executions as callers know them: submit, await, read, list, cancel, replay. Running them is in
`running`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from app.accounts.domain import Principal
from app.audit.domain import Act
from app.audit.service import record_alone
from app.broker import Place, addressed_to
from app.executions import history_queries, queries, submission_queries
from app.executions.domain import (
    Attempt,
    Batch,
    EndedAlready,
    Execution,
    Filter,
    FunctionNotReady,
    InputTooLarge,
    KeyInProgress,
    KeyMismatch,
    Priority,
    Status,
    Submission,
    Terms,
    Trigger,
    UnknownExecution,
    UnknownVersion,
)
from app.executions.waiting import Waiters
from app.functions import service as functions
from app.functions import versions
from app.functions.domain import UnknownFunction, VersionStatus, function_status
from app.functions.models import Version
from app.identity import new_id
from app.limits import service as limits
from app.limits.domain import Allowance, OutOfTurns, Overloaded, QuotaExceeded, Standing
from app.platform import Platform
from app.queue import BACKGROUND, UNHURRIED, URGENT, Queue, Task, message
from app.rules import Scope

_Accepted = TypeVar("_Accepted", submission_queries.Accepted, submission_queries.BatchAccepted)


def submit(platform: Platform, principal: Principal, submission: Submission) -> Execution:
    """Accept an execution: when this returns, its row and its message are committed. Where the request was accepted
    before, by its key, it answers that execution as it is now.
    """
    _refuse_large(platform, submission.input, pointer="/input")
    place = place_of(principal, submission.priority, is_awaited=submission.waiter is not None)
    payload = message_of(str(submission.id), priority=place.priority, correlation_id=submission.correlation_id)
    address = addressed_to(Queue.EXECUTE, place, platform.heads)
    accepted = _within_limits(
        platform,
        principal,
        submission,
        lambda connection, allowance: submission_queries.submit(
            connection, principal, submission, address=address, payload=payload, allowance=allowance
        ),
    )
    if accepted is not None:
        platform.heads.seen(Queue.EXECUTE, place.priority, accepted.head)
    else:
        (execution_id,) = _known(platform, principal, submission)
        return read(platform, principal, execution_id)
    return Execution(
        id=submission.id,
        function_id=submission.function_id,
        version=accepted.version,
        status=Status.PENDING,
        attempts=0,
        trigger=submission.trigger,
        correlation_id=submission.correlation_id,
        caller_id=principal.user_id,
        priority=submission.priority,
        not_before=submission.not_before,
        expires_at=accepted.expires_at,
        replay_of=submission.replay_of,
        created_at=accepted.created_at,
        input=submission.input,
        standings=accepted.standings,
    )


def submit_batch(platform: Platform, principal: Principal, batch: Batch) -> tuple[Sequence[UUID], Sequence[Standing]]:
    """Accept an execution for every input, or none: when this returns, all rows and messages are committed. Answers
    their ids, which are others than asked for where the request was accepted before, and what is left of rates.
    """
    for index, text in enumerate(batch.inputs):
        _refuse_large(platform, text, pointer=f"/inputs/{index}")
    place = place_of(principal, batch.priority, is_awaited=False)
    payload = message_of(submission_queries.EACH, priority=place.priority, correlation_id=batch.correlation_id)
    address = addressed_to(Queue.EXECUTE, place, platform.heads)
    accepted = _within_limits(
        platform,
        principal,
        batch,
        lambda connection, allowance: submission_queries.submit_batch(
            connection, principal, batch, address=address, payload=payload, allowance=allowance
        ),
    )
    if accepted is None:
        return _known(platform, principal, batch), ()
    platform.heads.seen(Queue.EXECUTE, place.priority, accepted.head)
    return batch.ids, accepted.standings


def submit_and_wait(
    platform: Platform, principal: Principal, waiters: Waiters, submission: Submission, *, seconds: float
) -> Execution:
    """Accept an execution and wait for its end; answers it as it is after at most `seconds`, or at once when too many
    wait already. Raises `KeyInProgress` where it was accepted before and has not ended.
    """
    with waiters.expect(submission.id) as waiting:
        awaited = submission if waiting is None else replace(submission, waiter=waiters.channel)
        execution = submit(platform, principal, awaited)
        if execution.id != submission.id and not execution.is_final:
            raise KeyInProgress(execution.id)
        if waiting is None or execution.is_final or not waiting.wait(seconds):
            return execution
        if waiting.result is not None:
            return _ended(execution, waiting.result)
    # It is read although its function may have been deleted meanwhile: the caller learns that it was cancelled.
    return even_hidden(platform, execution.id) or execution


def replay(
    platform: Platform, principal: Principal, execution_id: UUID, *, correlation_id: str, **changed: Any
) -> Submission:
    """What an execution was asked for, to be asked for once more: with its input and its version where `changed` has
    no others. Raises `UnknownExecution`. Whoever may not read executions may not have their inputs run either.
    """
    principal.check_scope(Scope.EXECUTIONS_READ)
    original = read(platform, principal, execution_id)
    same = {"version": original.version, "input": original.input or "null", "priority": Priority(original.priority)}
    return Submission(
        id=new_id(),
        function_id=original.function_id,
        correlation_id=correlation_id,
        trigger=Trigger.REPLAY,
        replay_of=original.id,
        **{**same, **changed},
    )


def read(platform: Platform, principal: Principal, execution_id: UUID) -> Execution:
    """One execution; raises `UnknownExecution`, also for one of a function that the caller may not see."""
    with platform.database.statement() as connection:
        execution = history_queries.find_visible(connection, principal, execution_id)
    if execution is None:
        raise UnknownExecution
    return execution


def even_hidden(platform: Platform, execution_id: UUID) -> Execution | None:
    """One execution for our own programs, from whom nothing is hidden."""
    with platform.database.statement() as connection:
        return history_queries.find(connection, execution_id)


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


def attempts(platform: Platform, principal: Principal, execution_id: UUID) -> list[Attempt]:
    """The attempts at an execution, the first one first; raises `UnknownExecution`."""
    with platform.database.statement() as connection:
        found = history_queries.attempts_of(connection, principal, execution_id)
    if found is None:
        raise UnknownExecution
    return found


def cancel(platform: Platform, execution_id: UUID) -> bool:
    """End an execution that has not ended: what waits is never run, what runs is stopped. Answers whether that was
    left to do.
    """
    with platform.database.statement() as connection:
        return queries.cancel(connection, execution_id)


def cancel_for(platform: Platform, principal: Principal, execution_id: UUID) -> Execution:
    """The same for whoever asked for it, owns its function, or is an administrator; answers the execution. Raises
    `UnknownExecution`, Forbidden, and `EndedAlready` where it ended otherwise.
    """
    execution = read(platform, principal, execution_id)
    if not principal.is_admin and execution.caller_id != principal.user_id:
        functions.check_owned(platform, principal, execution.function_id)
    if not execution.is_final and cancel(platform, execution_id):
        record_alone(platform, principal.actor, Act("execution.cancel", execution_id))
    ended = read(platform, principal, execution_id)
    if ended.status is not Status.CANCELLED:
        raise EndedAlready(ended.status)
    return ended


def page(
    platform: Platform, principal: Principal, wanted: Filter, *, before: UUID | None, limit: int
) -> list[Execution]:
    """The newest matching executions before an id; raises `UnknownFunction` for a function that is not there."""
    if wanted.function_id is not None:
        functions.check_visible(platform, principal, wanted.function_id)
    with platform.database.statement() as connection:
        return history_queries.page(connection, principal, wanted, before=before, limit=limit)


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


def message_of(execution_id: str, *, priority: int, correlation_id: str) -> str:
    """The message that has an execution run."""
    ids = {"execution_id": execution_id}
    return message(
        Task.EXECUTE,
        Queue.EXECUTE,
        message_id=execution_id,
        priority=priority,
        correlation_id=correlation_id,
        ids=ids,
    )


def _within_limits(
    platform: Platform,
    principal: Principal,
    terms: Terms,
    submit: Callable[[Connection, Allowance | None], _Accepted | None],
) -> _Accepted | None:
    """Submit with what applies to the caller and the function. The statement that looks for limits is asked where there
    are any: the other one accepts nothing of a function that has some, and is then followed by it, this once. Raises
    `RateLimited`, `QuotaExceeded` and `Overloaded`.
    """
    try:
        limits.check_room(platform, principal, len(terms))
        accepted = _submit_limited(platform, principal, terms, submit)
    except (OutOfTurns, QuotaExceeded, Overloaded) as refused:
        # What was accepted before is answered again, whatever is left.
        if _find_key(platform, principal, terms) is not None:
            return None
        if isinstance(refused, OutOfTurns):
            raise limits.refusal(platform, principal, terms.function_id, count=len(terms)) from None
        raise
    if accepted is not None and accepted.is_gated:
        # Where this is not done, a worker's beat does it.
        with platform.database.statement() as connection:
            queries.admit(connection)
    return accepted


def _submit_limited(
    platform: Platform,
    principal: Principal,
    terms: Terms,
    submit: Callable[[Connection, Allowance | None], _Accepted | None],
) -> _Accepted | None:
    allowance = limits.allowance_of(platform.settings, principal)
    is_limited = not allowance.is_boundless or terms.function_id in platform.limited
    with platform.database.statement() as connection:
        accepted = submit(connection, allowance if is_limited else None)
    if accepted is None and not is_limited and functions.is_limited(platform, principal, terms.function_id):
        platform.limited.add(terms.function_id)
        with platform.database.statement() as connection:
            accepted = submit(connection, allowance)
    return accepted


#: Of what nobody waits for; what somebody waits for is more urgent by one.
_LEVELS: Final = {Priority.HIGH: URGENT, Priority.NORMAL: BACKGROUND, Priority.LOW: UNHURRIED}


def place_of(principal: Principal, priority: Priority, *, is_awaited: bool) -> Place:
    """Where an execution belongs among those that wait: its callers take turns."""
    return Place(_LEVELS[priority] + is_awaited, lane=limits.lane_of(principal))


def _known(platform: Platform, principal: Principal, terms: Terms) -> Sequence[UUID]:
    """The executions of a request that was accepted before; raises why this one was not where it was not."""
    known = _find_key(platform, principal, terms)
    if known is None or terms.key is None:
        raise _why_not(platform, principal, terms)
    digest, execution_ids = known
    if digest != terms.key.digest:
        raise KeyMismatch
    return execution_ids


def _find_key(platform: Platform, principal: Principal, terms: Terms) -> tuple[bytes, Sequence[UUID]] | None:
    if terms.key is None:
        return None
    with platform.database.statement() as connection:
        return submission_queries.find_key(connection, principal, terms.key.text)


def _why_not(platform: Platform, principal: Principal, submission: Terms) -> Exception:
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
