"""Large bodies: they are staged where a mark sends them, and what was read before is checked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_protocol import DIGEST, NOW, ROW, TIMING, asks, looks, outcomes, records

from crossfade.core import protocol, staging
from crossfade.core.capabilities import Capabilities
from crossfade.core.intents import Ask, Marked, Outcome, Wait
from crossfade.core.objects import ATTRIBUTE_NAMES, BOTH_SIDES, Attributes, ObjectInfo, Pair, Side
from crossfade.core.records import Intent, Look, Operation, Record
from crossfade.core.settings import Mirror, Timing

COPY = Ask(token="new", holder="h", operation=Operation.COPY, digest=None)
LATE = replace(TIMING, late_complete_max=600.0)
INFO = ObjectInfo(key="k", size=3, etag="t", attributes=Attributes(content_type="a/b"))


def free(look: Look) -> bool:
    """Tell whether nobody has an intent on the key."""
    return look.record is None or look.record.intent is None


@given(looks.filter(free), asks)
def test_a_body_is_staged_where_a_mark_would_send_it(look: Look, ask: Ask) -> None:
    sides = staging.sides_to_stage(look, ask)
    marked = protocol.mark(look, replace(ask, conditional=False), TIMING).answer
    if isinstance(marked, Wait):
        assert sides == ()
        return
    assert sides[0] is marked.primary
    assert marked.announced <= set(sides)
    mirrored = ask.mirror is not Mirror.ASYNC and marked.other_free
    assert (marked.primary.other in sides) is mirrored
    assert staging.may_fall_back(look, marked.primary) is marked.other_free


@given(looks.filter(free), st.booleans())
def test_a_copy_is_read_from_the_side_that_its_mark_would_name(look: Look, backfill: bool) -> None:
    side = staging.copied_from(look, backfill=backfill)
    marked = protocol.mark_copy(look, COPY, TIMING).answer
    if look.record is None and not backfill:
        assert isinstance(side, Wait)
    elif isinstance(marked, Wait):
        assert isinstance(side, Wait)
        assert side.reason is marked.reason
    else:
        assert side is marked.authority


@given(looks)
def test_a_key_that_somebody_holds_is_not_read_for_a_copy(look: Look) -> None:
    if not free(look):
        assert isinstance(staging.copied_from(look, backfill=True), Wait)


def marked_from(authority: Side) -> Marked:
    look = Look("k", Record(authority=authority), sealed=True, migration=ROW, now=NOW)
    answer = protocol.mark_copy(look, COPY, TIMING).answer
    assert isinstance(answer, Marked)
    return answer


@pytest.mark.parametrize(
    ("found", "stands"),
    [
        (INFO, True),
        (replace(INFO, modified=None, sha256="d"), True),
        (None, False),
        (replace(INFO, etag="u"), False),
        (replace(INFO, size=4), False),
        (replace(INFO, attributes=Attributes(content_type="a/c")), False),
        (replace(INFO, attributes=None), False),
        (
            replace(INFO, attributes=replace(INFO.attributes or Attributes(), metadata={"a": ""})),
            False,
        ),
    ],
)
def test_what_was_read_counts_only_if_it_is_still_there(
    found: ObjectInfo | None, stands: bool
) -> None:
    marked = marked_from(Side.TARGET)
    check = partial(staging.copy_stands, marked, read=INFO, found=found, kept=ATTRIBUTE_NAMES)
    assert check(side=Side.TARGET) is stands
    assert check(side=Side.SOURCE) is False


def test_what_a_side_does_not_keep_is_not_compared() -> None:
    found = replace(INFO, attributes=Attributes(content_type="other"))
    assert staging.same_version(INFO, found, frozenset())
    bare = replace(INFO, attributes=None)
    assert staging.same_version(bare, bare, ATTRIBUTE_NAMES)


@given(looks)
def test_a_mark_that_is_put_back_leaves_the_key_as_it_was(look: Look) -> None:
    decision = staging.put_back(look, "mine")
    if not decision.answer:
        assert decision.record is look.record
        return
    assert look.record is not None
    assert decision.record == replace(look.record, intent=None)


@given(looks, st.floats(0, 100))
def test_putting_off_changes_nothing_but_when_others_try(look: Look, seconds: float) -> None:
    new = staging.put_off(look, seconds).record
    if look.record is None or look.record.intent is not None:
        assert new is look.record
        return
    assert new is not None
    assert new.next_attempt >= max(NOW + seconds, look.record.next_attempt)
    assert replace(new, next_attempt=0.0) == replace(look.record, next_attempt=0.0)


completes = st.sets(st.sampled_from(BOTH_SIDES)).map(frozenset)


def holding(record: Record, sides: frozenset[Side]) -> Record:
    intent = Intent(
        token="mine",
        holder="h",
        lease_until=NOW - 1,
        operation=Operation.PUT,
        digest=DIGEST,
        announced=frozenset(BOTH_SIDES),
        opened=False,
        completes=sides,
    )
    return replace(record, intent=intent)


def least(side: Side, sides: frozenset[Side]) -> float:
    late = LATE.late_complete_max if side in sides else LATE.late_max
    return NOW + late + LATE.look_max


@given(records, completes, outcomes, outcomes)
def test_what_puts_parts_together_leaves_longer_doubt(
    record: Record, sides: frozenset[Side], at_source: Outcome, at_target: Outcome
) -> None:
    look = Look("k", holding(record, sides), sealed=True, migration=ROW, now=NOW)
    became = Pair(at_source, at_target)
    new = protocol.commit(look, "mine", became, LATE).record
    unsure = [side for side in BOTH_SIDES if protocol.left_in_doubt(became[side])]
    assert new is not None or not unsure
    for side in unsure:
        assert new is not None
        assert (new.doubt[side] or 0.0) >= least(side, sides)


@given(records, completes)
def test_recovery_leaves_it_too(record: Record, sides: frozenset[Side]) -> None:
    new = protocol.recover(holding(record, sides), NOW, LATE)
    assert new is not None
    assert all((new.doubt[side] or 0.0) >= least(side, sides) for side in BOTH_SIDES)


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_longer_doubt_is_never_the_shorter_one(late: float, complete: float) -> None:
    timing = Timing(late_max=late, late_complete_max=complete)
    assert protocol.lands_within(timing, completes=True) >= late
    assert protocol.lands_within(timing, completes=False) == late


def test_only_bodies_of_the_declared_size_are_staged() -> None:
    side = Capabilities(staged_bytes_min=5)
    assert [side.stages(size) for size in (None, -1, 0, 4, 5, 6)] == [False] * 4 + [True] * 2
    assert not Capabilities().stages(1 << 40)
