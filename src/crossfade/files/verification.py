"""Verification: both sides of sealed ranges compared by content, in key order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import checks, proofs, protocol
from crossfade.core.intents import Ask, Marked, Wait
from crossfade.core.objects import Pair
from crossfade.core.proofs import ProofEntry
from crossfade.core.records import Census, MigrationRow, Operation, Proof
from crossfade.errors import BackendError
from crossfade.files import marking
from crossfade.files.comparison import Compared, compare, compare_many, list_chunk
from crossfade.files.leases import Held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from crossfade.core.objects import Digest
    from crossfade.core.records import Decision, Interval, KeyRange, Look, Record
    from crossfade.files.comparison import Chunk
    from crossfade.files.engine import Engine
    from crossfade.ports import ProofWriter

LEFT_KEYS_MAX = 10_000
"""How many keys a pass remembers, to look at again at its end."""


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
        opened: keys passed over because they were open; each is copied before it closes.
        drift: differences that were seen again under the lease, and marked.
        marked, extras: keys that were marked before, and what the target alone holds.
        unsealed: ranges that were passed over because they are not sealed.
        unconfirmed: keys that were held by a writer for as long as the pass waited for them: they
            may differ, and another pass has to look.
        proof: whether the pass counts for `complete`.
    """

    compared: int = 0
    bytes: int = 0
    opened: int = 0
    drift: int = 0
    marked: int = 0
    extras: int = 0
    unsealed: int = 0
    unconfirmed: int = 0
    findings: list[Finding] = field(default_factory=list)
    proof: bool = False
    seconds: float = 0.0

    @property
    def differences(self) -> int:
        """Everything that repair has to decide on."""
        return self.drift + self.marked + self.extras


class Verification:
    """One pass over all ranges; memory holds one chunk at a time, and what is looked at again.

    A key that is open is passed over only if it cannot close without a copy. Each other one that
    was not compared with nobody writing is looked at again at the end, for as long as one call
    may take (`Limits.timeout_seconds`); while one is left the pass is no proof.
    """

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
        self._left: dict[str, None] = {}
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
            await self._look_again()
            await writer.commit()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await writer.abort()
            raise
        finally:
            await last.close()
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
                unconfirmed=self.report.unconfirmed,
            )
            row = replace(census.migration, proof=proof)
            return row, not proofs.refusal(row)

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
            self._pass_over(key, record)
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
        compared: Compared | None = self._found[key]
        if compared is not None and compared.difference is not None:
            compared = await self._confirm(key, proved)
        if compared is None:
            self._leave(key)
            return None
        digest = self._same(compared)
        if digest is None:
            return None
        return ProofEntry(
            key=key,
            source_tag=compared.tags.source or "",
            target_tag=compared.tags.target or "",
            sha256=digest.sha256,
            size=digest.size,
            proved_at=self._wall_clock(),
        )

    def _same(self, compared: Compared) -> Digest | None:
        """Count a key that both sides hold, the same."""
        if compared.difference is not None or compared.digest is None:
            return None
        self.report.compared += 1
        return compared.digest

    async def _confirm(self, key: str, proved: ProofEntry | None) -> Compared | None:
        """Compare again while nobody can write the key; what still differs is drift.

        None when the key was not to be had, or was lost before it was decided: nothing is known.
        """
        engine, asked_at = self._engine, self._engine.clock()
        token = engine.new_token()
        give_up = partial(checks.release_check, token=token)
        answer = await marking.take(engine, key, partial(self._mark, token), give_up)
        if not isinstance(answer, Marked):
            return None
        held = Held(engine, key, answer, asked_at)
        again: Compared | None = None
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
        if again is None or not kept:
            return None
        engine.probe.reached("drift found")
        self.report.drift += 1
        self._find(key, "drift", again.tags)
        return again

    def _pass_over(self, key: str, record: Record) -> None:
        """Leave an open key to its copy; one that may close without it is looked at again."""
        if protocol.goes_back_to_closed(record):
            self._leave(key)
            return
        self.report.opened += 1
        if record.mark is not None:
            self.report.marked += 1
            self._find(key, record.mark.kind.value, record.mark.tags)

    def _leave(self, key: str) -> None:
        """Remember a key for the end of the pass; one too many stays unconfirmed."""
        if len(self._left) < LEFT_KEYS_MAX:
            self._left[key] = None
        else:
            self.report.unconfirmed += 1

    async def _look_again(self) -> None:
        """Come back to the keys that were left, until none is or no call can still hold one."""
        engine = self._engine
        deadline = engine.clock() + engine.limits.timeout_seconds
        while self._left:
            waiting, self._left = self._left, {}
            for key in waiting:
                await self._settle(key)
            self._tell()
            if self._left and engine.clock() >= deadline:
                break
            if self._left:
                await anyio.sleep(engine.limits.poll_seconds)
        self.report.unconfirmed += len(self._left)

    async def _settle(self, key: str) -> None:
        """Compare a key that was left, if it is closed by now."""
        engine = self._engine
        record = (await engine.look(key)).record
        if record is not None:
            self._pass_over(key, record)
            return
        compared: Compared | None = await compare(engine, key)
        if compared is not None and compared.difference is not None:
            compared = await self._confirm(key, await engine.proofs.find(engine.name, key))
        if compared is None:
            self._leave(key)
            return
        digest = self._same(compared)
        if digest is not None:
            self.report.bytes += digest.size

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
