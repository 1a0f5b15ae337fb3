"""Properties of the rules that hold for every record, whatever led to it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from crossfade.core import protocol
from crossfade.core.intents import Ask, Marked, Outcome, Wait
from crossfade.core.objects import ABSENT, BOTH_SIDES, Digest, Pair, Side
from crossfade.core.records import Intent, Look, Mark, MarkKind, MigrationRow, Operation, Record
from crossfade.core.settings import Mirror, Timing

TIMING = Timing(lease=30.0, late_max=120.0, look_max=30.0)
NOW = 1_000.0
ROW = MigrationRow(name="m", source="s", target="t", salt="x", algorithm="a")
TAGS: Pair[str | None] = Pair("a", "b")
DIGEST = Digest(sha256="d", size=1)

sides = st.sampled_from(BOTH_SIDES)
outcomes = st.sampled_from(list(Outcome))
times = st.one_of(st.none(), st.floats(NOW - 200, NOW + 200))
announced = st.sampled_from(
    [frozenset[Side](), frozenset({Side.SOURCE}), frozenset({Side.TARGET}), frozenset(BOTH_SIDES)]
)
intents = st.builds(
    Intent,
    token=st.sampled_from(["mine", "other"]),
    holder=st.just("h"),
    lease_until=st.floats(NOW - 50, NOW + 50),
    operation=st.sampled_from(list(Operation)),
    digest=st.sampled_from([None, DIGEST, ABSENT]),
    announced=announced,
    opened=st.booleans(),
)
marks = st.one_of(
    st.none(),
    st.builds(
        Mark,
        kind=st.sampled_from(list(MarkKind)),
        tags=st.just(TAGS),
        since=st.just(0.0),
    ),
)
records = st.builds(
    Record,
    authority=sides,
    intent=st.one_of(st.none(), intents),
    doubt=st.builds(Pair, times, times),
    paired=st.booleans(),
    deleting=st.booleans(),
    digest=st.sampled_from([None, DIGEST, ABSENT]),
    mark=marks,
)
looks = st.builds(
    Look,
    key=st.just("k"),
    record=st.one_of(st.none(), records),
    sealed=st.booleans(),
    migration=st.sampled_from([ROW, replace(ROW, completed=True)]),
    now=st.just(NOW),
)
asks = st.builds(
    Ask,
    token=st.just("new"),
    holder=st.just("h"),
    operation=st.sampled_from([Operation.PUT, Operation.DELETE]),
    digest=st.just(DIGEST),
    routed=sides,
    mirror=st.sampled_from([Mirror.ASYNC, Mirror.SYNC, Mirror.PARALLEL]),
    conditional=st.booleans(),
    waited=st.sampled_from([0.0, 10.0]),
)


@given(looks, asks)
def test_a_mark_never_sends_to_a_side_in_doubt_and_announces_what_it_sends_to(
    look: Look, ask: Ask
) -> None:
    decision = protocol.mark(look, ask, TIMING)
    if isinstance(decision.answer, Wait):
        return
    marked, record = decision.answer, decision.record
    assert record is not None
    assert record.intent is not None
    assert marked.primary in record.intent.announced == marked.announced
    assert not any(protocol.in_doubt(record, side, NOW) for side in marked.announced)
    if look.migration.completed:
        assert marked.announced == {Side.TARGET}


@given(looks, asks)
def test_a_mark_never_takes_a_key_from_a_living_writer(look: Look, ask: Ask) -> None:
    intent = look.record.intent if look.record else None
    decision = protocol.mark(look, ask, TIMING)
    if intent is None or intent.operation is Operation.COPY or intent.lease_until <= NOW:
        return
    assert isinstance(decision.answer, Wait)
    assert decision.record == look.record


@given(looks, asks)
def test_a_mark_keeps_the_authority_and_every_doubt_of_an_open_key(look: Look, ask: Ask) -> None:
    decision = protocol.mark(look, ask, TIMING)
    if look.record is None or decision.record is None:
        return
    if not isinstance(decision.answer, Marked) or decision.answer.both_current:
        return
    if decision.record.since == NOW and not look.record.since:
        return  # the lapsed intent took its record with it, and this one opened the key anew
    assert decision.record.authority is look.record.authority
    for side in BOTH_SIDES:
        assert (decision.record.doubt[side] or 0) >= (look.record.doubt[side] or 0)


@given(looks, outcomes, outcomes)
def test_a_commit_closes_only_what_both_took_or_what_nobody_touched(
    look: Look, at_source: Outcome, at_target: Outcome
) -> None:
    decision = protocol.commit(look, "mine", Pair(at_source, at_target), TIMING)
    if not decision.answer:
        assert decision.record == look.record
        return
    assert look.record is not None
    if decision.record is None and not look.migration.completed:
        both = at_source.taken and at_target.taken
        nobody = {at_source, at_target} <= {Outcome.NOT_SENT, Outcome.REFUSED}
        assert both or (nobody and look.record.paired)
        assert not protocol.any_doubt(look.record, NOW) or nobody


@given(looks, outcomes, outcomes, st.booleans())
def test_a_commit_and_a_copy_s_mark_together_are_one_after_the_other(
    look: Look, at_source: Outcome, at_target: Outcome, extra: bool
) -> None:
    look = replace(look, extra=extra)
    ask = Ask(token="copy", holder="h", operation=Operation.COPY, digest=None)
    commit = partial(
        protocol.commit, token="mine", outcomes=Pair(at_source, at_target), timing=TIMING
    )
    first = commit(look)
    second = protocol.mark_copy(replace(look, record=first.record), ask, TIMING)
    if first.record is None:
        second = protocol.nothing_to_copy(replace(look, record=None))
    together = protocol.commit_and_mark_copy(look, commit, ask, TIMING)
    assert (together.record, together.answer) == (second.record, second.answer)
    assert together.extra == first.extra


@given(looks, outcomes, outcomes)
def test_a_commit_leaves_doubt_for_every_unsure_side_and_shortens_none(
    look: Look, at_source: Outcome, at_target: Outcome
) -> None:
    pair = Pair(at_source, at_target)
    decision = protocol.commit(look, "mine", pair, TIMING)
    if not decision.answer or decision.record is None or look.record is None:
        return
    for side in BOTH_SIDES:
        was, now = look.record.doubt[side], decision.record.doubt[side]
        assert (now or 0) >= (was or 0)
        if pair[side] in (Outcome.UNKNOWN, Outcome.OK_AFTER_UNKNOWN):
            assert (now or 0) >= NOW + TIMING.late_max + TIMING.look_max


@given(looks, outcomes, outcomes)
def test_the_authority_moves_only_to_a_side_that_took_the_write(
    look: Look, at_source: Outcome, at_target: Outcome
) -> None:
    pair = Pair(at_source, at_target)
    decision = protocol.commit(look, "mine", pair, TIMING)
    if not decision.answer or decision.record is None or look.record is None:
        return
    if decision.record.authority is not look.record.authority:
        assert pair[decision.record.authority].taken
        assert not pair[look.record.authority].taken


@given(records)
def test_recovery_forgets_nothing_that_may_still_land(record: Record) -> None:
    recovered = protocol.recover(record, NOW, TIMING)
    intent = record.intent
    if intent is None:
        assert recovered == record
        return
    if recovered is None:
        assert not intent.announced
        assert intent.opened
        assert record.paired
        return
    assert recovered.intent is None
    assert recovered.authority is record.authority
    for side in intent.announced:
        least = max(NOW, intent.lease_until) + TIMING.late_max + TIMING.look_max
        assert (recovered.doubt[side] or 0) >= least


@given(looks)
def test_only_a_side_that_may_answer_is_current(look: Look) -> None:
    current = protocol.current_sides(look)
    assert current
    if look.migration.completed:
        assert current == {Side.TARGET}
    elif look.record is not None:
        assert current == {look.record.authority}
    else:
        assert (Side.TARGET in current) is look.sealed
    for routed in BOTH_SIDES:
        assert protocol.first_side(look, routed) in current


@given(looks, st.sampled_from(["new"]))
def test_a_copier_takes_no_key_that_is_marked_in_doubt_or_held(look: Look, token: str) -> None:
    ask = Ask(token=token, holder="h", operation=Operation.COPY, digest=None)
    decision = protocol.mark_copy(look, ask, TIMING)
    if not isinstance(decision.answer, Marked):
        return
    assert not look.migration.completed
    if look.record is None:
        assert not look.sealed
        return
    assert look.record.mark is None
    assert look.record.intent is None or look.record.intent.lease_until <= NOW
    assert decision.record is not None
    assert protocol.no_doubt_left(decision.record, NOW)
    assert decision.answer.announced == {look.record.authority.other}
