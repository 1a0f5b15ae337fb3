"""What an on-call engineer needs first: all that is known of one key, in words."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.core.keyspace import start_after
from crossfade.core.objects import BOTH_SIDES, Side, check_key
from crossfade.core.records import Look
from crossfade.errors import BackendError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from crossfade.core.objects import ObjectInfo
    from crossfade.core.proofs import ProofEntry
    from crossfade.core.records import Intent, Mark, Record
    from crossfade.files.engine import Engine
    from crossfade.setup.opened import Crossfade


@dataclass(frozen=True, slots=True, kw_only=True)
class SideReport:
    """What one side says of the key.

    Attributes:
        present: None when the side could not be asked; ``error`` says why.
    """

    side: Side
    present: bool | None
    size: int | None = None
    etag: str | None = None
    modified: datetime | None = None
    content_type: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedReport:
    """When the key was last found the same on both sides, by content.

    Attributes:
        at: seconds since 1970.
        unchanged: whether both entity tags are still those of the proof.
    """

    at: float
    seconds: float
    sha256: str
    size: int
    unchanged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReport:
    """One key.

    Attributes:
        state: `open` or `closed`.
        answers: the sides that may answer for it.
        marked: `damaged` or `drift`; empty where nothing was found wrong with it.
        difference: how the sides differ, as far as can be told without reading both through;
            empty where they do not, or one could not be asked.
        differs: whether they differ where they should be the same, or the key is marked.
        words: its record, in sentences.
        missed: whether a verification ran, and has no proof of it.
    """

    migration: str
    key: str
    state: str
    sealed: bool
    extra: bool
    answers: tuple[Side, ...]
    marked: str
    difference: str
    differs: bool
    words: tuple[str, ...]
    holder: str | None
    token: str | None
    open_seconds: float | None
    sides: tuple[SideReport, ...]
    proved: ProvedReport | None
    missed: bool


async def key_report(
    xf: Crossfade, migration: str, key: str, *, wall_clock: Callable[[], float] = time.time
) -> KeyReport:
    """Look at one key everywhere; nothing is changed.

    Raises:
        InvalidKeyError: no legal key.
        MigrationNotFoundError: no such migration.
    """
    check_key(key)
    report = await _look_everywhere(xf, migration, key, wall_clock)
    if report.differs and not report.marked:
        # The sides are asked one after the other, and a writer may have come between.
        report = await _look_everywhere(xf, migration, key, wall_clock)
    return report


async def _look_everywhere(
    xf: Crossfade, migration: str, key: str, wall_clock: Callable[[], float]
) -> KeyReport:
    engine = xf.files(migration).engine
    interval = await engine.look_between(key, start_after(key))
    record = dict(interval.records).get(key)
    sealed = interval.ranges[0].sealed
    extra = key in interval.extras
    look = Look(key, record, sealed, interval.migration, interval.now, extra)
    (source, source_info), (target, target_info) = [
        await _side(engine, side, key) for side in BOTH_SIDES
    ]
    difference = ""
    if None not in (source.present, target.present):
        difference = _difference(source_info, target_info, engine.kept_by_both())
    present = (source.present, target.present) != (False, False)
    marked = record.mark.kind.value if record and record.mark else ""
    twins = record is None and sealed and not interval.migration.completed
    words = _of_twins(look, present=present, difference=difference) if twins else words_of(look)
    proved = await engine.proofs.find(migration, key)
    intent = record.intent if record else None
    return KeyReport(
        migration=migration,
        key=key,
        state="closed" if record is None else "open",
        sealed=sealed,
        extra=extra,
        answers=tuple(sorted(protocol.current_sides(look))),
        marked=marked,
        difference=difference,
        differs=bool(marked) or (twins and bool(difference)),
        words=tuple(words),
        holder=intent.holder if intent else None,
        token=intent.token if intent else None,
        open_seconds=None if record is None else max(0.0, look.now - record.since),
        sides=(source, target),
        missed=proved is None and interval.migration.proof is not None,
        proved=None if proved is None else _proved(proved, source, target, wall_clock()),
    )


def _difference(source: ObjectInfo | None, target: ObjectInfo | None, kept: frozenset[str]) -> str:
    """Say how two objects differ; empty where nothing that is known of them does."""
    if source is None and target is None:
        return ""
    if source is None or target is None:
        return f"the {Side.SOURCE if target is None else Side.TARGET} alone holds it"
    if source.size != target.size:
        return f"the source holds {source.size:,} bytes, the target {target.size:,}"
    if source.sha256 and target.sha256 and source.sha256 != target.sha256:
        return "their bytes differ"
    mine, other = source.attributes, target.attributes
    if mine is not None and other is not None and not mine.same(other, kept):
        return "their headers or metadata differ"
    return ""


def _of_twins(look: Look, *, present: bool, difference: str) -> list[str]:
    """Word a key that should be the same on both sides, as they were found."""
    if difference:
        wrong = "closed, and the sides should be the same"
        return [f"{wrong}: {difference}; `verify` marks it, then `repair` decides"]
    return words_of(look) if present else ["closed: neither side holds it"]


def words_of(look: Look) -> list[str]:
    """Say in sentences what the catalog knows of a key."""
    if look.record is not None:
        return _of_open(look.record, look)
    if look.migration.completed:
        return ["closed: the migration is complete, the target alone answers"]
    if look.sealed:
        return ["closed: both sides hold the same as far as is known, either may answer"]
    words = ["closed: its range is not sealed, so the source answers"]
    if look.extra:
        words.append("the target alone holds it, and nobody wrote it: `repair` decides")
    return words


def _of_open(record: Record, look: Look) -> list[str]:
    now = look.now
    words = [f"open for {now - record.since:.0f} s: the {record.authority} alone answers"]
    if record.intent is not None:
        words.append(_of_intent(record.intent, now))
    for side in BOTH_SIDES:
        until = record.doubt[side]
        if until is not None and until > now:
            words.append(
                f"something of unknown outcome may still show on the {side} for {until - now:.0f} s"
            )
    if record.deleting:
        words.append("a delete was sent to it")
    if record.mark is not None:
        words.append(_of_mark(record.mark, now))
    elif record.intent is None:
        words.append(_of_copy(record, look))
    return words


def _of_intent(intent: Intent, now: float) -> str:
    sides = " and ".join(sorted(intent.announced)) or "no side"
    left = intent.lease_until - now
    lease = f"its lease lasts {left:.0f} s" if left > 0 else f"its lease lapsed {-left:.0f} s ago"
    return f"a {intent.operation} of {intent.holder} is under way to {sides}; {lease}"


def _of_mark(mark: Mark, now: float) -> str:
    return f"marked {mark.kind} {now - mark.since:.0f} s ago: nothing is copied, `repair` decides"


def _of_copy(record: Record, look: Look) -> str:
    other = record.authority.other
    if look.migration.completed:
        return "its record goes as soon as no side is in doubt"
    if protocol.any_doubt(record, look.now):
        return f"the {other} is brought up when no side is in doubt any more"
    left = record.next_attempt - look.now
    if record.attempts and left > 0:
        return f"{record.attempts} copies to the {other} failed; the next begins in {left:.0f} s"
    return f"the {other} waits to be brought up by a worker"


async def _side(engine: Engine, side: Side, key: str) -> tuple[SideReport, ObjectInfo | None]:
    try:
        found = await engine.sides[side].stat(key)
    except ObjectNotFoundError:
        return SideReport(side=side, present=False), None
    except BackendError as error:
        return SideReport(side=side, present=None, error=str(error)), None
    report = SideReport(
        side=side,
        present=True,
        size=found.size,
        etag=found.etag,
        modified=found.modified,
        content_type=found.attributes.content_type if found.attributes else None,
    )
    return report, found


def _proved(
    proved: ProofEntry, source: SideReport, target: SideReport, wall_now: float
) -> ProvedReport:
    tags = (proved.source_tag, proved.target_tag)
    return ProvedReport(
        at=proved.proved_at,
        seconds=max(0.0, wall_now - proved.proved_at),
        sha256=proved.sha256,
        size=proved.size,
        unchanged=tags == (source.etag, target.etag),
    )
