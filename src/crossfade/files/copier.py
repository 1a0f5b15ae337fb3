"""The copier: brings the other side of an open key up (mirror, backfill, repair)."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol, staging
from crossfade.core.facts import Role
from crossfade.core.intents import Ask, Marked, Outcome, Reason, Wait
from crossfade.core.objects import NO_ATTRIBUTES, Pair, Side
from crossfade.core.records import Operation
from crossfade.errors import BackendError, LeaseLostError, StoreError
from crossfade.files import marking
from crossfade.files.comparison import in_both
from crossfade.files.copies import Copied, CopyResult, broken, tags_in_order
from crossfade.files.found import read_small, read_tag, same_already
from crossfade.files.leases import Held
from crossfade.files.requests import Mutation, send
from crossfade.files.staged_copies import StagedCopy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from crossfade.core.records import Decision, Look
    from crossfade.files.comparison import Listed
    from crossfade.files.engine import Engine
    from crossfade.files.found import Found
    from crossfade.ports import Staged

log = logging.getLogger("crossfade.files")

RETRY_SECONDS_MAX = 60.0
STARTS_MAX = 3
"""How often the copy of a large object is begun that changes while it is read; then later."""


class Copier:
    """Copies keys; at most `Limits.copies_max` at once in this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limiter = anyio.CapacityLimiter(engine.limits.copies_max)

    async def copy(
        self, key: str, *, listed: Listed | None = None, size: int | None = None
    ) -> CopyResult:
        """Copy a key from its authority, if that is allowed now.

        Args:
            key: an open key.
            listed: what backfill saw of it on either side: a key without a record is then taken
                too, where its range is not sealed, and a target object that is the same already
                is left alone.
            size: of the object where it is known: one that is staged is read before the mark.
        """
        async with self._limiter:
            if self._engine.completes(size):
                return await self._copy_staged(key, listed=listed)
            result = await self.copy_small(key, listed=listed)
            return result or await self._copy_staged(key, listed=listed)

    @contextmanager
    def place_at_once(self) -> Iterator[bool]:
        """Take one of the places for copies, if one is free."""
        try:
            self._limiter.acquire_nowait()
        except anyio.WouldBlock:
            yield False
            return
        try:
            yield True
        finally:
            self._limiter.release()

    def new_ask(self, size: int | None = None) -> Ask:
        """Ask for the lease of a copy."""
        engine = self._engine
        return Ask(
            token=engine.new_token(),
            holder=engine.holder,
            operation=Operation.COPY,
            digest=None,
            completes=engine.completes(size),
        )

    async def carry_on(self, key: str, answer: Marked | Wait, asked_at: float) -> CopyResult:
        """Copy a key for which a place is taken and the lease was asked for."""
        result = await self._copy(key, answer, asked_at, listed=None)
        return result or await self._copy_staged(key, listed=None)

    async def copy_small(self, key: str, *, listed: Listed | None) -> CopyResult | None:
        """Copy a key all under the lease; None where its object is to be staged first."""
        asked_at = self._engine.clock()
        answer = await self.mark(key, listed=listed)
        return await self._copy(key, answer, asked_at, listed=listed)

    async def _copy_staged(self, key: str, *, listed: Listed | None) -> CopyResult:
        """Copy a large object; start over where it changed meanwhile, a few times."""
        copy = StagedCopy(self._engine, self, key, listed=listed)
        for _ in range(STARTS_MAX):
            result = await copy.run()
            if result is not None:
                return result
            self._engine.probe.reached("large copy started over")
        return CopyResult(Copied.LATER, reason=Reason.CHANGED)

    async def mark(
        self, key: str, *, listed: Listed | None, size: int | None = None
    ) -> Marked | Wait:
        """Take the lease of a key for a copy, if that is allowed now."""
        ask = self.new_ask(size)

        def decide(look: Look) -> Decision[Marked | Wait]:
            if look.record is None and listed is None:
                return protocol.nothing_to_copy(look)
            return protocol.mark_copy(look, ask, self._engine.timing)

        give_up = marking.nothing_sent(self._engine, ask.token)
        return await marking.take(self._engine, key, decide, give_up)

    async def _copy(
        self, key: str, answer: Marked | Wait, asked_at: float, *, listed: Listed | None
    ) -> CopyResult | None:
        if not isinstance(answer, Marked):
            return CopyResult(Copied.LATER, reason=answer.reason)
        held = Held(self._engine, key, answer, asked_at)
        await self._engine.probe.point("copier_after_mark")
        return await self.under_lease(held, partial(self._read_and_write, held, listed=listed))

    async def under_lease(
        self, held: Held, work: Callable[[], Awaitable[CopyResult | None]]
    ) -> CopyResult | None:
        """Do the rest of a copy under its lease, which ends however that ends."""
        to = held.marked.primary
        try:
            with held.cut(float("inf")):
                return await work()
        except LeaseLostError:
            pass
        except (BackendError, OSError) as error:
            if not isinstance(error, BackendError):
                log.exception("the copy of %r broke off, it is tried again", held.key)
            sent = held.outcomes[to]
            outcome = Outcome.REFUSED if sent is Outcome.NOT_SENT else sent
            failed = CopyResult(Copied.FAILED, error=broken(error, held.key))
            return await self.commit(held, outcome, failed)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), suppress(StoreError):
                await self.commit(held, held.outcomes[to], CopyResult(Copied.LATER))
            raise
        return CopyResult(Copied.LATER, reason=Reason.LEASE)

    async def _read_and_write(self, held: Held, *, listed: Listed | None) -> CopyResult | None:
        engine, marked = self._engine, held.marked
        found: Found | None = None
        try:
            await held.ensure()
            found = await read_small(engine, marked.authority, held.key)
            if found is not None:
                return await self._bring_up(held, found, listed=listed)
        finally:
            if found is not None:
                found.close()
        await engine.change(held.key, partial(staging.put_back, token=marked.token))
        return None

    async def _bring_up(self, held: Held, found: Found, *, listed: Listed | None) -> CopyResult:
        """Write to the side across what the authority holds, or leave it alone."""
        marked, engine, to = held.marked, self._engine, held.marked.primary
        kept = engine.sides[marked.authority].capabilities.attributes_kept
        if protocol.is_damaged(marked.digest, found.digest, kept):
            return await self.mark_damaged(held, found)
        if found.info is None and protocol.only_target_holds(marked):
            if await read_tag(engine, to, held.key) is None:
                return await self.commit(held, Outcome.OK, CopyResult(Copied.CLOSED))
            decide = partial(protocol.leave_extra, token=marked.token)
            await engine.change(held.key, decide)
            return CopyResult(Copied.EXTRA)
        if in_both(listed) and found.info is not None:
            same = await same_already(engine, to, held.key, found)
            if same is not None:
                tags = tags_in_order(marked.authority, found.info.etag, same)
                result = CopyResult(Copied.SAME, tags, found.digest.size)
                return await self.commit(held, Outcome.OK, result)
        return await self.write(held, found)

    async def write(self, held: Held, found: Found, staged: Staged | None = None) -> CopyResult:
        """Write what was read to the other side, and commit."""
        engine, to = self._engine, held.marked.primary
        mutation = Mutation(
            key=held.key,
            operation=Operation.DELETE if found.body is None else Operation.PUT,
            body=found.body,
            attributes=(found.info.attributes if found.info else None) or NO_ATTRIBUTES,
        )
        outcome = await send(
            held,
            to,
            mutation,
            role=Role.MIRROR,
            attempts_max=engine.limits.attempts_max,
            deadline=float("inf"),
            staged=staged,
        )
        await engine.probe.point("copier_before_commit")
        if not outcome.taken:
            return await self.commit(
                held, outcome, CopyResult(Copied.FAILED, error=held.errors.get(to))
            )
        written = held.infos.get(to)
        tags = None
        if found.info is not None and written is not None:
            tags = tags_in_order(held.marked.authority, found.info.etag, written.etag)
        result = CopyResult(Copied.CLOSED, tags, max(found.digest.size, 0))
        return await self.commit(held, outcome, result)

    async def mark_damaged(self, held: Held, found: Found) -> CopyResult:
        """Mark a key whose authority holds not what it took."""
        marked = held.marked
        tag = found.info.etag if found.info else None
        other = await read_tag(self._engine, marked.primary, held.key)
        tags = Pair(tag, other) if marked.authority is Side.SOURCE else Pair(other, tag)
        decide = partial(protocol.mark_damaged, token=marked.token, tags=tags)
        if not await self._engine.change(held.key, decide):
            return CopyResult(Copied.LATER, reason=Reason.LEASE)
        self._engine.probe.reached("damaged key marked")
        return CopyResult(Copied.DAMAGED)

    async def commit(self, held: Held, outcome: Outcome, result: CopyResult) -> CopyResult:
        """End the copy's intent; the result counts only where it was still its own."""
        decide = partial(
            protocol.commit_copy,
            token=held.marked.token,
            outcome=outcome,
            timing=self._engine.timing,
            retry_seconds_max=RETRY_SECONDS_MAX,
        )
        if await self._engine.change(held.key, decide):
            return result
        return CopyResult(Copied.LATER, reason=Reason.LEASE)
