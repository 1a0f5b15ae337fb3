"""Contradictions that can be seen without a search: zones as Gibbons and Korach use them.

The register holds a value at least from the first return of an operation on it to the last call
of one. Where nothing is deleted this is all there is to know; with deletes it finds what
is wrong in most wrong histories, at once, and the search has to answer for the rest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from typing import TYPE_CHECKING

from crossfade.testing.search import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crossfade.testing.search import Step


@dataclass(slots=True)
class _Zone:
    """From the first return to the last call of an operation on one value."""

    first_return: float = inf
    last_call: float = -inf

    def add(self, step: Step) -> None:
        self.first_return = min(self.first_return, step.returned)
        self.last_call = max(self.last_call, step.called)


def contradicts(initial: str | None, steps: Sequence[Step]) -> bool:
    """Tell whether the steps cannot be those of a register; False says nothing."""
    certain = [step for step in steps if not step.optional]
    zones: dict[str | None, _Zone] = {initial: _Zone(-inf, -inf)} if initial is not None else {}
    for step in certain:
        if step.needs is Needs.VALUE:
            zones.setdefault(step.expected, _Zone()).add(step)
        if step.writes and step.value is not None:
            zones.setdefault(step.value, _Zone()).add(step)
    lasting = [
        (z.first_return, z.last_call) for z in zones.values() if z.first_return < z.last_call
    ]
    lasting.sort()
    if any(one[1] > other[0] for one, other in pairwise(lasting)):
        return True
    brief = [(z.last_call, z.first_return) for z in zones.values() if z.first_return >= z.last_call]
    brief += [(step.called, step.returned) for step in certain if _is_nothing(step)]
    if any(_inside(lasting, *each) for each in brief):
        return True
    return _unexplained(initial, steps, something=False) or _unexplained(
        initial, steps, something=True
    )


def _is_nothing(step: Step) -> bool:
    """Tell whether the register holds nothing at some moment of the step."""
    return step.needs is Needs.NOTHING or (step.writes and step.value is None)


def _inside(lasting: Sequence[tuple[float, float]], start: float, end: float) -> bool:
    """Tell whether the interval lies within one in which a value was held."""
    index = bisect_left(lasting, (start, -inf)) - 1
    return index >= 0 and lasting[index][0] < start and end < lasting[index][1]


def _unexplained(initial: str | None, steps: Iterable[Step], *, something: bool) -> bool:
    """Tell whether one saw nothing (something) although only puts (deletes) can have come last."""
    needs = Needs.SOMETHING if something else Needs.NOTHING
    seers = [step for step in steps if step.needs is needs and not step.optional]
    if not seers:
        return False
    writes = [step for step in steps if step.writes]
    for_it = sorted(
        (step.called, step.returned) for step in writes if (step.value is not None) is something
    )
    if (initial is not None) is something:
        for_it.insert(0, (-inf, -inf))
    against = sorted(
        (step.returned, step.called)
        for step in writes
        if (step.value is not None) is not something and not step.optional
    )
    longest = list(accumulate((returned for _, returned in for_it), max))
    latest = list(accumulate((called for _, called in against), max))
    for seer in seers:
        begun = bisect_right(for_it, (seer.returned, inf))
        ended = bisect_left(against, (seer.called, -inf))
        if not begun or (ended and longest[begun - 1] < latest[ended - 1]):
            return True
    return False
