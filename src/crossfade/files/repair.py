"""Repair: decide for one side where both differ; only on what was reported, under the lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import checks, protocol
from crossfade.core.intents import Ask, Marked, Wait
from crossfade.core.keyspace import start_after
from crossfade.core.objects import Pair, Side
from crossfade.core.records import Operation
from crossfade.errors import IntegrityError
from crossfade.files import marking
from crossfade.files.comparison import tags_of
from crossfade.files.copies import Copied
from crossfade.files.found import read_digest
from crossfade.files.leases import Held
from crossfade.files.verification import Finding

if TYPE_CHECKING:
    from crossfade.core.records import Decision, Look, Mark
    from crossfade.files.copier import Copier
    from crossfade.files.engine import Engine


@dataclass(slots=True, kw_only=True)
class RepairReport:
    """What repair did; ``refused`` says for each key that it left alone why."""

    repaired: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Repair:
    """Removes differences in favour of one side."""

    def __init__(self, engine: Engine, copier: Copier) -> None:
        self._engine = engine
        self._copier = copier

    async def findings(self, key: str | None = None) -> list[Finding]:
        """Return every marked key and every extra, as they are now; or that key's finding alone."""
        start, end = ("", None) if key is None else (key, start_after(key))
        look = await self._engine.look_between(start, end)
        marks = {key: record.mark for key, record in look.records if record.mark is not None}
        kinds = dict.fromkeys(look.extras, "extra")
        kinds.update((key, mark.kind.value) for key, mark in marks.items())
        return [await self._finding(key, kinds[key], marks.get(key)) for key in sorted(kinds)]

    async def _finding(self, key: str, kind: str, mark: Mark | None) -> Finding:
        """Report a key with the tags of now: something may have landed since it was marked."""
        tags = await tags_of(self._engine, key)
        return Finding(
            key=key,
            kind=kind,
            source_tag=tags.source,
            target_tag=tags.target,
            marked_at=None if mark is None else mark.since,
        )

    async def run(
        self, winner: Side, findings: list[Finding], *, dry_run: bool = False
    ) -> RepairReport:
        """Make the winner's object that of both sides, for each finding that still stands."""
        report = RepairReport()
        for finding in findings:
            if dry_run:
                report.waiting.append(finding.key)
            else:
                await self._one(winner, finding, report)
        return report

    async def _one(self, winner: Side, finding: Finding, report: RepairReport) -> None:
        key, engine = finding.key, self._engine
        asked_at = self._engine.clock()
        ask = Ask(
            token=engine.new_token(),
            holder=engine.holder,
            operation=Operation.COPY,
            digest=None,
        )
        release = partial(checks.release_check, token=ask.token)
        answer = await marking.take(engine, key, partial(self._mark, ask, finding), release)
        if not isinstance(answer, Marked):
            report.refused[key] = f"not as it was reported any more, or {answer.reason.value}"
            return
        held = Held(engine, key, answer, asked_at)
        decided = False
        try:
            with held.cut(float("inf")):
                reported = Pair(finding.source_tag, finding.target_tag)
                if not checks.repair_stands(reported, await tags_of(engine, key)):
                    report.refused[key] = "a side has changed since it was reported"
                    return
                if (damage := await self._damage(winner, key)) is not None:
                    report.refused[key] = f"what the {winner} holds is damaged itself: {damage}"
                    return
                decide = partial(checks.settle_repair, token=answer.token, authority=winner)
                decided = await engine.change(key, decide)
        finally:
            if not decided:
                with anyio.CancelScope(shield=True):
                    await engine.change(key, release)
        if not decided:
            report.refused[key] = "the lease was lost"
            return
        result = await self._copier.copy(key)
        done = result.result in (Copied.CLOSED, Copied.SAME)
        (report.repaired if done else report.waiting).append(key)

    async def _damage(self, winner: Side, key: str) -> str | None:
        """Say why the winner's object cannot be that of both sides; None when it can."""
        try:
            await read_digest(self._engine, winner, key)
        except IntegrityError as error:
            return error.message
        return None

    def _mark(self, ask: Ask, finding: Finding, look: Look) -> Decision[Marked | Wait]:
        timing = self._engine.timing
        if finding.kind == "extra":
            if look.sealed or not look.extra:
                return protocol.nothing_to_copy(look)
            return checks.mark_check(look, ask, timing)
        reported: Mark | None = look.record.mark if look.record else None
        if reported is None or reported.kind.value != finding.kind:
            return protocol.nothing_to_copy(look)
        if reported.since != finding.marked_at:
            return protocol.nothing_to_copy(look)
        return checks.mark_repair(look, ask, reported, timing)
