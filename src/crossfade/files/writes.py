"""Put and delete: mark, send, bring the other side up, commit (``docs/protocol.md``, Write)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from crossfade.core import protocol
from crossfade.core.facts import Role
from crossfade.core.intents import NOTHING_SENT, Ask, Outcome
from crossfade.core.objects import BOTH_SIDES, Digest, ObjectInfo, Side
from crossfade.core.records import Operation
from crossfade.core.settings import Mirror, Workers
from crossfade.errors import (
    BackendUnavailableError,
    InvariantError,
    OutcomeUnknownError,
    StoreError,
)
from crossfade.files import conditions, marking
from crossfade.files.deadlines import share_until
from crossfade.files.requests import Mutation, send
from crossfade.files.staging import Stages
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.records import Decision, Look
    from crossfade.files.conditions import Condition
    from crossfade.files.copier import Copier
    from crossfade.files.engine import Engine
    from crossfade.files.leases import Held

T = TypeVar("T")
log = logging.getLogger("crossfade.files")

STAGINGS_MAX = 3
"""How often a body is staged for a mark that then finds another primary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One put or delete as its caller asked for it.

    Attributes:
        deadline: when it must be done, on the engine's clock.
        close: lets go of the body once it is not needed any more.
    """

    mutation: Mutation
    digest: Digest
    subject: str | None
    condition: Condition | None
    deadline: float
    close: Callable[[], None] | None = None


class Writer:
    """Carries out puts and deletes."""

    def __init__(self, engine: Engine, copier: Copier) -> None:
        self._engine = engine
        self._copier = copier

    async def write(self, write: Write) -> ObjectInfo | None:
        """Write a key and return its description (None for a delete) once it is durable.

        Raises:
            PreconditionError: the caller's condition does not hold.
            OutcomeUnknownError: it may have happened, or may yet.
            BackendError: no side took it, and none may yet.
            LeaseHeldError, KeyInDoubtError: it was not begun before the deadline.
        """
        try:
            return await self._write(write)
        finally:
            if write.close is not None:
                write.close()

    async def _write(self, write: Write) -> ObjectInfo | None:
        engine, key, mutation = self._engine, write.mutation.key, write.mutation
        size = mutation.body.size if mutation.body else None
        for side in BOTH_SIDES:
            engine.require_object(side, key, size, mutation.attributes)
        work = _Work(engine, self._copier, write)
        try:
            return await work.run()
        finally:
            await work.leave()


class _Work:
    """One write under way: from its mark on it has the key's turn, until it has committed."""

    def __init__(self, engine: Engine, copier: Copier, write: Write) -> None:
        self._engine = engine
        self._copier = copier
        self._write = write
        self._deadline = write.deadline
        self._held: Held | None = None
        self._has_turn = False
        self._handed = False
        self._stages = Stages.of(engine, write.mutation)
        route, subject = engine.settled_route(), write.subject
        self._choose = lambda look: route(look.migration, key=look.key, subject=subject)

    async def run(self) -> ObjectInfo | None:
        """Do what the caller has to wait for."""
        held = await self._take()
        while not await self._judge_and_send(held):
            await self._end(held)
            held = await self._take()
        if protocol.acknowledges_early(held.marked.authority, held.outcomes):
            await self._hand_over()
            return self._answer(held, held.marked.authority)
        await self._engine.probe.point("before_commit")
        return await self._conclude(held)

    async def _take(self) -> Held:
        """Mark the key for this write, once a large body is staged where the mark wants it.

        Where the mark finds another primary it is given back, so that the body gets there without
        a lease; a few times, and then it is written under it.
        """
        for _ in range(STAGINGS_MAX if self._stages else 0):
            assert self._stages is not None
            await self._stages.prepare(self._ask(), self._choose, self._deadline)
            held = await self._mark()
            if self._stages.serves(held.marked.primary):
                return held
            self._engine.probe.reached("stage dropped for another primary")
            await self._end(held)
            self._release()
        return await self._mark()

    async def _end(self, held: Held) -> None:
        """Give the mark back: nothing was sent."""
        await self._engine.change(held.key, self._commit(held))
        self._held = None

    def _release(self) -> None:
        self._has_turn = False
        self._engine.turns.release(self._write.mutation.key)

    def _ask(self) -> Ask:
        engine, mutation = self._engine, self._write.mutation
        return Ask(
            token=engine.new_token(),
            holder=engine.holder,
            operation=mutation.operation,
            digest=self._write.digest,
            conditional=self._write.condition is not None,
            completes=engine.completes(mutation.body.size if mutation.body else None),
        )

    async def _mark(self) -> Held:
        engine, key = self._engine, self._write.mutation.key
        if not self._has_turn:
            await marking.take_turn(engine, key, self._deadline)
            self._has_turn = True
        held = await marking.mark(engine, key, self._ask(), self._choose, self._deadline)
        self._held = held
        await self._engine.probe.point("after_mark")
        return held

    async def _judge_and_send(self, held: Held) -> bool:
        """Tell False where the lease lapsed before anything was sent, and there is time left."""
        condition = self._write.condition
        if condition is not None and not await self._judge(held, condition):
            return False
        await self._send(held)
        return held.outcomes != NOTHING_SENT or self._is_late or self._was_refused(held)

    def _was_refused(self, held: Held) -> bool:
        """Tell whether the primary did not even take the body in."""
        return self._stages is not None and held.marked.primary in self._stages.errors

    async def _judge(self, held: Held, condition: Condition) -> bool:
        """Judge the condition under a lease that is renewed meanwhile; tell whether that was so."""
        operation = self._write.mutation.operation
        with held.cut(self._deadline):
            await conditions.judge(held, operation, condition, self._deadline)
            return True
        if not self._is_late:
            return False
        message = "the condition was not judged before the deadline; nothing was sent"
        raise BackendUnavailableError(message, operation="stat", key=held.key)

    @property
    def _is_late(self) -> bool:
        return self._engine.clock() >= self._deadline

    async def leave(self) -> None:
        """End what is not ended: commit in the background, or give up the turn."""
        try:
            if self._handed:
                return
            self._handed = True
            if self._held is not None:
                await self._finish_later()
            elif self._has_turn:
                self._release()
        finally:
            if self._stages is not None:
                await self._stages.drop()

    async def _hand_over(self) -> None:
        """Commit and mirror after the answer; before it where too much is waiting already."""
        self._engine.probe.reached("acknowledged before the commit")
        self._handed = True
        await self._finish_later()

    async def _finish_later(self) -> None:
        """Finish in the background, or here where that takes no more; the outcome is settled."""
        held, background = self._held, self._engine.background
        assert held is not None
        if not background.full:
            background.start(self._finish_and_mirror)
            return
        try:
            await self._finish(self._commit(held))
        except StoreError as error:
            log.warning("%r was not committed, recovery goes on with it: %s", held.key, error)

    async def _send(self, held: Held) -> None:
        marked, primary = held.marked, held.marked.primary
        other = primary.other
        if other in marked.announced:
            async with task_group() as group:
                group.start_soon(self._send_to, held, other, Role.MIRROR, self._deadline)
                await self._send_to(held, primary, Role.SERVE, self._deadline)
            return
        until = self._deadline
        if self._engine.settings.fallback and marked.other_free:
            until = share_until(self._engine.clock(), self._deadline)
        await self._send_to(held, primary, Role.SERVE, until)
        took = held.outcomes[primary].taken
        if self._wants_other(held, took=took) and await self._announce(held, other):
            role = Role.MIRROR if took else Role.FALLBACK
            await self._engine.probe.point("after_announce")
            await self._send_to(held, other, role, self._deadline)

    def _wants_other(self, held: Held, *, took: bool) -> bool:
        if held.marked.completed or self._is_late:
            return False
        if took:
            return held.marked.mirror is not Mirror.ASYNC
        return self._engine.settings.fallback and not held.lost

    async def _announce(self, held: Held, side: Side) -> bool:
        """Rule 1: announce one more side; where the store is away it gets no request."""
        decide = partial(protocol.announce, token=held.marked.token, side=side)
        try:
            announced = await self._engine.change(held.key, decide)
        except StoreError as error:
            log.warning("%r is not sent to the %s, the store is away: %s", held.key, side, error)
            return False
        if announced:
            held.announced.add(side)
        return announced

    async def _send_to(self, held: Held, side: Side, role: Role, deadline: float) -> None:
        error = self._stages.errors.get(side) if self._stages else None
        if error is not None:
            held.errors[side] = error
            return
        await send(
            held,
            side,
            self._write.mutation,
            role=role,
            attempts_max=1 if role is Role.FALLBACK else self._engine.limits.attempts_max,
            deadline=deadline,
            staged=self._stages.on(side) if self._stages else None,
        )

    async def _conclude(self, held: Held) -> ObjectInfo | None:
        """Commit before the answer: the authority moves, or nobody took the write."""
        taken = [side for side in BOTH_SIDES if held.outcomes[side].taken]
        unsure = any(protocol.left_in_doubt(held.outcomes[side]) for side in BOTH_SIDES)
        try:
            own = await self._engine.change(held.key, self._commit(held))
        except StoreError as error:
            if taken or unsure:
                raise self._unknown(held, "the commit failed") from error
            raise held.errors[held.marked.primary] from error
        self._handed = True
        self._engine.turns.release(held.key)
        self._mirror_soon(held)
        if taken and own:
            self._engine.probe.reached("authority moved by a fallback")
            return self._answer(held, taken[0])
        if taken or unsure:
            raise self._unknown(held, "no side confirmed the write")
        raise held.errors[held.marked.primary]

    def _unknown(self, held: Held, message: str) -> OutcomeUnknownError:
        cause = held.errors.get(held.marked.primary)
        error = OutcomeUnknownError(
            f"{message}; it may have taken effect, or may yet",
            operation=self._write.mutation.operation.verb,
            key=held.key,
            side=held.marked.primary.value,
            hint="read the key to see, or write it again",
        )
        error.__cause__ = cause
        return error

    def _answer(self, held: Held, side: Side) -> ObjectInfo | None:
        if self._write.mutation.operation is Operation.DELETE:
            return None
        info = held.infos.get(side)
        if info is None:
            message = f"{side} took {held.key!r} without a description"
            raise InvariantError(message)
        return self._engine.shown(side, info)

    async def _finish_and_mirror(self) -> None:
        """Commit what became of the requests; then the copier brings the other side up.

        Where nobody waits for the key the copy's lease is taken by the same transaction.
        """
        held, engine, copier = self._held, self._engine, self._copier
        assert held is not None
        if not self._is_to_mirror(held):
            await self._finish(self._commit(held))
            return
        size = self._write.mutation.body.size if self._write.mutation.body else None
        if self._stages is not None:
            await self._finish(self._commit(held))
            await copier.copy(held.key, size=size)
            return
        with copier.place_at_once() as placed:
            if placed and not engine.turns.is_wanted(held.key):
                asked_at, commit = engine.clock(), self._commit(held)
                decide = partial(
                    protocol.commit_and_mark_copy,
                    commit=commit,
                    ask=copier.new_ask(),
                    timing=engine.timing,
                )
                answer = await self._finish(decide)
                await copier.carry_on(held.key, answer, asked_at)
                return
        await self._finish(self._commit(held))
        await copier.copy(held.key)

    async def _finish(self, decide: Callable[[Look], Decision[T]]) -> T:
        """Commit, although who waits may be cancelled, and give up the key's turn."""
        held = self._held
        assert held is not None
        try:
            await self._engine.probe.point("after_put_before_commit")
            with anyio.CancelScope(shield=True):
                answer = await self._engine.change(held.key, decide)
            return answer  # noqa: RET504 - a scope might swallow what is returned inside
        finally:
            self._engine.turns.release(held.key)

    def _commit(self, held: Held) -> Callable[[Look], Decision[bool]]:
        return partial(
            protocol.commit,
            token=held.marked.token,
            outcomes=held.outcomes,
            timing=self._engine.timing,
        )

    def _mirror_soon(self, held: Held) -> None:
        if self._is_to_mirror(held) and not self._engine.background.full:
            self._engine.background.start(self._copier.copy, held.key)

    def _is_to_mirror(self, held: Held) -> bool:
        both = held.outcomes.source is held.outcomes.target is Outcome.OK
        return not both and self._engine.settings.workers is Workers.INLINE
