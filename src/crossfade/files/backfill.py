"""Backfill: copies what existed before, chunk by chunk, and seals what is the same.

Each range that is not sealed is worked on from left to right. A chunk is listed on both sides,
its keys are copied, and it is compared; a comparison that began late enough after `begin` seals
it. A sealed chunk is never listed again, so a run that was killed goes on where the seal stands.
At its end a run takes care of the keys that are open (`Settling`), so that it ends with everything
copied, or with the names of what is not.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.core.counts import counted
from crossfade.core.objects import BOTH_SIDES, Pair
from crossfade.core.settings import RENEW_SHARE
from crossfade.errors import BackendError, LeaseHeldError, LeaseLostError, StorageFullError
from crossfade.files.backfill_report import BackfillReport
from crossfade.files.comparison import (
    Chunk,
    Compared,
    Difference,
    Listed,
    compare_many,
    list_chunk,
)
from crossfade.files.copies import Copied, CopyResult
from crossfade.files.settling import Settling, pause, settle_seconds_max
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from crossfade.core.records import Interval, KeyRange, Lease
    from crossfade.files.backfill_report import OnProgress
    from crossfade.files.copier import Copier
    from crossfade.files.engine import Engine

CHUNK_ATTEMPTS = 3
SEAL_ATTEMPTS = 20
SEAL_PAUSE_SECONDS = 0.02
"""Between two attempts to seal a chunk, for mirrors under way."""


FAILED_IN_A_ROW_MAX = 100
"""How many copies may fail without one between them that does not: then something is broken."""


class Backfill:
    """One run of backfill; one process at a time holds a migration's backfill lease."""

    def __init__(
        self, engine: Engine, copier: Copier, *, on_progress: OnProgress | None = None
    ) -> None:
        self._engine = engine
        self._copier = copier
        self._on_progress = on_progress
        self._known: dict[str, Pair[str]] = {}
        self._lease: Lease | None = None
        self._stopped = anyio.Event()
        self._early = False
        self._counted_to = ""
        self._counted_before = 0
        self._failed_in_a_row = 0
        self._settling = False
        self.report = BackfillReport()

    def stop(self) -> None:
        """Stop after the keys that are under way; a run that waits stops at once."""
        self._stopped.set()

    @property
    def _stopping(self) -> bool:
        return self._stopped.is_set() or bool(self.report.halted)

    async def plan(self) -> BackfillReport:
        """Count what a run would look at, without copying or sealing anything."""
        for todo in await self._unsealed():
            start: str | None = todo.start
            while start is not None and not self._stopping:
                chunk = await self._list(start, todo.end)
                self._count(chunk)
                start = self._next(chunk, todo.end)
        return self.report

    async def run(self) -> BackfillReport:
        """Copy and seal until every range is sealed, or nothing more can be.

        Keys that are open at its end are waited for, at most `settle_seconds_max`. A side that
        is full, or copies that all fail, end it early.

        Raises:
            LeaseHeldError: another process backfills this migration.
            BackendError: a side cannot be listed.
        """
        began = self._engine.clock()
        await self._take_lease()
        try:
            async with task_group() as group:
                group.start_soon(self._keep_lease)
                await self._passes()
                if not self._stopping:
                    await self._settle()
                group.cancel_scope.cancel()
        finally:
            if self._lease is not None:
                with anyio.CancelScope(shield=True):
                    await self._engine.catalog.release_lease(self._lease)
        self.report.seconds = self._engine.clock() - began
        self.report.stopped = self._stopped.is_set()
        return self.report

    async def _settle(self) -> None:
        """Take care of the keys that are open: copy what can be, wait for what cannot yet."""
        engine, report = self._engine, self.report
        self._settling = True
        report.failed, report.failed_count = {}, 0
        deadline = engine.clock() + settle_seconds_max(engine)
        work = Settling(
            engine, self._copier, on_copied=self._note, is_ending=lambda: self._stopping
        )
        while True:
            found = await work.round()
            left = deadline - engine.clock()
            report.marked, report.waiting = found.marked, found.waiting
            report.waiting_seconds = left
            self._tell()
            if self._stopping or not found.waiting or left <= 0:
                break
            await pause(engine.limits.poll_seconds, self._stopped)
        report.left, report.left_count, report.waiting = found.keys, found.waiting, 0

    async def _passes(self) -> None:
        """Go over what is not sealed, again while a chunk was compared too early to count."""
        while True:
            self.report.unsealed_reason = ""
            self._early = False
            for each in await self._unsealed():
                await self._range(each)
            wait = await self._settles_in()
            if self._stopping or not self._early or wait is None:
                return
            self.report.settling_seconds = max(wait, 0.0)
            self._tell()
            await pause(wait, self._stopped)
            self.report.settling_seconds = 0.0

    async def _unsealed(self) -> list[KeyRange]:
        ranges = await self._engine.catalog.ranges(self._engine.name)
        return [each for each in ranges if not each.sealed]

    async def _settles_in(self) -> float | None:
        """Return in how many seconds a comparison may begin; None before `begin`."""
        engine = self._engine
        row = (await engine.catalog.census(engine.name)).migration
        if row.begun_at is None:
            return None
        return row.begun_at + settle_seconds(engine) - engine.catalog.now()

    async def _range(self, todo: KeyRange) -> None:
        start: str | None = todo.start
        self._counted_to = ""
        while start is not None and not self._stopping:
            chunk = await self._list(start, todo.end)
            self._count(chunk)
            start = self._next(await self._chunk(chunk), todo.end)

    def _next(self, chunk: Chunk, end: str | None) -> str | None:
        self.report.position = chunk.end or ""
        return None if chunk.end is None or chunk.end == end else chunk.end

    async def _list(self, start: str, end: str | None) -> Chunk:
        return await list_chunk(self._engine, start, end, self._engine.limits.page_keys)

    def _count(self, chunk: Chunk) -> None:
        """Count what the source lists, once: a chunk that ended earlier is listed again."""
        for key, pair in chunk.listed.items():
            if pair.source is not None and key > self._counted_to:
                self.report.listed += 1
                self.report.listed_bytes += pair.source.size
                if pair.target is not None:
                    self.report.common += 1
                    self.report.unlike += pair.source.size != pair.target.size
        self._counted_to = max(self._counted_to, *chunk.listed, "")

    async def _chunk(self, chunk: Chunk) -> Chunk:
        """Copy what differs, compare, seal; again while writers change what was compared."""
        self._known = {}
        reason, before = "", self.report.copied + self.report.same + self.report.again
        for _ in range(CHUNK_ATTEMPTS):
            await self._copy(chunk)
            if self._stopping:
                return chunk
            chunk, reason = await self._compare_and_seal(chunk)
            if not reason:
                self.report.sealed_chunks += 1
                return chunk
            if self._early:
                break
            chunk = await self._list(chunk.start, chunk.end)
        self._counted_before += self.report.copied + self.report.same + self.report.again - before
        self.report.unsealed_reason = reason
        return chunk

    async def _copy(self, chunk: Chunk) -> None:
        look = await self._engine.look_between(chunk.start, chunk.end)
        skipped = {key for key, _ in look.records}
        skipped.update(key for key in look.extras if not holds_source(chunk, key))
        todo = [
            (key, pair)
            for key, pair in chunk.listed.items()
            if key not in skipped and not self._same(key, pair)
        ]
        async with task_group() as group:
            for each in range(min(self._engine.limits.copies_max, len(todo))):
                group.start_soon(self._copy_some, todo, each)

    async def _copy_some(self, todo: list[tuple[str, Listed]], offset: int) -> None:
        for key, pair in todo[offset :: min(self._engine.limits.copies_max, len(todo))]:
            if self._stopping:
                return
            size = pair.source.size if pair.source else None
            self._note(key, await self._copier.copy(key, listed=pair, size=size))

    def _note(self, key: str, result: CopyResult) -> None:
        report = self.report
        if result.tags is not None:
            self._known[key] = result.tags
        failed = result.result is Copied.FAILED
        self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0
        match result.result:
            case Copied.CLOSED:
                report.copied += 1
                report.copied_bytes += result.size
            case Copied.SAME if self._counted_before:
                self._counted_before -= 1
                report.again += 1
            case Copied.SAME:
                report.same += 1
            case Copied.EXTRA:
                report.extras += 1
            case Copied.DAMAGED:
                report.damaged += 1
            case Copied.LATER:
                report.opened += 1
            case Copied.FAILED:
                self._note_failed(key, result.error)
        self._tell()

    def _note_failed(self, key: str, error: BackendError | None) -> None:
        report = self.report
        report.failed_count += 1
        if len(report.failed) < self._engine.limits.keys_listed_max:
            report.failed[key] = str(error)
        if isinstance(error, StorageFullError):
            # Without a side it is the folder for temporary files: smaller objects need none.
            if error.side is not None:
                report.halted = str(error)
        elif self._failed_in_a_row >= FAILED_IN_A_ROW_MAX and not self._settling:
            report.halted = f"{self._failed_in_a_row} copies in a row failed, the last one: {error}"

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.report)

    def _same(self, key: str, pair: Listed) -> bool:
        """Tell whether both entity tags are those of the copy that was verified."""
        known = self._known.get(key)
        if known is None or pair.source is None or pair.target is None:
            return False
        return known == Pair(pair.source.etag, pair.target.etag)

    async def _open_keys(self, chunk: Chunk) -> set[str]:
        look = await self._engine.look_between(chunk.start, chunk.end)
        return {key for key, _ in look.records}

    async def _compare_and_seal(self, listed: Chunk) -> tuple[Chunk, str]:
        """Compare a chunk and seal it; return it, and why it could not be sealed, or "".

        It is listed again, and then ends earlier where writers have added keys to a full page.
        """
        engine = self._engine
        compared_from = engine.catalog.now()
        row = (await engine.look_between(listed.start, listed.end, 1)).migration
        settle = settle_seconds(engine)
        reason = protocol.seal_refusal(compared_from, row.begun_at, compared_from, settle)
        if reason:
            self._early = True
            return listed, reason
        chunk = await self._list(listed.start, listed.end)
        try:
            return chunk, await self._seal(chunk, await self._differing(chunk))
        except BackendError as error:
            return chunk, str(error)

    async def _seal(self, chunk: Chunk, differing: dict[str, bool]) -> str:
        """Seal a chunk; while it is refused look again at the keys that still stand in the way.

        Under traffic some key is always written between both listings, or between a comparison
        and the seal. Once it was found the same it counts: what comes later opens it.
        """
        engine = self._engine
        for _ in range(SEAL_ATTEMPTS):
            decide = partial(protocol.may_seal, differing=dict(differing))
            if await engine.catalog.seal(engine.name, chunk.start, chunk.end, decide, self._lease):
                engine.probe.reached("range sealed")
                return ""
            if not differing or self._stopping:
                break
            await anyio.sleep(SEAL_PAUSE_SECONDS)
            await self._compare_again(chunk, differing)
        return await self._why_not(chunk, differing)

    async def _compare_again(self, chunk: Chunk, differing: dict[str, bool]) -> None:
        """Compare the keys that differed and are not open; drop those that are the same now."""

        def note(key: str, compared: Compared) -> None:
            if compared.difference is None:
                del differing[key]
            else:
                differing[key] = compared.difference is Difference.EXTRA

        opened = await self._open_keys(chunk)
        await compare_many(self._engine, [key for key in differing if key not in opened], note)

    async def _why_not(self, chunk: Chunk, differing: dict[str, bool]) -> str:
        look: Interval = await self._engine.look_between(chunk.start, chunk.end)
        if look.extras:
            first = look.extras[0]
            held = counted(len(look.extras), "key is", "keys are")
            return f"{held} held by the target alone, {first!r} among them"
        differ = counted(len(differing), "key differs", "keys differ")
        return f"{differ}, {next(iter(differing), '')!r} among them"

    async def _differing(self, chunk: Chunk) -> dict[str, bool]:
        """Return the keys that are not the same, with whether the target alone holds them."""
        differing: dict[str, bool] = {}
        opened = await self._open_keys(chunk)
        unsure: list[str] = []
        for key, pair in chunk.listed.items():
            if pair.source is None or pair.target is None:
                differing[key] = pair.source is None
            elif key in opened:
                differing[key] = False
            elif not self._same(key, pair):
                unsure.append(key)

        def note(key: str, compared: Compared) -> None:
            if compared.difference is not None:
                differing[key] = compared.difference is Difference.EXTRA

        await compare_many(self._engine, unsure, note)
        return differing

    async def _take_lease(self) -> None:
        engine = self._engine
        name, seconds = f"backfill:{engine.name}", engine.timing.lease
        lease = await engine.catalog.take_lease(name, engine.holder, seconds)
        if lease is None:
            # The old one stays: it fences off a seal that is about to be submitted.
            message = f"another process backfills {engine.name!r}, or was killed while it did"
            hint = f"one run at a time; if none runs any more, try again in {seconds:g} s"
            raise LeaseHeldError(message, retry_after=seconds, hint=hint)
        self._lease = lease

    async def _keep_lease(self) -> None:
        while True:
            await anyio.sleep(self._engine.timing.lease * RENEW_SHARE)
            try:
                await self._take_lease()
            except LeaseHeldError as error:
                message = "the backfill's lease was taken by another process"
                raise LeaseLostError(message) from error


def holds_source(chunk: Chunk, key: str) -> bool:
    """Tell whether the source lists the key."""
    pair = chunk.listed.get(key)
    return pair is not None and pair.source is not None


def settle_seconds(engine: Engine) -> float:
    """Return how long after `begin` a comparison counts for a seal."""
    lags = [engine.sides[side].capabilities.listing_lag_seconds for side in BOTH_SIDES]
    return engine.timing.late_max + max(lags)
