"""One side's request of an intent: its attempts, and what became of it in the end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.core.intents import Outcome
from crossfade.errors import (
    BackendError,
    BackendUnavailableError,
    InvariantError,
    LeaseLostError,
    OutcomeUnknownError,
)
from crossfade.files.retries import AgainError, is_retryable, retrying

if TYPE_CHECKING:
    from crossfade.core.facts import Role
    from crossfade.core.objects import Attributes, ObjectInfo, Side
    from crossfade.core.records import Operation
    from crossfade.files.leases import Held
    from crossfade.ports import Body, Staged


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """What is to be done to one key on a side."""

    key: str
    operation: Operation
    body: Body | None
    attributes: Attributes


async def send(
    held: Held,
    side: Side,
    mutation: Mutation,
    *,
    role: Role,
    attempts_max: int,
    deadline: float,
    staged: Staged | None = None,
) -> Outcome:
    """Send a mutation to a side, again after a retryable failure, and note what became of it.

    What was staged there before is put into its place.

    A request that is cut, by its caller, its deadline or the end of the lease, leaves the
    outcome unknown that is noted before the first byte. Nothing is sent after the deadline.

    Raises:
        InvariantError: the side was not announced (rule 1).
    """
    if side not in held.announced:
        message = f"a request of {held.key!r} was about to go to {side}, which was not announced"
        raise InvariantError(message)
    since = held.engine.clock()
    with suppress(LeaseLostError):
        await held.ensure()
        if held.engine.clock() < deadline:
            with held.cut(deadline):
                await _attempts(held, side, mutation, attempts_max, staged)
    outcome = held.outcomes[side]
    if not outcome.taken:
        _note(held, side, mutation, sent=outcome is not Outcome.NOT_SENT)
    error = None if outcome.taken else held.errors[side].code
    held.engine.observe(mutation.operation.value, side, role, error, since)
    return outcome


def _note(held: Held, side: Side, mutation: Mutation, *, sent: bool) -> None:
    if side in held.errors:
        return
    message = "the request was cut at its deadline, or its lease lapsed"
    if not sent:
        message = "nothing was sent: the deadline had come, or the lease lapsed"
    held.errors[side] = BackendUnavailableError(
        message, operation=mutation.operation.verb, key=mutation.key, side=side.value
    )


async def _attempts(
    held: Held, side: Side, mutation: Mutation, attempts_max: int, staged: Staged | None
) -> None:
    again = await _attempt(held, side, mutation, staged)
    if not again or attempts_max == 1:
        return
    async for attempt in retrying(is_retryable, attempts_max):
        with attempt:
            if attempt.retry_state.attempt_number > 1:
                again = await _attempt(held, side, mutation, staged)
            if again and attempt.retry_state.attempt_number < attempts_max:
                raise AgainError


async def _attempt(held: Held, side: Side, mutation: Mutation, staged: Staged | None) -> bool:
    """Send once, note what became of it so far, and return whether it may be sent again."""
    await held.ensure()
    unknown = held.outcomes[side] is Outcome.UNKNOWN
    held.ended(side, Outcome.UNKNOWN)
    await held.engine.probe.point("before_request")
    try:
        info = await _request(held, side, mutation, staged)
    except BackendError as error:
        error.side = side.value
        held.errors[side] = error
        if isinstance(error, OutcomeUnknownError):
            return True
        held.ended(side, protocol.outcome_of_attempts(Outcome.REFUSED, unknown_before=unknown))
        return error.retryable
    await held.engine.probe.point("after_request")
    if info is not None:
        held.infos[side] = info
    held.ended(side, protocol.outcome_of_attempts(Outcome.OK, unknown_before=unknown))
    return False


async def _request(
    held: Held, side: Side, mutation: Mutation, staged: Staged | None
) -> ObjectInfo | None:
    if staged is not None:
        return await staged.complete()
    backend = held.engine.sides[side]
    if mutation.body is None:
        await backend.delete(mutation.key)
        return None
    return await backend.write(mutation.key, mutation.body, mutation.attributes)
