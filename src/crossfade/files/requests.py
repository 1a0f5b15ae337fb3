"""One side's request of an intent: its attempts, and what became of it in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.core.intents import Outcome
from crossfade.errors import (
    BackendError,
    BackendUnavailableError,
    LeaseLostError,
    OutcomeUnknownError,
)
from crossfade.files.retries import AgainError, is_retryable, retrying

if TYPE_CHECKING:
    from crossfade.core.facts import Role
    from crossfade.core.objects import Attributes, ObjectInfo, Side
    from crossfade.core.records import Operation
    from crossfade.files.leases import Held
    from crossfade.ports import Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """What is to be done to one key on a side."""

    key: str
    operation: Operation
    body: Body | None
    attributes: Attributes


async def send(
    held: Held, side: Side, mutation: Mutation, *, role: Role, attempts_max: int, deadline: float
) -> Outcome:
    """Send a mutation to a side, again after a retryable failure, and note what became of it.

    A request that is cut, by its caller, its deadline or the end of the lease, leaves the
    outcome unknown that is noted before the first byte.
    """
    since = held.engine.clock()
    held.ended(side, Outcome.UNKNOWN)
    try:
        await held.ensure()
        with held.cut(deadline):
            held.ended(side, await _attempts(held, side, mutation, attempts_max))
    except LeaseLostError:
        if side not in held.sent:
            held.ended(side, Outcome.NOT_SENT)
    if not held.outcomes[side].taken:
        _note(held, side, mutation, "the request was cut at its deadline, or its lease lapsed")
    outcome = held.outcomes[side]
    error = None if outcome.taken else held.errors[side].code
    held.engine.observe(mutation.operation.value, side, role, error, since)
    return outcome


def _note(held: Held, side: Side, mutation: Mutation, message: str) -> None:
    if side not in held.errors:
        held.errors[side] = BackendUnavailableError(
            message, operation=mutation.operation.verb, key=mutation.key, side=side.value
        )


async def _attempts(held: Held, side: Side, mutation: Mutation, attempts_max: int) -> Outcome:
    unknown = False
    outcome, again = await _attempt(held, side, mutation)
    if not again or attempts_max == 1:
        return outcome
    async for attempt in retrying(is_retryable, attempts_max):
        with attempt:
            if attempt.retry_state.attempt_number > 1:
                unknown = unknown or outcome is Outcome.UNKNOWN
                outcome, again = await _attempt(held, side, mutation)
            if again and attempt.retry_state.attempt_number < attempts_max:
                raise AgainError
    return protocol.outcome_of_attempts(outcome, unknown_before=unknown)


async def _attempt(held: Held, side: Side, mutation: Mutation) -> tuple[Outcome, bool]:
    """Send once; return what became of it and whether it may be sent again."""
    await held.ensure()
    held.sent.add(side)
    await held.engine.probe.point("before_request")
    try:
        info = await _request(held, side, mutation)
    except OutcomeUnknownError as error:
        error.side = side.value
        held.errors[side] = error
        return Outcome.UNKNOWN, True
    except BackendError as error:
        error.side = side.value
        held.errors[side] = error
        return Outcome.REFUSED, error.retryable
    await held.engine.probe.point("after_request")
    if info is not None:
        held.infos[side] = info
    return Outcome.OK, False


async def _request(held: Held, side: Side, mutation: Mutation) -> ObjectInfo | None:
    backend = held.engine.sides[side]
    if mutation.body is None:
        await backend.delete(mutation.key)
        return None
    return await backend.write(mutation.key, mutation.body, mutation.attributes)
