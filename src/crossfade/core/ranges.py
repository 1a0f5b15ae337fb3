"""Ranges of the key space: together they hold every key, and no two neighbours are alike.

Keys compare as text: the order of code points is the byte order of UTF-8. Every function takes
ranges in key order; where only a run of neighbours is given, the same run comes back.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from crossfade.core.records import KeyRange
from crossfade.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_start = attrgetter("start")


def is_empty(start: str, end: str | None) -> bool:
    """Tell whether no key lies in ``start <= key < end``."""
    return end is not None and end <= start


def range_index(ranges: Sequence[KeyRange], key: str) -> int:
    """Return the index of the range that holds the key."""
    index = bisect_right(ranges, key, key=_start) - 1
    if index < 0 or not ranges[index].holds(key):
        message = f"no range holds the key {key!r}"
        raise InvariantError(message)
    return index


def range_of(ranges: Sequence[KeyRange], key: str) -> KeyRange:
    """Return the range that holds the key."""
    return ranges[range_index(ranges, key)]


def meeting(ranges: Sequence[KeyRange], start: str, end: str | None) -> tuple[KeyRange, ...]:
    """Return the ranges that share a key with ``start <= key < end``, whole."""
    if is_empty(start, end):
        return ()
    first = range_index(ranges, start)
    last = len(ranges)
    if end is not None:
        while last > first and ranges[last - 1].start >= end:
            last -= 1
    return tuple(ranges[first:last])


def sealed_over(ranges: Sequence[KeyRange], start: str, end: str | None) -> tuple[KeyRange, ...]:
    """Seal ``start <= key < end``: split what reaches out of it, merge alike neighbours."""
    if is_empty(start, end):
        return tuple(ranges)
    return merged([piece for known in ranges for piece in _pieces(known, start, end)])


def merged(ranges: Sequence[KeyRange]) -> tuple[KeyRange, ...]:
    """Join neighbours that are both sealed, or both not."""
    joined: list[KeyRange] = []
    for known in ranges:
        if joined and joined[-1].sealed == known.sealed:
            joined[-1] = replace(joined[-1], end=known.end)
        else:
            joined.append(known)
    return tuple(joined)


def _pieces(known: KeyRange, start: str, end: str | None) -> Iterator[KeyRange]:
    """Cut a range at both bounds; what lies between them is sealed."""
    left = KeyRange(start=known.start, end=_lower(known.end, start), sealed=known.sealed)
    inside = KeyRange(start=max(known.start, start), end=_lower(known.end, end), sealed=True)
    pieces = [left, inside]
    if end is not None:
        right = KeyRange(start=max(known.start, end), end=known.end, sealed=known.sealed)
        pieces.append(right)
    return (piece for piece in pieces if not is_empty(piece.start, piece.end))


def _lower(one: str | None, other: str | None) -> str | None:
    """Return the lower of two ends; None is above every key."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
