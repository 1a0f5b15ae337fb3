"""The rules that keep a key correct on two sides, as pure functions.

Each function takes a snapshot (`Look`, `Record`) and returns what holds or what the record is
afterwards; `files/` carries it out and the catalog runs it inside a transaction. The rules, their
numbers and their words are those of ``docs/protocol.md``; ``ARCHITECTURE.md`` says for each rule
which function holds it, which test, and what goes wrong without it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.core import proofs
from crossfade.core.counts import counted
from crossfade.core.intents import Marked, Outcome, Reason, Wait
from crossfade.core.objects import ABSENT, BOTH_SIDES, Pair, Side
from crossfade.core.records import (
    Decision,
    Intent,
    Look,
    Mark,
    MarkKind,
    Operation,
    Record,
)
from crossfade.core.settings import Mirror, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from crossfade.core.intents import Ask
    from crossfade.core.objects import Digest
    from crossfade.core.records import Census, Interval

COPY_RETRY_SECONDS = 0.5
"""The pause after the first failed copy of a key; it doubles with each further one."""


# -- which side may answer (rules 3 and 4, "a side is current") -----------------------------


def current_sides(look: Look) -> frozenset[Side]:
    """Return the sides that may answer for the key."""
    if look.migration.completed:
        return frozenset((Side.TARGET,))
    if look.record is not None:
        return open_sides(look.record)
    return closed_sides(sealed=look.sealed)


def open_sides(record: Record) -> frozenset[Side]:
    """Rule 3: an open key is answered for by its authority alone."""
    return frozenset((record.authority,))


def closed_sides(*, sealed: bool) -> frozenset[Side]:
    """Rule 3: without a record both sides of a sealed range, else the source."""
    return frozenset(BOTH_SIDES) if sealed else frozenset((Side.SOURCE,))


def first_side(look: Look, routed: Side) -> Side:
    """Return the side to ask: the routed one where it is current."""
    sides = current_sides(look)
    return routed if routed in sides else routed.other


def may_fall_back(look: Look) -> bool:
    """Rule 3: only a key that was closed in a sealed range is read from the other side."""
    return look.record is None and look.sealed and not look.migration.completed


def still_current(look: Look, side: Side) -> bool:
    """Rule 4: an answer counts if its side may still answer at the second look."""
    return side in current_sides(look)


def looked_too_late(elapsed: float, timing: Timing) -> bool:
    """Rule 6: a read that took longer than doubt allows for between its looks starts over."""
    return elapsed > timing.look_max


def keys_to_ask(before: Interval, after: Interval) -> frozenset[str]:
    """Rule 4: the keys of a page that are asked for one by one: open at either look."""
    return frozenset(key for look in (before, after) for key, _ in look.records)


def page_stands(before: Interval, after: Interval, side: Side) -> bool:
    """Rule 4: a page counts if its side was and is current for the closed keys of its range."""
    for look in (before, after):
        if look.migration.completed:
            if side is not Side.TARGET:
                return False
        elif not all(side in closed_sides(sealed=r.sealed) for r in look.ranges):
            return False
    return True


def reads_damage(before: Look, after: Look, etag: str | None, side: Side) -> bool:
    """Rule 7: whether a reader found the damage that a mark tells of at either look.

    Any mark counts that fits the answer's own tag, so that a mark that comes or goes between the
    looks never lets known damage pass as data.
    """
    return any(
        look.record is not None and tells_of_damage(look.record.mark, etag, side)
        for look in (before, after)
    )


def tells_of_damage(mark: Mark | None, etag: str | None, side: Side) -> bool:
    """Tell whether a mark is about that version of the side's object (None: its absence)."""
    return mark is not None and mark.kind is MarkKind.DAMAGED and mark.tags[side] == etag


# -- doubt (rule 6) ---------------------------------------------------------------------------


def in_doubt(record: Record, side: Side, now: float) -> bool:
    """Tell whether something of unknown outcome may still show on the side."""
    until = record.doubt[side]
    return until is not None and until > now


def any_doubt(record: Record, now: float) -> bool:
    """Tell whether any side of the key is in doubt."""
    return in_doubt(record, Side.SOURCE, now) or in_doubt(record, Side.TARGET, now)


def sendable(record: Record, side: Side, now: float) -> bool:
    """Rule 6: nothing is sent to a side in doubt."""
    return not in_doubt(record, side, now)


def no_doubt_left(record: Record, now: float) -> bool:
    """Rule 6: a key with any doubt is neither copied nor closed."""
    return not any_doubt(record, now)


def doubt_until(start: float, timing: Timing, *, completes: bool = False) -> float:
    """Rule 6: the time that a request may still land, and that of a read's two looks."""
    return start + lands_within(timing, completes=completes) + timing.look_max


def lands_within(timing: Timing, *, completes: bool) -> float:
    """Rule 6: what puts the parts of an object together may land later than anything else."""
    return max(timing.late_max, timing.late_complete_max) if completes else timing.late_max


def doubt_start(now: float, lease_until: float) -> float:
    """Rule 6: doubt of an intent ended before its lease was over runs from the lease's end."""
    return max(now, lease_until)


def left_in_doubt(outcome: Outcome) -> bool:
    """Rule 6: sent, and neither refused for certain nor taken at the first attempt."""
    return outcome is Outcome.UNKNOWN or retried_into_doubt(outcome)


def outcome_of_attempts(last: Outcome, *, unknown_before: bool) -> Outcome:
    """Return what became of a request after several attempts within one intent.

    After an attempt of unknown outcome no refusal is certain any more.
    """
    if not unknown_before:
        return last
    return Outcome.OK_AFTER_UNKNOWN if last is Outcome.OK else Outcome.UNKNOWN


def retried_into_doubt(outcome: Outcome) -> bool:
    """Rule 6: an ok that followed an attempt of unknown outcome leaves doubt all the same."""
    return outcome is Outcome.OK_AFTER_UNKNOWN


def with_doubt(record: Record, sides: Collection[Side], start: float, timing: Timing) -> Record:
    """Return the record with those sides in doubt from then on, for what its intent sent."""
    if not sides:
        return record
    doubt = record.doubt
    completes = record.intent.completes if record.intent else frozenset()
    for side in sides:
        until = doubt_until(start, timing, completes=side in completes)
        doubt = doubt.with_side(side, max(until, doubt[side] or until))
    return replace(record, doubt=doubt)


def doubt_seconds(record: Record, now: float, sides: Iterable[Side] = BOTH_SIDES) -> float:
    """Return in how many seconds the first of those sides is out of doubt."""
    return max(0.0, min((record.doubt[side] or now) - now for side in sides))


# -- the lease (rule 2) -------------------------------------------------------------------------


def is_own(record: Record | None, token: str) -> bool:
    """Rule 2: whether the intent is still the holder's own; every commit asks."""
    return record is not None and record.intent is not None and record.intent.token == token


def lease_held(intent: Intent, now: float) -> bool:
    """Rule 2: one mutation of a key at a time, for as long as its lease lasts."""
    return intent.lease_until > now


def may_take_over(intent: Intent, waited: float, timing: Timing) -> bool:
    """Rule 2: a writer does not wait long for a copier."""
    return intent.operation is Operation.COPY and waited >= timing.copier_wait


def announced_into_doubt(intent: Intent) -> frozenset[Side]:
    """Rules 2 and 6: every announced side of an intent that ends unfinished is in doubt."""
    return intent.announced


def recover(record: Record, now: float, timing: Timing) -> Record | None:
    """End an intent whose holder is gone, or whose copier is taken over from.

    Nothing else is undone: the authority knows what it took.
    """
    intent = record.intent
    if intent is None:
        return record
    if not intent.announced and intent.opened and record.paired:
        return None
    sides = announced_into_doubt(intent)
    start = doubt_start(now, intent.lease_until)
    hit = record.authority in intent.announced
    deleting = record.deleting or recovered_deleting(intent, hit=hit)
    return replace(
        with_doubt(record, sides, start, timing),
        intent=None,
        digest=None if hit else record.digest,
        deleting=deleting,
    )


def recovered_deleting(intent: Intent, *, hit: bool) -> bool:
    """Rule 7: a delete of unknown outcome may be carried over to the other side."""
    return hit and intent.operation is Operation.DELETE


# -- marking (rule 1) ---------------------------------------------------------------------------


def mark(look: Look, ask: Ask, timing: Timing) -> Decision[Marked | Wait]:
    """Rule 1: record the key durably before the first request leaves."""
    now = look.now
    until = look.migration.completing_until
    if until is not None and until > now and not look.migration.completed:
        return Decision(look.record, Wait(reason=Reason.COMPLETING, seconds=until - now))
    record = look.record
    if record is not None and record.intent is not None:
        intent = record.intent
        if lease_held(intent, now) and not may_take_over(intent, ask.waited, timing):
            copier = intent.operation is Operation.COPY
            reason = Reason.COPIER if copier else Reason.LEASE
            return Decision(record, Wait(reason=reason, seconds=intent.lease_until - now))
        record = recover(record, now, timing)
    primary = choose_primary(look, record, ask.routed)
    if primary is None:
        assert record is not None
        sides = (Side.TARGET,) if look.migration.completed else BOTH_SIDES
        seconds = doubt_seconds(record, now, sides)
        return Decision(record, Wait(reason=Reason.DOUBT, seconds=seconds, sides=sides))
    if record is not None and ask.conditional and not condition_may_be_judged(record, now):
        sides = (record.authority,)
        seconds = doubt_seconds(record, now, sides)
        return Decision(record, Wait(reason=Reason.DOUBT, seconds=seconds, sides=sides))
    return take(look, record, primary, ask, timing)


def choose_primary(look: Look, record: Record | None, routed: Side) -> Side | None:
    """Return the side to send to first, or None while all that may be sent to are in doubt."""
    if look.migration.completed:
        blocked = record is not None and not sendable_after_complete(record, look.now)
        return None if blocked else Side.TARGET
    wanted = routed if look.sealed else next(iter(closed_sides(sealed=False)), routed)
    if record is None:
        return wanted
    return next((s for s in (wanted, wanted.other) if sendable(record, s, look.now)), None)


def sendable_after_complete(record: Record, now: float) -> bool:
    """Rule 9: a target in doubt makes writers wait after `complete` too."""
    return not in_doubt(record, Side.TARGET, now)


def condition_may_be_judged(record: Record, now: float) -> bool:
    """Rule 8: a caller's condition waits for the authority to be out of doubt."""
    return not in_doubt(record, record.authority, now)


def judging_sides(marked: Marked) -> tuple[Side, ...]:
    """Rule 8: a tag holds if it is the authority's, or another's that was current until now."""
    authority = marked.authority
    return (authority, authority.other) if marked.both_current else (authority,)


def mirror_of(mirror: Mirror, *, verified: bool) -> Mirror:
    """Return what `AUTO` means: synchronous once either side can answer for every key."""
    if mirror is not Mirror.AUTO:
        return mirror
    return Mirror.SYNC if verified else Mirror.ASYNC


def intent_of(record: Record | None) -> Intent | None:
    """Return the intent under way, if any."""
    return None if record is None else record.intent


def take(
    look: Look, record: Record | None, primary: Side, ask: Ask, timing: Timing
) -> Decision[Marked | Wait]:
    """Write the intent into the record; a closed key takes the primary as its authority."""
    completed = look.migration.completed
    opened = record is None
    if record is None:
        record = Record(authority=primary, paired=look.sealed and not completed, since=look.now)
    announced = {primary}
    other_free = not completed and sendable(record, primary.other, look.now)
    if ask.mirror is Mirror.PARALLEL and other_free:
        announced.add(primary.other)
    intent = Intent(
        token=ask.token,
        holder=ask.holder,
        lease_until=look.now + timing.lease,
        operation=ask.operation,
        digest=ask.digest,
        announced=announced_at_mark(announced),
        opened=opened,
        completes=ask.completes,
    )
    marked = Marked(
        token=ask.token,
        authority=record.authority,
        primary=primary,
        announced=frozenset(announced),
        both_current=opened and look.sealed and not completed,
        digest=record.digest,
        deleting=record.deleting,
        sealed=look.sealed,
        completed=completed,
        mirror=ask.mirror,
        other_free=other_free,
        took_over=intent_of(look.record) is not None,
    )
    return Decision(replace(record, intent=intent), marked)


def announced_at_mark(sides: Iterable[Side]) -> frozenset[Side]:
    """Rule 1: every side that a request may go to stands in the intent."""
    return frozenset(sides)


def announce(look: Look, token: str, side: Side) -> Decision[bool]:
    """Rule 1: one more side for the intent; refused when it is in doubt or not the holder's."""
    record = look.record
    if record is None or record.intent is None or not is_own(record, token):
        return Decision(record, answer=False)
    if look.migration.completed or not sendable(record, side, look.now):
        return Decision(record, answer=False)
    sides = announced_at_mark(record.intent.announced | {side})
    return Decision(replace(record, intent=replace(record.intent, announced=sides)), answer=True)


def renew(look: Look, token: str, timing: Timing) -> Decision[bool]:
    """Rule 2: extend the lease of an intent that is still the holder's own."""
    record = look.record
    if record is None or record.intent is None or not is_own(record, token):
        return Decision(record, answer=False)
    intent = replace(record.intent, lease_until=look.now + timing.lease)
    return Decision(replace(record, intent=intent), answer=True)


# -- the commit (rules 5, 6 and 7) -------------------------------------------------------------


def authority_after(record: Record, outcomes: Pair[Outcome]) -> Side:
    """Rule 5: the authority stays if it took the write, else moves to the side that did."""
    for side in (record.authority, record.authority.other):
        if outcomes[side].taken:
            return side
    return record.authority


def acknowledges_early(authority: Side, outcomes: Pair[Outcome]) -> bool:
    """Rule 5: the authority itself took the write: nothing moves, no commit is waited for."""
    return outcomes[authority].taken


def commit(look: Look, token: str, outcomes: Pair[Outcome], timing: Timing) -> Decision[bool]:
    """End an intent with what its requests brought; the answer is whether it was still its own."""
    record = look.record
    if record is None or not is_own(record, token):
        return Decision(record, answer=False)
    operation = record.intent.operation if record.intent else Operation.PUT
    digest = record.intent.digest if record.intent else None
    unsure = [side for side in BOTH_SIDES if left_in_doubt(outcomes[side])]
    doubted = with_doubt(record, unsure, look.now, timing)
    authority = authority_after(record, outcomes)
    taken = [side for side in BOTH_SIDES if outcomes[side].taken]
    both = len(taken) == len(BOTH_SIDES)
    if both and not look.migration.completed and no_doubt_left(doubted, look.now):
        return closed(look)
    new = replace(
        doubted,
        authority=authority,
        intent=None,
        digest=digest_after(record, authority, outcomes, digest),
        mark=mark_after(record, took=bool(taken)),
        attempts=0 if taken else record.attempts,
        next_attempt=0.0 if taken else record.next_attempt,
    )
    deleting = deleting_after(new, operation, outcomes[authority], bool(taken), look.now)
    new = replace(new, deleting=deleting)
    if look.migration.completed:
        return Decision(None if no_doubt_left(new, look.now) else new, answer=True)
    if not taken and not unsure and goes_back_to_closed(record):
        return Decision(None, answer=True)
    return Decision(new, answer=True)


def closed(look: Look) -> Decision[bool]:
    """Close a key that both sides took; if it was an extra before, it is none any more."""
    return Decision(None, answer=True, extra=False if look.extra else None)


def digest_after(
    record: Record, authority: Side, outcomes: Pair[Outcome], digest: Digest | None
) -> Digest | None:
    """Rule 7: what the authority took last for certain; unknown after an unknown outcome."""
    outcome = outcomes[authority]
    if outcome.taken:
        return digest
    return None if outcome is Outcome.UNKNOWN else record.digest


def deleting_after(
    new: Record,
    operation: Operation,
    outcome: Outcome,
    taken: bool,  # noqa: FBT001
    now: float,
) -> bool:
    """Rule 7: a delete was sent to the authority since it last took a put for certain."""
    deletes = operation is Operation.DELETE
    if deletes and delete_may_show(outcome):
        return True
    return new.deleting and (deletes or not taken or in_doubt(new, new.authority, now))


def delete_may_show(outcome: Outcome) -> bool:
    """Rule 7: a delete that was sent and not refused for certain may have taken effect."""
    return outcome not in (Outcome.NOT_SENT, Outcome.REFUSED)


def mark_after(record: Record, *, took: bool) -> Mark | None:
    """Rule 7: a mark goes only when a put or delete was taken for certain, or by repair."""
    return None if took else record.mark


def goes_back_to_closed(record: Record) -> bool:
    """Rule 7: only the intent that opened a paired key closes it without a copy."""
    return record.intent is not None and record.intent.opened and record.paired


# -- the copier: mirror, backfill, repair --------------------------------------------------------


def copy_refusal(look: Look) -> Wait | None:
    """Say why the key is not to be copied now; None when it is."""
    record = look.record
    if record is None:
        return None
    if record.intent is not None and lease_held(record.intent, look.now):
        return Wait(reason=Reason.LEASE, seconds=record.intent.lease_until - look.now)
    if left_alone(record):
        return Wait(reason=Reason.MARKED)
    if not no_doubt_left(record, look.now):
        seconds = max((record.doubt[s] or look.now) - look.now for s in BOTH_SIDES)
        return Wait(reason=Reason.DOUBT, seconds=seconds)
    return None


def left_alone(record: Record) -> bool:
    """Rule 7: the copier leaves a marked key alone."""
    return record.mark is not None


def nothing_to_copy(look: Look) -> Decision[Marked | Wait]:
    """Leave the key as it is."""
    return Decision(look.record, Wait(reason=Reason.NOTHING))


def mark_copy(look: Look, ask: Ask, timing: Timing) -> Decision[Marked | Wait]:
    """Take the lease for a copy from the authority, and announce the side across.

    A key without a record is backfill's: only where its range is not sealed, from the source.
    """
    record = look.record
    completing = look.migration.completing_until
    if look.migration.completed or (record is None and look.sealed):
        return Decision(record, Wait(reason=Reason.NOTHING))
    if record is None and completing is not None and completing > look.now:
        return Decision(record, Wait(reason=Reason.COMPLETING, seconds=completing - look.now))
    if record is not None and record.intent and not lease_held(record.intent, look.now):
        record = recover(record, look.now, timing)
        look = replace(look, record=record)
        if record is None:
            return Decision(None, Wait(reason=Reason.NOTHING))
    refusal = copy_refusal(look)
    if refusal is not None:
        return Decision(record, refusal)
    if record is None:
        record = Record(authority=Side.SOURCE, paired=False, since=look.now)
    to = record.authority.other
    intent = Intent(
        token=ask.token,
        holder=ask.holder,
        lease_until=look.now + timing.lease,
        operation=Operation.COPY,
        digest=None,
        announced=announced_at_mark((to,)),
        opened=False,
        completes=ask.completes,
    )
    marked = Marked(
        token=ask.token,
        authority=record.authority,
        primary=to,
        announced=frozenset((to,)),
        both_current=False,
        digest=record.digest,
        deleting=record.deleting,
        sealed=look.sealed,
        completed=False,
    )
    return Decision(replace(record, intent=intent), marked)


def commit_and_mark_copy(
    look: Look, commit: Callable[[Look], Decision[bool]], ask: Ask, timing: Timing
) -> Decision[Marked | Wait]:
    """Commit a write and take the lease for its copy in one transaction, as if in two."""
    done = commit(look)
    if done.record is None:
        return Decision(None, Wait(reason=Reason.NOTHING), extra=done.extra)
    then = mark_copy(replace(look, record=done.record), ask, timing)
    return Decision(then.record, then.answer, extra=done.extra)


def is_damaged(known: Digest | None, found: Digest, kept: frozenset[str]) -> bool:
    """Rule 7: what the copier reads must be what the authority took, where that is known."""
    if known is None:
        return False
    if known is ABSENT or found is ABSENT or ABSENT in (known, found):
        return known != found
    return not known.same(found, kept)


def only_target_holds(marked: Marked) -> bool:
    """Rule 7: the target's object of a range not sealed is nobody's write unless `deleting`.

    Asked when the source was found to hold nothing: what the target may hold is then its alone.
    """
    return marked.authority is Side.SOURCE and not marked.sealed and not marked.deleting


def leave_extra(look: Look, token: str) -> Decision[bool]:
    """Rule 7: leave what only the target holds alone; in one transaction it becomes an extra."""
    record = look.record
    if record is None or not is_own(record, token):
        return Decision(record, answer=False)
    return Decision(None, answer=True, extra=noted_extra())


def noted_extra() -> bool | None:
    """Rule 7: an extra is noted, and keeps its range from being sealed."""
    return True


def mark_damaged(look: Look, token: str, tags: Pair[str | None]) -> Decision[bool]:
    """Rule 7: nothing is copied of a key whose authority holds not what it took."""
    return set_mark(look, token, MarkKind.DAMAGED, tags)


def set_mark(look: Look, token: str, kind: MarkKind, tags: Pair[str | None]) -> Decision[bool]:
    """End a copier's own intent, to which nothing was sent, with a mark on the record."""
    record = look.record
    if record is None or not is_own(record, token):
        return Decision(record, answer=False)
    found = Mark(kind=kind, tags=tags, since=look.now)
    return Decision(replace(record, intent=None, mark=found), answer=True)


def commit_copy(
    look: Look, token: str, outcome: Outcome, timing: Timing, retry_seconds_max: float
) -> Decision[bool]:
    """End a copier's intent: closed if the side took the copy and no doubt is left."""
    record = look.record
    if record is None or record.intent is None or not is_own(record, token):
        return Decision(record, answer=False)
    to = record.authority.other
    unsure = [to] if left_in_doubt(outcome) else []
    doubted = with_doubt(record, unsure, look.now, timing)
    if outcome.taken and no_doubt_left(doubted, look.now):
        return closed(look)
    pause = min(COPY_RETRY_SECONDS * 2.0 ** min(record.attempts, 30), retry_seconds_max)
    next_attempt = look.now + pause
    new = replace(doubted, intent=None, attempts=record.attempts + 1, next_attempt=next_attempt)
    return Decision(new, answer=True)


def drop_finished(look: Look) -> Decision[bool]:
    """Rule 9: after `complete` a record goes when it has neither intent nor doubt."""
    record = look.record
    if record is None or not look.migration.completed:
        return Decision(record, answer=False)
    if record.intent is not None or not no_doubt_left(record, look.now):
        return Decision(record, answer=False)
    return Decision(None, answer=True)


def recover_lapsed(look: Look, timing: Timing) -> Decision[str | None]:
    """Recovery: end the intent if its lease lapsed; the answer is its token, else None."""
    record = look.record
    if record is None or record.intent is None or lease_held(record.intent, look.now):
        return Decision(record, answer=None)
    return Decision(recover(record, look.now, timing), answer=record.intent.token)


# -- ranges (rules 7 and 9) ----------------------------------------------------------------------


def seal_refusal(now: float, begun_at: float | None, compared_from: float, settle: float) -> str:
    """Say why a comparison that began at ``compared_from`` does not count for a seal; "" if not.

    Attributes of time: `begin` plus the longest that an older request may still land, plus the
    lag that either side's listings declare (``settle``).
    """
    if begun_at is None:
        return "the operator has not said begin: writers may still go past the facade"
    if compared_from < begun_at + settle:
        left = begun_at + settle - compared_from
        return f"writers that began before begin may still land for {left:.0f} s"
    if compared_from > now:
        return "the comparison lies in the future"
    return ""


def may_seal(interval: Interval, differing: Mapping[str, bool]) -> bool:
    """A range is sealed when each listed object is the same on both sides, or its key is open.

    Args:
        interval: the range's open keys and extras at the seal.
        differing: keys found different, with whether the target alone holds them.
    """
    if extras_bar_seal(interval):
        return False
    opened = {key for key, _ in interval.records}
    return all(key in opened and not alone for key, alone in differing.items())


def extras_bar_seal(interval: Interval) -> bool:
    """Rule 7: a range with an extra stays unsealed until repair decides."""
    return bool(interval.extras)


# -- complete (rule 9) ---------------------------------------------------------------------------


def complete_refusal(census: Census, timing: Timing) -> str:
    """Rule 9: say what stands in the way of `complete`; "" when nothing does."""
    row = census.migration
    if census.unsealed:
        return f"{counted(census.unsealed, 'range is', 'ranges are')} not sealed"
    if census.extras:
        return f"{counted(census.extras, 'key is', 'keys are')} held by the target alone"
    refusal = proofs.refusal(row)
    if refusal:
        return refusal
    if row.proof is not None and census.now - row.proof.ended_at > timing.proof_age_max:
        return "the last verification is too old"
    return open_refusal(census)


def open_refusal(census: Census) -> str:
    """Rule 9: complete only when no key is open."""
    open_keys = counted(census.open_count, "key is", "keys are")
    return f"{open_keys} open" if census.open_count else ""


def only_open(census: Census, timing: Timing) -> bool:
    """Tell whether open keys alone stand in the way of `complete`, so that waiting may help."""
    return bool(census.open_count) and not complete_refusal(replace(census, open_count=0), timing)
