"""The search for an order of one key's steps that a register could have taken them in.

Wing and Gong's search with the memory of Lowe: depth first over what may come next, never twice
from the same place (what is done, the register's value). What keeps it short:

* a step that changes nothing and fits is taken at once, it can only be in the way later;
* values are unique, so one is not overwritten while somebody still has to see it;
* a put that nobody saw goes before any other write at no cost, unless somebody saw that there
  was something, and it is needed for that after a delete;
* a write of unknown outcome whose value was seen happened, at the latest when it was seen; one
  that nobody saw is of use only to who saw that there was something, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STATES_MAX = 500_000
"""Places that one search visits before it gives up; histories of real runs take thousands."""

SOMETHING = "\0something"
"""The register's value after a write that nobody saw: no reader returned it."""


class Needs(Enum):
    """What the register has to hold for a step to be taken."""

    ANYTHING = "anything"
    NOTHING = "nothing"
    SOMETHING = "something"
    VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation as the register sees it.

    Attributes:
        returned: until when it was taken; for ever where nobody knows.
        needs: what it found; ``expected`` is the value, for `Needs.VALUE`.
        writes: whether the register holds ``value`` afterwards (None: nothing).
        optional: whether it may never have happened.
    """

    called: float
    returned: float = inf
    needs: Needs = Needs.ANYTHING
    expected: str | None = None
    writes: bool = False
    value: str | None = None
    optional: bool = False

    def fits(self, state: str | None) -> bool:
        """Tell whether the register may take it in this state."""
        return fits(self.needs, self.expected, state)


def fits(needs: Needs, expected: str | None, state: str | None) -> bool:
    """Tell whether the register holds what is needed."""
    match needs:
        case Needs.ANYTHING:
            return True
        case Needs.NOTHING:
            return state is None
        case Needs.SOMETHING:
            return state is not None
        case Needs.VALUE:
            return state == expected


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a search stands: what is done, the value, how much of each choice is used."""

    done: int
    state: str | None
    used: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Writes that may have happened and differ only in when they were called."""

    needs: Needs
    expected: str | None
    result: str | None
    calls: tuple[float, ...]

    def helps(self, state: str | None, wanted: frozenset[Needs], before: float, used: int) -> bool:
        """Tell whether one more of them could be taken, and somebody waits for its result."""
        if used >= len(self.calls) or self.calls[used] > before:
            return False
        if not fits(self.needs, self.expected, state):
            return False
        if self.result == SOMETHING:
            return Needs.SOMETHING in wanted
        if self.result is not None:
            return True
        return state is not None and Needs.NOTHING in wanted


def linearizable(initial: str | None, steps: Sequence[Step]) -> bool | None:
    """Tell whether a register could have taken the steps; None when the search gave up."""
    return _Search(initial, steps).run()


class _Search:
    def __init__(self, initial: str | None, steps: Sequence[Step]) -> None:
        self._initial = initial
        self._steps, self._choices = _prepared(steps)
        self._all = (1 << len(self._steps)) - 1
        self._seers: dict[str | None, int] = {}
        for index, step in enumerate(self._steps):
            if step.needs is Needs.VALUE:
                mask = self._seers.get(step.expected, 0)
                self._seers[step.expected] = mask | 1 << index
        self._somethings = self._mask(lambda step: step.needs is Needs.SOMETHING)
        self._unseen = self._mask(self._is_unseen)
        self._rivals: dict[int, int] = {}

    def _mask(self, chosen: Callable[[Step], bool]) -> int:
        return sum(1 << index for index, step in enumerate(self._steps) if chosen(step))

    def _is_unseen(self, step: Step) -> bool:
        """Tell whether it is a put without a condition whose value nobody saw."""
        puts = step.writes and step.value is not None and step.needs is Needs.ANYTHING
        return puts and step.value not in self._seers

    def run(self) -> bool | None:
        written = {step.value for step in self._steps if step.writes} | {self._initial}
        if any(value not in written for value in self._seers):
            return False
        start = self._settled(_Place(0, self._initial, (0,) * len(self._choices)))
        stack, seen = [start], {start}
        while stack:
            place = stack.pop()
            if place.done == self._all:
                return True
            # The likeliest comes last, because the last is taken first.
            for following in reversed(list(self._following(place))):
                settled = self._settled(following)
                if settled not in seen:
                    seen.add(settled)
                    stack.append(settled)
            if len(seen) > STATES_MAX:
                return None
        return False

    def _settled(self, place: _Place) -> _Place:
        """Take every step that changes nothing and fits."""
        done, state = place.done, place.state
        while True:
            fitting = 0
            for index in self._open(done)[0]:
                step = self._steps[index]
                if not step.writes and step.fits(state):
                    fitting |= 1 << index
            if not fitting:
                return _Place(done, state, place.used)
            done |= fitting

    def _open(self, done: int) -> tuple[list[int], float]:
        """Return the steps that may come next, and until when the next one is taken."""
        steps, before = self._steps, inf
        waiting: list[int] = []
        index = (~done & (done + 1)).bit_length() - 1
        while index < len(steps) and steps[index].called <= before:
            if not done >> index & 1:
                waiting.append(index)
                before = min(before, steps[index].returned)
            index += 1
        return [index for index in waiting if steps[index].called <= before], before

    def _following(self, place: _Place) -> Iterator[_Place]:
        unseen = self._seers.get(place.state, 0) & ~place.done
        indexes, before = self._open(place.done)
        for index in sorted(indexes, key=lambda each: self._steps[each].returned):
            step = self._steps[index]
            # Values are unique: one that somebody has still to see may only be left by the last
            # who needs it, a conditional write.
            if unseen & ~(1 << index):
                continue
            if step.writes and step.fits(place.state):
                yield _Place(place.done | 1 << index, step.value, place.used)
        if unseen:
            return
        wanted = frozenset(self._steps[index].needs for index in indexes)
        for number, choice in enumerate(self._choices):
            if choice.helps(place.state, wanted, before, place.used[number]):
                used = list(place.used)
                used[number] += 1
                yield _Place(place.done, choice.result, tuple(used))

    def _after(self, place: _Place, index: int, indexes: list[int]) -> _Place:
        """Take a write, and right before it the puts that nobody saw."""
        step, done = self._steps[index], place.done | 1 << index
        if step.needs is Needs.ANYTHING:
            for other in indexes:
                if self._unseen >> other & 1 and self._goes_free(other, place.done, step):
                    done |= 1 << other
        value = SOMETHING if self._unseen >> index & 1 else step.value
        return _Place(done, value, place.used)

    def _goes_free(self, unseen: int, done: int, following: Step) -> bool:
        """Tell whether an unseen put is not needed later, to be there after a delete."""
        if not self._somethings & ~done:
            return True
        if following.value is None or self._choices:
            return False
        rivals = self._rivals.get(unseen)
        if rivals is None:
            until = self._steps[unseen].returned
            rivals = self._mask(lambda s: s.writes and s.value is None and s.called <= until)
            self._rivals[unseen] = rivals
        return not rivals & ~done


def _prepared(steps: Sequence[Step]) -> tuple[list[Step], list[_Choice]]:
    """Part the steps that happened, in order of their calls, from those that only may have."""
    seen_at: dict[str | None, float] = {}
    for step in steps:
        if step.needs is Needs.VALUE and not step.optional:
            seen_at[step.expected] = min(step.returned, seen_at.get(step.expected, inf))
    certain = [step for step in steps if not step.optional]
    calls: dict[tuple[Needs, str | None, str | None], list[float]] = {}
    todo = [step for step in steps if step.optional]
    while todo:
        # What an unknown conditional write was seen to do shows what it found as well.
        shown = [step for step in todo if step.value is not None and step.value in seen_at]
        if not shown:
            break
        todo = [step for step in todo if step not in shown]
        for step in shown:
            until = min(step.returned, seen_at[step.value])
            certain.append(_happened(step, until))
            if step.needs is Needs.VALUE:
                seen_at[step.expected] = min(until, seen_at.get(step.expected, inf))
    awaited = {step.expected for step in todo if step.needs is Needs.VALUE}
    for step in todo:
        kind = _choice_of(step, awaited=step.value in awaited)
        if kind is not None:
            calls.setdefault(kind, []).append(step.called)
    choices = [_Choice(*kind, tuple(sorted(times))) for kind, times in calls.items()]
    return sorted(certain, key=lambda step: step.called), choices


def _happened(step: Step, until: float) -> Step:
    return Step(
        called=step.called,
        returned=until,
        needs=step.needs,
        expected=step.expected,
        writes=True,
        value=step.value,
    )


def _choice_of(step: Step, *, awaited: bool) -> tuple[Needs, str | None, str | None] | None:
    """Return the kind of a write that nobody saw; None when it cannot help anybody.

    One that is ``awaited`` keeps its value, because another write of the kind may need it.
    """
    if step.value is None:
        return None if step.needs is Needs.NOTHING else (step.needs, step.expected, None)
    if awaited:
        return (step.needs, step.expected, step.value)
    if step.needs in (Needs.VALUE, Needs.SOMETHING):
        return None
    return (Needs.NOTHING, None, SOMETHING)
