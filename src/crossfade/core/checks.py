"""Verification and repair of a key: looking at both sides under its lease, and deciding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.core.intents import Marked, Reason, Wait
from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.core.records import Decision, Intent, MarkKind, Operation, Record

if TYPE_CHECKING:
    from crossfade.core.intents import Ask
    from crossfade.core.records import Look, Mark
    from crossfade.core.settings import Timing


def mark_check(look: Look, ask: Ask, timing: Timing) -> Decision[Marked | Wait]:
    """Take the lease of a closed key, or of an extra, to look at both sides; sends nothing."""
    completing = look.migration.completing_until
    if look.record is not None or look.migration.completed or not (look.sealed or look.extra):
        return protocol.nothing_to_copy(look)
    if completing is not None and completing > look.now:
        return Decision(None, Wait(reason=Reason.COMPLETING, seconds=completing - look.now))
    record = Record(authority=Side.SOURCE, paired=look.sealed, since=look.now)
    return checking(look, record, ask, timing, opened=True)


def mark_repair(look: Look, ask: Ask, reported: Mark, timing: Timing) -> Decision[Marked | Wait]:
    """Take the lease of a marked key, if its mark is still the one that was reported."""
    record = look.record
    if record is None or record.mark != reported or look.migration.completed:
        return protocol.nothing_to_copy(look)
    if record.intent is not None and protocol.lease_held(record.intent, look.now):
        seconds = record.intent.lease_until - look.now
        return Decision(record, Wait(reason=Reason.LEASE, seconds=seconds))
    if record.intent is not None:
        recovered = protocol.recover(record, look.now, timing)
        return Decision(recovered, Wait(reason=Reason.DOUBT, seconds=0.0))
    if not protocol.no_doubt_left(record, look.now):
        seconds = max((record.doubt[s] or look.now) - look.now for s in BOTH_SIDES)
        return Decision(record, Wait(reason=Reason.DOUBT, seconds=seconds))
    return checking(look, record, ask, timing, opened=False)


def checking(
    look: Look, record: Record, ask: Ask, timing: Timing, *, opened: bool
) -> Decision[Marked | Wait]:
    """Write an intent that announces nothing: its holder only looks."""
    intent = Intent(
        token=ask.token,
        holder=ask.holder,
        lease_until=look.now + timing.lease,
        operation=Operation.COPY,
        digest=None,
        announced=frozenset(),
        opened=opened,
    )
    marked = Marked(
        token=ask.token,
        authority=record.authority,
        primary=record.authority.other,
        announced=frozenset(),
        both_current=False,
        digest=record.digest,
        deleting=record.deleting,
        sealed=look.sealed,
        completed=False,
    )
    return Decision(replace(record, intent=intent), marked)


def release_check(look: Look, token: str) -> Decision[bool]:
    """End an intent that only looked: a key that it opened goes back to what it was."""
    record = look.record
    if record is None or record.intent is None or not protocol.is_own(record, token):
        return Decision(record, answer=False)
    if record.intent.opened:
        return Decision(None, answer=True)
    return Decision(replace(record, intent=None), answer=True)


def mark_drift(
    look: Look, token: str, tags: Pair[str | None], proved: Pair[str] | None
) -> Decision[bool]:
    """Open a key that differs with nothing under way, for repair to decide.

    The source answers for it, unless the last proof's tags show that it alone has changed.
    """
    decision = protocol.set_mark(look, token, MarkKind.DRIFT, tags)
    if decision.record is None or not decision.answer:
        return decision
    authority = drift_authority(tags, proved)
    return Decision(replace(decision.record, authority=authority), answer=True)


def drift_authority(tags: Pair[str | None], proved: Pair[str] | None) -> Side:
    """Return the side that goes on answering for a key on which both sides drifted apart."""
    if proved is not None and tags.source != proved.source and tags.target == proved.target:
        return Side.TARGET
    return Side.SOURCE


def settle_repair(look: Look, token: str, authority: Side) -> Decision[bool]:
    """End a repair's intent: that side answers from now on, and the copier brings up the other.

    For an extra that is to be deleted this is the source, which holds nothing.
    """
    record = look.record
    if record is None or not protocol.is_own(record, token):
        return Decision(record, answer=False)
    new = replace(
        record,
        authority=authority,
        intent=None,
        mark=None,
        digest=None,
        deleting=authority is Side.SOURCE,
        paired=record.paired and not look.extra,
    )
    extra = False if look.extra else None
    return Decision(new, answer=True, extra=extra, repaired=True)


def repair_stands(reported: Pair[str | None], found: Pair[str | None]) -> bool:
    """Repair acts only on what was reported: both entity tags are still the same."""
    return reported == found
