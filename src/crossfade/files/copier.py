"""The copier: brings the other side of an open key up (mirror, backfill, repair)."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.core.facts import Role
from crossfade.core.intents import Ask, Marked, Outcome, Reason, Wait
from crossfade.core.objects import ABSENT, NO_ATTRIBUTES, Digest, Pair, Side
from crossfade.core.records import Operation
from crossfade.errors import (
    BackendError,
    IntegrityError,
    LeaseLostError,
    ObjectNotFoundError,
    StoreError,
)
from crossfade.files import bodies, marking
from crossfade.files.deadlines import let_go
from crossfade.files.leases import Held
from crossfade.files.requests import Mutation, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crossfade.core.objects import ObjectInfo
    from crossfade.core.records import Decision, Look
    from crossfade.files.engine import Engine

RETRY_SECONDS_MAX = 60.0


class Copied(StrEnum):
    """What came of an attempt to copy a key."""

    CLOSED = "closed"
    SAME = "the same already"
    EXTRA = "an extra, left alone"
    DAMAGED = "damaged, marked"
    LATER = "not now"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What came of it, and both entity tags and bytes where the key was closed."""

    result: Copied
    tags: Pair[str] | None = None
    size: int = 0
    reason: Reason | None = None
    error: BackendError | None = None


@dataclass(slots=True)
class _Found:
    """What the authority holds, read whole."""

    digest: Digest
    info: ObjectInfo | None
    body: bodies.BytesBody | bodies.FileBody | None


class Copier:
    """Copies keys; at most `Limits.copies_max` at once in this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limiter = anyio.CapacityLimiter(engine.limits.copies_max)

    async def copy(self, key: str, *, backfill: bool = False) -> CopyResult:
        """Copy a key from its authority, if that is allowed now.

        Args:
            key: an open key.
            backfill: take a key without a record too, where its range is not sealed, and leave
                a target object alone that is the same already.
        """
        async with self._limiter:
            asked_at = self._engine.clock()
            answer = await self._mark(key, backfill=backfill)
            return await self.carry_on(key, answer, asked_at, backfill=backfill)

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

    def new_ask(self) -> Ask:
        """Ask for the lease of a copy."""
        engine = self._engine
        token, operation = engine.new_token(), Operation.COPY
        return Ask(token=token, holder=engine.holder, operation=operation, digest=None)

    async def carry_on(
        self, key: str, answer: Marked | Wait, asked_at: float, *, backfill: bool = False
    ) -> CopyResult:
        """Copy a key for which a place is taken and the lease was asked for."""
        if not isinstance(answer, Marked):
            return CopyResult(Copied.LATER, reason=answer.reason)
        held = Held(self._engine, key, answer, asked_at)
        await self._engine.probe.point("copier_after_mark")
        return await self._copy(held, backfill=backfill)

    async def _mark(self, key: str, *, backfill: bool) -> Marked | Wait:
        ask = self.new_ask()

        def decide(look: Look) -> Decision[Marked | Wait]:
            if look.record is None and not backfill:
                return protocol.nothing_to_copy(look)
            return protocol.mark_copy(look, ask, self._engine.timing)

        give_up = marking.nothing_sent(self._engine, ask.token)
        return await marking.take(self._engine, key, decide, give_up)

    async def _copy(self, held: Held, *, backfill: bool) -> CopyResult:
        found: _Found | None = None
        try:
            with held.cut(float("inf")):
                found = await self._read(held)
                return await self._bring_up(held, found, backfill=backfill)
        except BackendError as error:
            return await self._commit(held, Outcome.REFUSED, CopyResult(Copied.FAILED, error=error))
        except LeaseLostError:
            pass
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), suppress(StoreError):
                outcome = held.outcomes[held.marked.primary]
                await self._commit(held, outcome, CopyResult(Copied.LATER))
            raise
        finally:
            if found is not None and found.body is not None:
                bodies.close(found.body)
        return CopyResult(Copied.LATER, reason=Reason.LEASE)

    async def _bring_up(self, held: Held, found: _Found, *, backfill: bool) -> CopyResult:
        """Write to the side across what the authority holds, or leave it alone."""
        marked, engine, to = held.marked, self._engine, held.marked.primary
        kept = engine.sides[marked.authority].capabilities.attributes_kept
        if protocol.is_damaged(marked.digest, found.digest, kept):
            return await self._mark_damaged(held, found)
        if found.info is None and protocol.only_target_holds(marked):
            if await read_tag(engine, to, held.key) is None:
                return await self._commit(held, Outcome.OK, CopyResult(Copied.CLOSED))
            decide = partial(protocol.leave_extra, token=marked.token)
            await engine.change(held.key, decide)
            return CopyResult(Copied.EXTRA)
        if backfill and found.info is not None:
            same = await self._same_already(held, found)
            if same is not None:
                tags = _tags(marked.authority, found.info.etag, same)
                result = CopyResult(Copied.SAME, tags, found.digest.size)
                return await self._commit(held, Outcome.OK, result)
        return await self._write(held, found)

    async def _write(self, held: Held, found: _Found) -> CopyResult:
        engine, to = self._engine, held.marked.primary
        mutation = Mutation(
            key=held.key,
            operation=Operation.DELETE if found.body is None else Operation.PUT,
            body=found.body,
            attributes=(found.info.attributes if found.info else None) or NO_ATTRIBUTES,
        )
        attempts = engine.limits.attempts_max
        outcome = await send(
            held, to, mutation, role=Role.MIRROR, attempts_max=attempts, deadline=float("inf")
        )
        await engine.probe.point("copier_before_commit")
        if not outcome.taken:
            return await self._commit(
                held, outcome, CopyResult(Copied.FAILED, error=held.errors.get(to))
            )
        written = held.infos.get(to)
        tags = None
        if found.info is not None and written is not None:
            tags = _tags(held.marked.authority, found.info.etag, written.etag)
        result = CopyResult(Copied.CLOSED, tags, max(found.digest.size, 0))
        return await self._commit(held, outcome, result)

    async def _read(self, held: Held) -> _Found:
        """Read the authority whole, before the first byte goes to the other side."""
        engine, authority = self._engine, held.marked.authority
        await held.ensure()
        try:
            stream = await engine.sides[authority].read(held.key)
        except ObjectNotFoundError:
            return _Found(ABSENT, None, None)
        except BackendError as error:
            error.side = authority.value
            raise
        size = stream.info.size
        most = engine.sides[authority.other].capabilities.object_bytes_max
        try:
            attributes = stream.info.attributes or NO_ATTRIBUTES
            engine.require_object(authority.other, held.key, size, attributes)
            body = await bodies.take_in(held.key, stream, engine.limits, size, bytes_max=most)
        finally:
            await let_go(stream)
        digest = Digest(sha256=body.sha256, size=body.size, attributes=attributes)
        return _Found(digest, stream.info, body)

    async def _same_already(self, held: Held, found: _Found) -> str | None:
        """Return the other side's entity tag if it holds the same already."""
        engine, to = self._engine, held.marked.primary
        kept = engine.kept_by_both()
        try:
            there = await engine.sides[to].stat(held.key)
            if there.size != found.digest.size:
                return None
            digest = await read_digest(engine, to, held.key)
        except (ObjectNotFoundError, IntegrityError):
            return None
        if digest is None or not found.digest.same(digest[0], kept):
            return None
        return digest[1]

    async def _mark_damaged(self, held: Held, found: _Found) -> CopyResult:
        marked = held.marked
        tag = found.info.etag if found.info else None
        other = await read_tag(self._engine, marked.primary, held.key)
        tags = Pair(tag, other) if marked.authority is Side.SOURCE else Pair(other, tag)
        decide = partial(protocol.mark_damaged, token=marked.token, tags=tags)
        await self._engine.change(held.key, decide)
        self._engine.probe.reached("damaged key marked")
        return CopyResult(Copied.DAMAGED)

    async def _commit(self, held: Held, outcome: Outcome, result: CopyResult) -> CopyResult:
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


def _tags(authority: Side, mine: str, other: str) -> Pair[str]:
    return Pair(mine, other) if authority is Side.SOURCE else Pair(other, mine)


async def read_tag(engine: Engine, side: Side, key: str) -> str | None:
    """Return an object's entity tag, that of a damaged one too; None when there is none."""
    backend = engine.sides[side]
    try:
        return (await backend.stat(key)).etag
    except ObjectNotFoundError:
        return None
    except IntegrityError:
        # A listing says which version it is without a look at what is damaged.
        first = (await backend.list(prefix=key, limit=1)).objects[:1]
        return first[0].etag if first and first[0].key == key else None


async def read_digest(engine: Engine, side: Side, key: str) -> tuple[Digest, str] | None:
    """Read an object through and return its digest and entity tag; None when there is none."""
    try:
        stream = await engine.sides[side].read(key)
    except ObjectNotFoundError:
        return None
    except BackendError as error:
        error.side = side.value
        raise
    hasher = bodies.Hasher()
    try:
        async for chunk in stream:
            hasher.add(chunk)
    finally:
        await let_go(stream)
    return hasher.digest(stream.info.attributes or NO_ATTRIBUTES), stream.info.etag
