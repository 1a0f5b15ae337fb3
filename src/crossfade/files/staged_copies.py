"""Copies of large objects: read and staged without a lease, checked and put into place under it."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol, staging
from crossfade.core.intents import Marked, Outcome, Wait
from crossfade.core.objects import NO_ATTRIBUTES
from crossfade.core.settings import RENEW_SHARE
from crossfade.errors import BackendError, ObjectNotFoundError, StoreError
from crossfade.files.comparison import in_both
from crossfade.files.copies import Copied, CopyResult, broken, tags_in_order
from crossfade.files.found import Found, read_tag, read_whole, same_already
from crossfade.files.leases import Held
from crossfade.files.staging import drop
from crossfade.files.tasks import task_group
from crossfade.ports import Stager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.core.objects import Digest, ObjectInfo, Side
    from crossfade.files.comparison import Listed
    from crossfade.files.copier import Copier
    from crossfade.files.engine import Engine
    from crossfade.ports import Staged


class StagedCopy:
    """One copy of a key whose object is large, from the side that answers for it."""

    def __init__(self, engine: Engine, copier: Copier, key: str, *, listed: Listed | None) -> None:
        self._engine = engine
        self._copier = copier
        self._key = key
        self._listed = listed
        self._side: Side
        self._found: Found | None = None
        self._info: ObjectInfo
        self._staged: Staged | None = None
        self._tag_there: str | None = None

    async def run(self) -> CopyResult | None:
        """Copy it once; None where the key changed meanwhile."""
        look = await self._engine.look(self._key)
        side = staging.copied_from(look, backfill=self._listed is not None)
        if isinstance(side, Wait):
            return CopyResult(Copied.LATER, reason=side.reason)
        self._side, self._found = side, None
        self._staged, self._tag_there = None, None
        known = look.record.digest if look.record is not None else None
        try:
            large = await self._read_and_stage(known)
            if not large:
                return await self._copier.copy_small(self._key, listed=self._listed)
            return await self._put_in_place()
        except (BackendError, OSError) as error:
            return await self._fail(broken(error, self._key))
        finally:
            await self._let_go()

    async def _read_and_stage(self, known: Digest | None) -> bool:
        """Read the side whole and stage it on the other; tell whether it is large at all."""
        async with self._others_kept_off():
            found = self._found = await read_whole(self._engine, self._side, self._key)
            if found.info is None or self._stager(found) is None:
                return False
            self._info = found.info
            await self._stage(found, damaged=self._is_damaged(known, found))
        return True

    async def _let_go(self) -> None:
        if self._found is not None:
            self._found.close()
        if self._staged is not None:
            await drop(self._staged)

    def _stager(self, found: Found) -> Stager | None:
        return self._engine.stager(self._side.other, found.digest.size)

    def _is_damaged(self, known: Digest | None, found: Found) -> bool:
        kept = self._engine.sides[self._side].capabilities.attributes_kept
        return protocol.is_damaged(known, found.digest, kept)

    async def _stage(self, found: Found, *, damaged: bool) -> None:
        """Stage what was read on the other side, unless it has it already, or must not."""
        engine, key, to = self._engine, self._key, self._side.other
        if damaged:
            return
        if in_both(self._listed):
            self._tag_there = await same_already(engine, to, key, found)
            if self._tag_there is not None:
                return
        stager, original = self._stager(found), engine.sides[self._side]
        assert stager is not None
        assert found.body is not None
        parts = await original.part_bytes(self._info) if isinstance(original, Stager) else None
        attributes = self._info.attributes or NO_ATTRIBUTES
        self._staged = await stager.stage(key, found.body, attributes, part_bytes=parts)

    @asynccontextmanager
    async def _others_kept_off(self) -> AsyncIterator[None]:
        """Tell other copiers, while it is read and staged, that somebody copies an open key."""
        async with task_group() as group:
            group.start_soon(self._keep_off)
            yield
            group.cancel_scope.cancel()

    async def _keep_off(self) -> None:
        lease = self._engine.timing.lease
        while True:
            # It is a courtesy: without it somebody else copies the key too.
            with suppress(StoreError):
                await self._engine.change(self._key, partial(staging.put_off, seconds=lease))
            await anyio.sleep(lease * RENEW_SHARE)

    async def _put_in_place(self) -> CopyResult | None:
        """Mark the key, and look under the lease whether all is as it was read."""
        engine, found = self._engine, self._found
        assert found is not None
        await engine.probe.point("copier_staged")
        asked_at = engine.clock()
        answer = await self._copier.mark(self._key, listed=self._listed, size=found.digest.size)
        if not isinstance(answer, Marked):
            return CopyResult(Copied.LATER, reason=answer.reason)
        held = Held(engine, self._key, answer, asked_at)
        await engine.probe.point("copier_after_mark")
        return await self._copier.under_lease(held, partial(self._conclude, held, found))

    async def _conclude(self, held: Held, found: Found) -> CopyResult | None:
        marked, there = held.marked, self._tag_there
        if await self._stands(held):
            if self._is_damaged(marked.digest, found):
                return await self._copier.mark_damaged(held, found)
            if self._staged is not None:
                return await self._copier.write(held, found, self._staged)
            if there is not None and there == await self._tag_now():
                tags = tags_in_order(self._side, self._info.etag, there)
                result = CopyResult(Copied.SAME, tags, found.digest.size)
                return await self._copier.commit(held, Outcome.OK, result)
        await self._engine.change(self._key, partial(staging.put_back, token=marked.token))
        return None

    async def _tag_now(self) -> str | None:
        return await read_tag(self._engine, self._side.other, self._key)

    async def _stands(self, held: Held) -> bool:
        """Look under the lease whether the authority still holds what was read."""
        await held.ensure()
        backend = self._engine.sides[self._side]
        now: ObjectInfo | None
        try:
            now = await backend.stat(self._key)
        except ObjectNotFoundError:
            now = None
        kept = backend.capabilities.attributes_kept
        return staging.copy_stands(held.marked, self._side, self._info, now, kept)

    async def _fail(self, error: BackendError) -> CopyResult:
        """Note that the copy failed: nothing was sent that changes anything."""
        answer = await self._copier.mark(self._key, listed=self._listed)
        if not isinstance(answer, Marked):
            return CopyResult(Copied.LATER, reason=answer.reason)
        held = Held(self._engine, self._key, answer, self._engine.clock())
        return await self._copier.commit(
            held, Outcome.REFUSED, CopyResult(Copied.FAILED, error=error)
        )
