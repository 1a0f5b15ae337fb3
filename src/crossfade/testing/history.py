"""A key's history, and whether one register explains it: promises 1 to 3 of the protocol.

An operation that answered with an error may have taken effect, may take effect later, or never;
nothing else is uncertain. Written values are unique, so every read says which write it saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

from crossfade.testing.search import Needs, Step, linearizable
from crossfade.testing.zones import contradicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Verb(StrEnum):
    """What was asked; `LIST` asks whether the key is in a listing."""

    PUT = "put"
    DELETE = "delete"
    READ = "read"
    LIST = "list"


class Result(StrEnum):
    """How it ended; every error but a precondition that does not hold is `UNKNOWN`."""

    OK = "ok"
    UNKNOWN = "unknown"
    PRECONDITION = "precondition"


class Requires(StrEnum):
    """A caller's condition on a put or delete."""

    ALWAYS = "always"
    ABSENT = "if_none_match=*"
    PRESENT = "if_match=*"
    VALUE = "if_match"


class Violation(StrEnum):
    """What was wrong, as far as one can see it from outside.

    Attributes:
        STALE: what was seen had been overwritten before it was asked for, as others saw.
        LOST: an acknowledged write is not seen.
        RESURRECTED: what was deleted is there again.
        CORRUPT: a value, or an object, that nobody wrote.
        UNDECIDED: the search gave up; no verdict is no proof.
    """

    STALE = "stale"
    LOST = "lost"
    RESURRECTED = "resurrected"
    CORRUPT = "corrupt"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One operation on a key, with the times of one clock.

    Attributes:
        called: before it was sent; ``returned``: after the answer, inf when there was none.
        value: what a put wrote or a read returned; None for absent.
        present: what a listing said.
        requires: the condition; ``expected`` is the value whose tag `Requires.VALUE` gives.
        who: who asked, to be shown.
    """

    verb: Verb
    called: float
    returned: float = inf
    result: Result = Result.OK
    value: str | None = None
    present: bool = False
    requires: Requires = Requires.ALWAYS
    expected: str | None = None
    who: str = ""

    @property
    def mutates(self) -> bool:
        """Whether it may change the key."""
        return self.verb in (Verb.PUT, Verb.DELETE)

    @property
    def acknowledged(self) -> bool:
        """Whether it changed the key for certain."""
        return self.mutates and self.result is Result.OK

    def __str__(self) -> str:
        until = "never answered" if self.returned == inf else f"{self.returned:.6f}"
        who = f" by {self.who}" if self.who else ""
        return f"{self.called:.6f} to {until}: {_said(self)}{who}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check found; ``event`` is the first that no register explains.

    Attributes:
        explanation: the event, what contradicts it, and what it seems to have seen instead.
    """

    violation: Violation | None = None
    event: Event | None = None
    explanation: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a register explains the history."""
        return self.violation is None


def check_key(initial: str | None, operations: Sequence[Event]) -> Verdict:
    """Decide whether the operations on one key are those of one register.

    Args:
        initial: the value before the first operation; None for absent.
        operations: in any order; values of puts are unique, and none is ``initial``.

    Raises:
        ValueError: a value was put twice, so that a read of it proves nothing.
    """
    _refuse_repeated(initial, operations)
    found = _decide(initial, operations)
    if found:
        return Verdict()
    if found is None:
        event = max(operations, key=lambda each: each.returned)
        line = f"no verdict on {len(operations)} operations: too many orders are possible"
        return Verdict(violation=Violation.UNDECIDED, event=event, explanation=(line,))
    return _explained(initial, operations, _first_wrong(initial, operations))


def _decide(initial: str | None, operations: Iterable[Event]) -> bool | None:
    steps = _steps(operations)
    return not contradicts(initial, steps) and linearizable(initial, steps)


def _refuse_repeated(initial: str | None, operations: Iterable[Event]) -> None:
    known = {initial}
    for event in operations:
        if event.verb is Verb.PUT:
            if event.value is None or event.value in known:
                message = f"the value {event.value!r} was put twice, or is none"
                raise ValueError(message)
            known.add(event.value)


# -- what the register sees ----------------------------------------------------------------------

_NEEDS = {
    Requires.ALWAYS: Needs.ANYTHING,
    Requires.ABSENT: Needs.NOTHING,
    Requires.PRESENT: Needs.SOMETHING,
    Requires.VALUE: Needs.VALUE,
}
_OPPOSITE = {Requires.ABSENT: Needs.SOMETHING, Requires.PRESENT: Needs.NOTHING}


def _steps(operations: Iterable[Event]) -> list[Step]:
    return [step for step in map(_step, operations) if step is not None]


def _step(event: Event) -> Step | None:
    """Return what the register sees of an operation; None when it says nothing."""
    if not event.mutates:
        return None if event.result is Result.UNKNOWN else _seeing(event, _seen(event))
    if event.result is Result.PRECONDITION:
        # A tag may fail although the object is the same, after its side changed (rule 8).
        needs = _OPPOSITE.get(event.requires)
        return None if needs is None else _seeing(event, needs)
    unknown = event.result is Result.UNKNOWN
    return Step(
        called=event.called,
        returned=inf if unknown else event.returned,
        needs=_NEEDS[event.requires],
        expected=event.expected,
        writes=True,
        value=event.value if event.verb is Verb.PUT else None,
        optional=unknown,
    )


def _seen(event: Event) -> Needs:
    if event.verb is Verb.LIST:
        return Needs.SOMETHING if event.present else Needs.NOTHING
    return Needs.NOTHING if event.value is None else Needs.VALUE


def _seeing(event: Event, needs: Needs) -> Step:
    value = event.value if needs is Needs.VALUE else None
    return Step(called=event.called, returned=event.returned, needs=needs, expected=value)


# -- what to say of it ---------------------------------------------------------------------------


def _first_wrong(initial: str | None, operations: Sequence[Event]) -> Event:
    """Return the first answer after which no register explains what was answered so far."""
    answered = sorted(
        (event for event in operations if event.result is not Result.UNKNOWN),
        key=lambda event: event.returned,
    )
    low, high = 0, len(answered) - 1
    while low < high:
        middle = (low + high) // 2
        until = _until(operations, answered[middle].returned)
        if _decide(initial, until) is False:
            high = middle
        else:
            low = middle + 1
    return answered[low]


def _until(operations: Iterable[Event], moment: float) -> list[Event]:
    """Return the history as it was known at a moment: what was not answered yet is unknown."""
    return [
        event if event.returned <= moment else replace(event, result=Result.UNKNOWN)
        for event in operations
        if event.called <= moment
    ]


def _explained(initial: str | None, operations: Sequence[Event], wrong: Event) -> Verdict:
    writer = _writer(operations, wrong)
    if wrong.verb is Verb.READ and wrong.value not in (None, initial) and writer is None:
        line = "nobody had begun to put that value before it was returned"
        return Verdict(violation=Violation.CORRUPT, event=wrong, explanation=(str(wrong), line))
    if _found_something(wrong) and initial is None and not _any_put(operations, wrong.returned):
        line = "nobody had begun to put anything before"
        return Verdict(violation=Violation.CORRUPT, event=wrong, explanation=(str(wrong), line))
    last = _last_acknowledged(operations, wrong)
    lines = [str(wrong)]
    if last is not None:
        lines.append(f"it does not fit what was acknowledged before it began: {last}")
    if writer is not None:
        lines.append(f"what it saw was written here: {writer}")
    elif wrong.verb is Verb.READ and wrong.value is not None:
        lines.append("what it saw was there before the first operation")
    lines += [f"meanwhile or between: {event}" for event in _between(operations, last, wrong)]
    violation = _violation(operations, wrong, last, writer)
    return Verdict(violation=violation, event=wrong, explanation=tuple(lines))


def _writer(operations: Iterable[Event], wrong: Event) -> Event | None:
    value = wrong.expected if wrong.mutates else wrong.value
    for event in operations:
        if event.verb is Verb.PUT and event.value == value and event.called <= wrong.returned:
            return event
    return None


def _any_put(operations: Iterable[Event], before: float) -> bool:
    return any(event.verb is Verb.PUT and event.called <= before for event in operations)


def _last_acknowledged(operations: Iterable[Event], wrong: Event) -> Event | None:
    before = [e for e in operations if e.acknowledged and e.returned < wrong.called]
    return max(before, key=lambda event: event.returned, default=None)


_BETWEEN_MAX = 10


def _between(operations: Iterable[Event], last: Event | None, wrong: Event) -> list[Event]:
    """Return what else may have changed the key since, the first few."""
    since = last.called if last is not None else wrong.called
    return [
        event
        for event in operations
        if event.mutates
        and event not in (last, wrong)
        and event.result is not Result.PRECONDITION
        and event.called <= wrong.returned
        and event.returned >= since
    ][:_BETWEEN_MAX]


def _violation(
    operations: Sequence[Event], wrong: Event, last: Event | None, writer: Event | None
) -> Violation:
    if _found_something(wrong):
        if last is not None and last.verb is Verb.DELETE:
            return Violation.RESURRECTED
        if last is None and (wrong.mutates or any(e.verb is Verb.DELETE for e in operations)):
            return Violation.RESURRECTED
        return Violation.STALE if _newer_seen(operations, wrong, writer) else Violation.LOST
    if last is not None and last.verb is Verb.DELETE:
        return Violation.STALE
    return Violation.LOST


def _newer_seen(operations: Iterable[Event], wrong: Event, writer: Event | None) -> bool:
    """Tell whether anybody saw a value that was put after the one that was found."""
    since = -inf if writer is None else writer.called
    newer = {
        event.value
        for event in operations
        if event.verb is Verb.PUT and event.returned > since and event.value != wrong.value
    }
    return any(
        (event.expected if event.mutates else event.value) in newer
        for event in operations
        if event is not wrong and (not event.mutates or event.acknowledged)
    )


def _found_something(event: Event) -> bool:
    """Tell whether the operation found an object."""
    if event.verb is Verb.LIST:
        return event.present
    if event.verb is Verb.READ:
        return event.value is not None
    absent = event.requires is Requires.ABSENT
    return absent if event.result is Result.PRECONDITION else not absent


def _said(event: Event) -> str:
    if event.verb is Verb.LIST:
        return "a listing " + ("showed it" if event.present else "did not show it")
    if event.verb is Verb.READ:
        if event.result is Result.UNKNOWN:
            return "a read failed"
        return "a read found nothing" if event.value is None else f"a read found {event.value!r}"
    condition = "" if event.requires is Requires.ALWAYS else f" with {event.requires.value}"
    if event.requires is Requires.VALUE:
        condition += f" of {event.expected!r}"
    what = f"put of {event.value!r}" if event.verb is Verb.PUT else "delete"
    ends = {
        Result.OK: "was acknowledged",
        Result.UNKNOWN: "has an unknown outcome",
        Result.PRECONDITION: "was refused by its condition",
    }
    return f"a {what}{condition} {ends[event.result]}"
