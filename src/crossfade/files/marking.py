"""Taking a key: waiting for its turn, for other holders and for doubt, up to the deadline."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from crossfade.core import protocol
from crossfade.core.intents import NOTHING_SENT, Ask, Marked, Reason, Wait
from crossfade.errors import CoordinationError, KeyInDoubtError, LeaseHeldError, StoreError
from crossfade.files.leases import Held

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from crossfade.core.objects import Side
    from crossfade.core.records import Decision, Look
    from crossfade.files.engine import Engine

    Chooser: TypeAlias = Callable[[Look], Side]

T = TypeVar("T")

POLL_SECONDS_MIN = 0.001
POLL_SECONDS_MAX = 0.05


def refusal(key: str, wait: Wait) -> CoordinationError:
    """Return the error for a writer that waited until its deadline."""
    if wait.reason is Reason.DOUBT:
        which = "both sides" if len(wait.sides) > 1 else f"the {wait.sides[0]}"
        message = f"{which} of {key!r} will be in doubt for another {wait.seconds:.0f} s"
        hint = "something of unknown outcome may still show; try again after that"
        return KeyInDoubtError(message, retry_after=wait.seconds, hint=hint)
    message = f"{key!r} could not be written before the deadline: {wait.reason.value}"
    hint = f"try again in {wait.seconds:.0f} s"
    return LeaseHeldError(message, retry_after=wait.seconds, hint=hint)


async def take_turn(engine: Engine, key: str, deadline: float) -> None:
    """Wait for the writers of the key in this process that came before.

    Raises:
        LeaseHeldError: they were not done at the deadline.
    """
    if engine.turns.take_free(key):
        return
    with anyio.CancelScope(deadline=deadline) as scope:
        await engine.turns.take(key)
        return
    if scope.cancelled_caught:
        raise refusal(key, Wait(reason=Reason.LEASE))


async def take(
    engine: Engine,
    key: str,
    decide: Callable[[Look], Decision[T]],
    give_up: Callable[[Look], Decision[bool]],
) -> T:
    """Run a decision that takes a lease; where its caller is cancelled meanwhile, give it up.

    A transaction that was asked for is not taken back: the lease would stand to its end, and
    leave doubt although nothing was sent.
    """
    try:
        return await engine.change(key, decide)
    except anyio.get_cancelled_exc_class():
        if engine.background.full:
            with suppress(StoreError):
                await _give_up(engine, key, give_up)
        else:
            engine.background.start(_give_up, engine, key, give_up)
        raise


async def _give_up(engine: Engine, key: str, give_up: Callable[[Look], Decision[bool]]) -> None:
    with anyio.CancelScope(shield=True):
        await engine.change(key, give_up)


def nothing_sent(engine: Engine, token: str) -> Callable[[Look], Decision[bool]]:
    """Return the decision that ends an intent of which nothing was sent."""
    timing = engine.timing
    return partial(protocol.commit, token=token, outcomes=NOTHING_SENT, timing=timing)


async def mark(engine: Engine, key: str, ask: Ask, choose: Chooser, deadline: float) -> Held:
    """Rule 1: record the key durably, waiting for whoever stands in the way.

    Args:
        engine: the migration's files.
        key: its turn is taken.
        ask: with a token of its own; each further try gets another.
        choose: the side that routing picks, the same however often it is asked.
        deadline: until when to wait.

    Raises:
        LeaseHeldError, KeyInDoubtError: somebody, or doubt, stood in the way at the deadline.
    """
    copier_since: float | None = None
    poll = POLL_SECONDS_MIN
    while True:
        asked_at = engine.clock()
        decide = partial(_decide, engine, ask, choose)
        answer = await take(engine, key, decide, nothing_sent(engine, ask.token))
        if isinstance(answer, Marked):
            _note_reached(engine, answer, ask.waited)
            return Held(engine, key, answer, asked_at)
        if answer.reason is not Reason.COPIER:
            copier_since = None
        elif copier_since is None:
            copier_since = asked_at
        if engine.clock() >= deadline:
            raise refusal(key, answer)
        if answer.reason is Reason.DOUBT:
            engine.probe.reached("both sides in doubt")
            pause = answer.seconds + POLL_SECONDS_MIN
        else:
            pause, poll = poll, min(poll * 2, POLL_SECONDS_MAX)
        await anyio.sleep(min(pause, max(deadline - engine.clock(), 0.0)))
        waited = 0.0 if copier_since is None else engine.clock() - copier_since
        ask = replace(ask, token=engine.new_token(), waited=waited)


def with_route(engine: Engine, ask: Ask, choose: Chooser, look: Look) -> Ask:
    """Return what is asked for as routing and mirror are at that look, inside a transaction."""
    mirror = protocol.mirror_of(engine.settings.mirror, verified=look.verified)
    return replace(ask, routed=choose(look), mirror=mirror)


def _decide(engine: Engine, ask: Ask, choose: Chooser, look: Look) -> Decision[Marked | Wait]:
    return protocol.mark(look, with_route(engine, ask, choose, look), engine.timing)


def _note_reached(engine: Engine, marked: Marked, waited: float) -> None:
    if waited >= engine.timing.copier_wait and marked.took_over:
        engine.probe.reached("a writer takes over from the copier")
