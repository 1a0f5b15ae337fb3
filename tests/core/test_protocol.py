"""Properties of the rules that hold for every record, and what single rules say."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.core import protocol
from crossfade.core.intents import Ask, Marked, Outcome, Wait
from crossfade.core.objects import ABSENT, BOTH_SIDES, Digest, Pair, Side
from crossfade.core.records import Intent, Look, Mark, MarkKind, MigrationRow, Operation, Record
from crossfade.core.settings import Mirror, Timing
from crossfade.testing.simulation.mutations import without

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


# -- single rules: what each says, and that its test fails without it ------------------------------


def intent(*, opened: bool = True) -> Intent:
    return Intent(
        token="mine",
        holder="h",
        lease_until=NOW + 30,
        operation=Operation.PUT,
        digest=DIGEST,
        announced=frozenset({Side.SOURCE}),
        opened=opened,
    )


def opened(record: Record) -> Look:
    return Look(key="k", record=record, sealed=True, migration=ROW, now=NOW)


def test_only_the_intent_that_opened_a_paired_key_closes_it_without_a_copy() -> None:
    both = Record(authority=Side.SOURCE, paired=True, intent=intent())
    assert protocol.goes_back_to_closed(both)
    assert not protocol.goes_back_to_closed(replace(both, paired=False))
    assert not protocol.goes_back_to_closed(replace(both, intent=intent(opened=False)))
    assert not protocol.goes_back_to_closed(replace(both, intent=None))
    refused = Pair(Outcome.REFUSED, Outcome.NOT_SENT)
    assert protocol.commit(opened(both), "mine", refused, TIMING).record is None
    unpaired = opened(replace(both, paired=False))
    assert protocol.commit(unpaired, "mine", refused, TIMING).record is not None


def test_a_read_that_takes_longer_between_its_looks_than_doubt_allows_is_too_late() -> None:
    assert not protocol.looked_too_late(TIMING.look_max, TIMING)
    assert protocol.looked_too_late(TIMING.look_max + 0.001, TIMING)


def test_a_mark_goes_only_when_something_was_taken_for_certain() -> None:
    mark = Mark(kind=MarkKind.DRIFT, tags=TAGS, since=0.0)
    marked = Record(authority=Side.SOURCE, intent=intent(opened=False), mark=mark)
    assert protocol.mark_after(marked, took=False) is mark
    assert protocol.mark_after(marked, took=True) is None
    unknown = Pair(Outcome.UNKNOWN, Outcome.NOT_SENT)
    kept = protocol.commit(opened(marked), "mine", unknown, TIMING).record
    assert kept is not None
    assert kept.mark is mark


def test_a_condition_is_judged_once_the_authority_is_out_of_doubt() -> None:
    record = Record(authority=Side.SOURCE, doubt=Pair(NOW + 1, None))
    assert not protocol.condition_may_be_judged(record, NOW)
    assert protocol.condition_may_be_judged(record, NOW + 1)
    assert protocol.condition_may_be_judged(replace(record, doubt=Pair(None, NOW + 1)), NOW)
    operation = Operation.PUT
    ask = Ask(token="new", holder="h", operation=operation, digest=DIGEST, conditional=True)
    assert isinstance(protocol.mark(opened(record), ask, TIMING).answer, Wait)


def test_a_commit_is_refused_unless_the_intent_is_the_holder_s_own() -> None:
    record = Record(authority=Side.SOURCE, intent=intent())
    assert protocol.is_own(record, "mine")
    assert not protocol.is_own(record, "other")
    assert not protocol.is_own(replace(record, intent=None), "mine")
    assert not protocol.is_own(None, "mine")
    refused = protocol.commit(opened(record), "other", Pair(Outcome.OK, Outcome.OK), TIMING)
    assert (refused.record, refused.answer) == (record, False)


def test_an_answer_counts_if_its_side_may_still_answer() -> None:
    closed = Look(key="k", record=None, sealed=True, migration=ROW, now=NOW)
    at_target = opened(Record(authority=Side.TARGET))
    assert protocol.still_current(closed, Side.SOURCE)
    assert protocol.still_current(at_target, Side.TARGET)
    assert not protocol.still_current(at_target, Side.SOURCE)
    assert not protocol.still_current(replace(closed, sealed=False), Side.TARGET)


def test_a_key_with_any_doubt_is_neither_copied_nor_closed() -> None:
    doubted = Record(authority=Side.SOURCE, doubt=Pair(None, NOW + 1))
    ask = Ask(token="copy", holder="h", operation=Operation.COPY, digest=None)
    assert isinstance(protocol.mark_copy(opened(doubted), ask, TIMING).answer, Wait)
    written = opened(replace(doubted, intent=intent(opened=False)))
    both = Pair(Outcome.OK, Outcome.OK)
    assert protocol.commit(written, "mine", both, TIMING).record is not None


def test_an_ok_after_an_attempt_of_unknown_outcome_leaves_doubt() -> None:
    record = Record(authority=Side.SOURCE, intent=intent(opened=False))
    taken = Pair(Outcome.OK_AFTER_UNKNOWN, Outcome.OK)
    kept = protocol.commit(opened(record), "mine", taken, TIMING).record
    assert kept is not None
    assert kept.doubt == Pair(NOW + TIMING.late_max + TIMING.look_max, None)
    assert protocol.outcome_of_attempts(Outcome.OK, unknown_before=True) is taken.source
    assert protocol.outcome_of_attempts(Outcome.OK, unknown_before=False) is Outcome.OK


RULES = {
    "paired": test_only_the_intent_that_opened_a_paired_key_closes_it_without_a_copy,
    "look_bound": test_a_read_that_takes_longer_between_its_looks_than_doubt_allows_is_too_late,
    "mark_stays": test_a_mark_goes_only_when_something_was_taken_for_certain,
    "condition_waits": test_a_condition_is_judged_once_the_authority_is_out_of_doubt,
    "fence": test_a_commit_is_refused_unless_the_intent_is_the_holder_s_own,
    "look_again": test_an_answer_counts_if_its_side_may_still_answer,
    "doubt_retry": test_an_ok_after_an_attempt_of_unknown_outcome_leaves_doubt,
    "doubt_copy": test_a_key_with_any_doubt_is_neither_copied_nor_closed,
}


@pytest.mark.parametrize("mutation", RULES)
def test_the_test_of_a_rule_fails_without_it(mutation: str) -> None:
    RULES[mutation]()
    with without(mutation), pytest.raises(AssertionError):
        RULES[mutation]()
