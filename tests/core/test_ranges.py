from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.core.ranges import is_empty, meeting, range_of, sealed_over
from crossfade.core.records import WHOLE, KeyRange
from crossfade.errors import InvariantError

KEYS = ["", "a", "a\0", "aa", "b", "c", "\ud7ff", "\ue000", "\uffff", "\U00010000"]
keys = st.sampled_from(KEYS)
intervals = st.tuples(keys, st.none() | keys)


def holds(start: str, end: str | None, key: str) -> bool:
    return start <= key and (end is None or key < end)


@given(st.lists(intervals, max_size=8))
def test_sealing_is_what_it_is_key_by_key(steps: list[tuple[str, str | None]]) -> None:
    ranges: tuple[KeyRange, ...] = (WHOLE,)
    for start, end in steps:
        ranges = sealed_over(ranges, start, end)
    for key in KEYS:
        assert range_of(ranges, key).sealed == any(holds(*step, key) for step in steps)
    assert ranges[0].start == ""
    assert ranges[-1].end is None
    for left, right in itertools.pairwise(ranges):
        assert left.end == right.start
        assert left.sealed != right.sealed


@given(st.lists(intervals, max_size=6), intervals)
def test_ranges_meet_an_interval_if_they_share_a_key(
    steps: list[tuple[str, str | None]], interval: tuple[str, str | None]
) -> None:
    ranges: tuple[KeyRange, ...] = (WHOLE,)
    for start, end in steps:
        ranges = sealed_over(ranges, start, end)
    start, end = interval
    met = meeting(ranges, start, end)
    expected = [
        known
        for known in ranges
        if not is_empty(max(known.start, start), known.end)
        and not is_empty(max(known.start, start), end)
    ]
    assert list(met) == ([] if is_empty(start, end) else expected)


def test_a_key_outside_of_all_ranges_is_a_bug() -> None:
    with pytest.raises(InvariantError, match="no range"):
        range_of((KeyRange(start="b", end="c"),), "c")
    with pytest.raises(InvariantError, match="no range"):
        range_of((), "c")
