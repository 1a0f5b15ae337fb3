"""Verification: both sides of sealed ranges compared by content, in key order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import checks, protocol
from crossfade.core.intents import Ask, Marked, Wait
from crossfade.core.objects import Pair
from crossfade.core.proofs import ProofEntry
from crossfade.core.records import Census, MigrationRow, Operation, Proof
from crossfade.errors import BackendError
from crossfade.files.comparison import Compared, compare, compare_many, list_chunk
from crossfade.files.leases import Held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from crossfade.core.records import Decision, Interval, KeyRange, Look
    from crossfade.files.comparison import Chunk
    from crossfade.files.engine import Engine
    from crossfade.ports import ProofWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One key that is not the same on both sides, as reports say it.

    Attributes:
        source_tag, target_tag: both entity tags at the time of the report; None for absent.
        marked_at: the catalog's time at which the key was marked; None for an extra.
    """

    key: str
    kind: str
    source_tag: str | None
    target_tag: str | None
    marked_at: float | None = None


@dataclass(slots=True, kw_only=True)
class VerificationReport:
    """What a pass found; ``findings`` names at most `Limits.keys_listed_max` keys.

    Attributes:
        compared, bytes: keys read on both sides and found the same, and their bytes.
        opened: keys passed over because they were open.
        drift: differences that were seen again under the lease, and marked.
        marked, extras: keys that were marked before, and what the target alone holds.
        unsealed: ranges that were passed over because they are not sealed.
        proof: whether the pass counts for `complete`.
    """

    compared: int = 0
    bytes: int = 0
    opened: int = 0
    drift: int = 0
    marked: int = 0
    extras: int = 0
    unsealed: int = 0
    findings: list[Finding] = field(default_factory=list)
    proof: bool = False
    seconds: float = 0.0

    @property
    def differences(self) -> int:
        """Everything that repair has to decide on."""
        return self.drift + self.marked + self.extras


class Verification:
    """One pass over all ranges; memory holds one chunk at a time."""

    def __init__(
        self,
        engine: Engine,
        *,
        on_progress: Callable[[VerificationReport], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._on_progress = on_progress
        self._wall_clock = wall_clock
        self._found: dict[str, Compared] = {}
        self.report = VerificationReport()

    async def run(self) -> VerificationReport:
        """Compare every closed key of the sealed ranges, and mark what drifted.

        Raises:
            BackendError: a side could not be read; the last proof stays.
        """
        engine, began = self._engine, self._engine.clock()
        begun_at = engine.catalog.now()
        last = _Merge(engine.proofs.read(engine.name))
        writer = await engine.proofs.begin(engine.name)
        try:
            for each in await engine.catalog.ranges(engine.name):
                if each.sealed:
                    await self._range(each, writer, last)
                else:
                    self.report.unsealed += 1
                    await self._list_extras(each)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await writer.abort()
            raise
        finally:
            await last.close()
        await writer.commit()
        self.report.proof = await self._record(begun_at)
        self.report.seconds = self._engine.clock() - began
        return self.report

    async def _record(self, begun_at: float) -> bool:
        """Keep the pass in the migration's row if it went over all ranges."""

        def decide(census: Census) -> tuple[MigrationRow, bool]:
            if self.report.unsealed or census.unsealed:
                return census.migration, False
            proof = Proof(
                begun_at=begun_at,
                ended_at=census.now,
                ended_wall=self._wall_clock(),
                keys=self.report.compared,
                drift=self.report.drift + self.report.marked,
            )
            row = replace(census.migration, proof=proof)
            return row, not protocol.complete_refusal_of_proof(row)

        return await self._engine.catalog.change_row(self._engine.name, decide)

    async def _range(self, sealed: KeyRange, writer: ProofWriter, last: _Merge) -> None:
        start: str | None = sealed.start
        limit = self._engine.limits.page_keys
        while start is not None:
            chunk = await list_chunk(self._engine, start, sealed.end, limit)
            await self._chunk(chunk, writer, last)
            start = None if chunk.end is None or chunk.end == sealed.end else chunk.end

    async def _chunk(self, chunk: Chunk, writer: ProofWriter, last: _Merge) -> None:
        engine = self._engine
        opened = dict((await self._look(chunk)).records)
        self._found = {}
        todo = [key for key in chunk.listed if key not in opened]
        await compare_many(engine, todo, self._note)
        for key, record in opened.items():
            self.report.opened += 1
            if record.mark is not None:
                self.report.marked += 1
                self._find(key, record.mark.kind.value, record.mark.tags)
        entries: list[ProofEntry] = []
        for key in todo:
            proved = await last.find(key)
            entry = await self._judge(key, proved)
            if entry is not None:
                entries.append(entry)
        await writer.add(entries)
        self._tell()

    async def _look(self, chunk: Chunk) -> Interval:
        return await self._engine.look_between(chunk.start, chunk.end)

    def _note(self, key: str, compared: Compared) -> None:
        self._found[key] = compared
        if compared.digest is not None:
            self.report.bytes += compared.digest.size
        self._tell()

    async def _judge(self, key: str, proved: ProofEntry | None) -> ProofEntry | None:
        """Take a key as proved, or look at it again under the lease."""
        compared = self._found[key]
        if compared.difference is not None:
            compared = await self._confirm(key, compared, proved)
        if compared.difference is not None or compared.digest is None:
            return None
        self.report.compared += 1
        return ProofEntry(
            key=key,
            source_tag=compared.tags.source or "",
            target_tag=compared.tags.target or "",
            sha256=compared.digest.sha256,
            size=compared.digest.size,
            proved_at=self._wall_clock(),
        )

    async def _confirm(self, key: str, compared: Compared, proved: ProofEntry | None) -> Compared:
        """Compare again while nobody can write the key; what still differs is drift."""
        engine, asked_at = self._engine, self._engine.clock()
        answer = await engine.change(key, partial(self._mark, engine.new_token()))
        if not isinstance(answer, Marked):
            self.report.opened += 1
            return Compared(compared.difference, compared.tags, None)
        held = Held(engine, key, answer, asked_at)
        kept = False
        try:
            with held.cut(float("inf")):
                again = await compare(engine, key)
                if again.difference is None:
                    return again
                tags = None
                if proved is not None:
                    tags = Pair(proved.source_tag, proved.target_tag)
                decide = partial(
                    checks.mark_drift, token=answer.token, tags=again.tags, proved=tags
                )
                kept = await engine.change(key, decide)
        finally:
            if not kept:
                with anyio.CancelScope(shield=True):
                    release = partial(checks.release_check, token=answer.token)
                    await engine.change(key, release)
        if kept:
            engine.probe.reached("drift found")
            self.report.drift += 1
            self._find(key, "drift", again.tags)
        return compared

    def _mark(self, token: str, look: Look) -> Decision[Marked | Wait]:
        ask = Ask(token=token, holder=self._engine.holder, operation=Operation.COPY, digest=None)
        return checks.mark_check(look, ask, self._engine.timing)

    async def _list_extras(self, unsealed: KeyRange) -> None:
        look = await self._engine.look_between(unsealed.start, unsealed.end)
        self.report.extras += len(look.extras)
        for key in look.extras[: self._engine.limits.keys_listed_max]:
            try:
                tag = (await self._engine.sides.target.stat(key)).etag
            except BackendError:
                tag = None
            self._find(key, "extra", Pair(None, tag))
        for key, record in look.records:
            if record.mark is not None:
                self.report.marked += 1
                self._find(key, record.mark.kind.value, record.mark.tags)

    def _find(self, key: str, kind: str, tags: Pair[str | None]) -> None:
        if len(self.report.findings) < self._engine.limits.keys_listed_max:
            finding = Finding(key=key, kind=kind, source_tag=tags.source, target_tag=tags.target)
            self.report.findings.append(finding)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.report)


class _Merge:
    """Walks the last proof beside the pass, in the same key order."""

    def __init__(self, entries: AsyncIterator[ProofEntry]) -> None:
        self._entries = entries
        self._next: ProofEntry | None = None
        self._ended = False

    async def find(self, key: str) -> ProofEntry | None:
        """Return the key's entry; keys must be asked for in order."""
        while not self._ended and (self._next is None or self._next.key < key):
            try:
                self._next = await anext(self._entries)
            except StopAsyncIteration:
                self._ended = True
                self._next = None
        return self._next if self._next is not None and self._next.key == key else None

    async def close(self) -> None:
        """Let go of the last proof."""
        closing = getattr(self._entries, "aclose", None)
        if closing is not None:
            await closing()
