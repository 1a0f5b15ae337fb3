"""The checker: what a register explains is accepted, everything else is named."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from itertools import permutations
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.testing.history import (
    Event,
    Requires,
    Result,
    Verb,
    Verdict,
    Violation,
    check_key,
)


def put(value: str, called: float, returned: float = inf, **more: Any) -> Event:
    result = Result.UNKNOWN if returned == inf else Result.OK
    event = Event(verb=Verb.PUT, called=called, returned=returned, value=value, result=result)
    return replace(event, **more)


def delete(called: float, returned: float = inf, **more: Any) -> Event:
    result = Result.UNKNOWN if returned == inf else Result.OK
    event = Event(verb=Verb.DELETE, called=called, returned=returned, result=result)
    return replace(event, **more)


def read(value: str | None, called: float, returned: float) -> Event:
    return Event(verb=Verb.READ, called=called, returned=returned, value=value)


def listed(present: bool, called: float, returned: float) -> Event:
    return Event(verb=Verb.LIST, called=called, returned=returned, present=present)


ABSENT: dict[str, Any] = {"requires": Requires.ABSENT}
PRESENT: dict[str, Any] = {"requires": Requires.PRESENT}
REFUSED: dict[str, Any] = {"result": Result.PRECONDITION}


def of(value: str) -> dict[str, Any]:
    return {"requires": Requires.VALUE, "expected": value}


EXPLAINED: list[tuple[str, str | None, list[Event]]] = [
    ("nothing happened", None, []),
    ("a read of what was there", "a", [read("a", 0, 1)]),
    ("a read beside a put sees either", "a", [put("b", 0, 9), read("b", 1, 2), read("b", 3, 4)]),
    ("an unknown put shows late", "a", [put("b", 0), read("a", 5, 6), read("b", 7, 8)]),
    ("an unknown put never shows", "a", [put("b", 0), read("a", 5, 6)]),
    ("an unknown put is undone by none", "a", [put("b", 0), put("c", 1, 2), read("b", 3, 4)]),
    ("an unknown delete shows late", "a", [delete(0), read("a", 1, 2), read(None, 3, 4)]),
    ("an unknown put is listed", None, [put("b", 0), listed(False, 1, 2), listed(True, 3, 4)]),
    (
        "two unknown deletes are two",
        "a",
        [delete(0), delete(0), read(None, 1, 2), put("b", 3, 4), read(None, 5, 6)],
    ),
    ("a condition that held", "a", [put("b", 0, 1, **of("a")), read("b", 2, 3)]),
    ("a tag may be refused though it is the same", "a", [put("b", 0, 1, **of("a"), **REFUSED)]),
    ("refused because it is there", "a", [put("b", 0, 1, **ABSENT, **REFUSED), read("a", 2, 3)]),
    ("refused because it is not there", None, [put("b", 0, 1, **PRESENT, **REFUSED)]),
    (
        "unknown conditional puts in a row",
        "a",
        [put("b", 0, **of("a")), put("c", 1, **of("b")), read("c", 2, 3)],
    ),
    ("a failed read says nothing", "a", [replace(read("z", 0, 1), result=Result.UNKNOWN)]),
]

WRONG: list[tuple[str, str | None, list[Event], Violation]] = [
    (
        "an old version after a newer one was seen",
        "a",
        [put("b", 0, 1), read("b", 2, 3), read("a", 4, 5)],
        Violation.STALE,
    ),
    ("an acknowledged put is not seen", "a", [put("b", 0, 1), read("a", 2, 3)], Violation.LOST),
    ("an acknowledged put is absent", None, [put("b", 0, 1), read(None, 2, 3)], Violation.LOST),
    (
        "an acknowledged put is not listed",
        None,
        [put("b", 0, 1), listed(False, 2, 3)],
        Violation.LOST,
    ),
    ("what was there is gone", "a", [read(None, 0, 1)], Violation.LOST),
    ("a deleted value comes back", "a", [delete(0, 1), read("a", 2, 3)], Violation.RESURRECTED),
    (
        "a deleted key is listed again",
        "a",
        [delete(0, 1), read(None, 2, 3), listed(True, 4, 5)],
        Violation.RESURRECTED,
    ),
    ("a value that nobody wrote", "a", [read("z", 0, 1)], Violation.CORRUPT),
    ("a value before it was written", "a", [read("b", 0, 1), put("b", 2, 3)], Violation.CORRUPT),
    (
        "back and forth",
        None,
        [put("a", 0, 9), put("b", 0, 9), read("a", 1, 2), read("b", 3, 4), read("a", 5, 6)],
        Violation.STALE,
    ),
    (
        "an unknown delete cannot show twice",
        "a",
        [delete(0), read(None, 1, 2), put("b", 3, 4), read("b", 5, 6), read(None, 7, 8)],
        Violation.LOST,
    ),
    (
        "a condition held wrongly",
        "a",
        [put("b", 0, 1), read("b", 2, 3), put("c", 4, 5, **of("a"))],
        Violation.STALE,
    ),
    (
        "two creators",
        None,
        [put("a", 0, 1, **ABSENT), put("b", 2, 3, **ABSENT)],
        Violation.LOST,
    ),
    (
        "a creator that found a ghost",
        None,
        [put("a", 0, 1, **ABSENT, **REFUSED)],
        Violation.RESURRECTED,
    ),
]


@pytest.mark.parametrize(
    ("initial", "events"), [c[1:] for c in EXPLAINED], ids=[c[0] for c in EXPLAINED]
)
def test_what_a_register_explains_is_accepted(initial: str | None, events: list[Event]) -> None:
    assert check_key(initial, events) == Verdict()


@pytest.mark.parametrize(
    ("initial", "events", "violation"), [c[1:] for c in WRONG], ids=[c[0] for c in WRONG]
)
def test_what_no_register_explains_is_named(
    initial: str | None, events: list[Event], violation: Violation
) -> None:
    verdict = check_key(initial, events)
    assert verdict.violation is violation
    assert verdict.event in events
    assert str(verdict.event) == verdict.explanation[0]


def test_the_explanation_says_what_contradicts() -> None:
    events = [put("b", 0, 1, who="u1"), read("b", 2, 3), read("a", 4, 5)]
    assert check_key("a", events).explanation == (
        "4.000000 to 5.000000: a read found 'a'",
        f"it does not fit what was acknowledged before it began: {events[0]}",
        "what it saw was there before the first operation",
    )


def test_a_value_that_is_put_twice_is_refused() -> None:
    for events in ([put("a", 0, 1)], [put("b", 0, 1), put("b", 2, 3)]):
        with pytest.raises(ValueError, match="twice"):
            check_key("a", events)


# -- against brute force -------------------------------------------------------------------------


def history(rng: random.Random, count: int, width: float) -> tuple[str | None, list[Event]]:
    """Let an atomic register answer at a random moment of each operation."""
    initial = rng.choice(["a", None])
    state, events = initial, []
    moments = []
    for index in range(count):
        called = index / width + rng.random()
        returned = called + rng.random() * 2
        moments.append((rng.uniform(called, returned), called, returned))
    for number, (_, called, returned) in enumerate(sorted(moments)):
        event, state = operation(rng, state, f"v{number}")
        events.append(replace(event, called=called, returned=returned))
    return initial, events


def operation(rng: random.Random, state: str | None, value: str) -> tuple[Event, str | None]:
    kind = rng.choice([Verb.PUT, Verb.PUT, Verb.READ, Verb.READ, Verb.DELETE, Verb.LIST])
    event = Event(verb=kind, called=0)
    if kind is Verb.READ:
        return replace(event, value=state), state
    if kind is Verb.LIST:
        return replace(event, present=state is not None), state
    new = value if kind is Verb.PUT else None
    event = replace(event, value=new)
    if rng.random() < 0.3:
        requires = rng.choice([Requires.ABSENT, Requires.PRESENT, Requires.VALUE])
        event = replace(event, requires=requires, expected=state or "a")
        if requires is not Requires.VALUE:
            event = replace(event, expected=None)
        if not holds(event, state):
            return replace(event, result=Result.PRECONDITION), state
    if rng.random() < 0.2:
        return replace(event, result=Result.UNKNOWN), rng.choice([new, state])
    return event, new


def holds(event: Event, state: str | None) -> bool:
    match event.requires:
        case Requires.ABSENT:
            return state is None
        case Requires.PRESENT:
            return state is not None
        case Requires.VALUE:
            return state == event.expected
        case Requires.ALWAYS:
            return True


def brute_force(initial: str | None, events: list[Event]) -> bool:
    """Try every order of every choice of what took effect."""
    certain = [e for e in events if e.result is not Result.UNKNOWN]
    maybe = [e for e in events if e.result is Result.UNKNOWN and e.mutates]
    for chosen in range(1 << len(maybe)):
        unknown = [replace(e, returned=inf) for i, e in enumerate(maybe) if chosen >> i & 1]
        if any(in_order(order, initial) for order in permutations(certain + unknown)):
            return True
    return False


def in_order(order: tuple[Event, ...], state: str | None) -> bool:
    for index, event in enumerate(order):
        if any(later.returned < event.called for later in order[index + 1 :]):
            return False
        if event.verb is Verb.READ:
            if event.value != state:
                return False
        elif event.verb is Verb.LIST:
            if event.present is not (state is not None):
                return False
        elif event.result is Result.PRECONDITION:
            if event.requires is not Requires.VALUE and holds(event, state):
                return False
        elif not holds(event, state):
            return False
        else:
            state = event.value
    return True


def mutated(rng: random.Random, events: list[Event]) -> list[Event]:
    """Change one answer; what comes out may be right or wrong."""
    values = [e.value for e in events if e.verb is Verb.PUT] + ["a", None, "nobody's"]
    index = rng.randrange(len(events))
    event = events[index]
    if event.verb is Verb.READ:
        event = replace(event, value=rng.choice(values))
    elif event.verb is Verb.LIST:
        event = replace(event, present=not event.present)
    elif event.requires in (Requires.ABSENT, Requires.PRESENT):
        event = replace(event, result=rng.choice([Result.OK, Result.PRECONDITION]))
    else:
        event = replace(event, result=rng.choice([Result.OK, Result.UNKNOWN]))
    return [*events[:index], event, *events[index + 1 :]]


@given(seed=st.integers(0, 2**32), count=st.integers(1, 80), width=st.floats(0.5, 6))
@settings(deadline=None, max_examples=150)
def test_histories_of_a_register_are_accepted(seed: int, count: int, width: float) -> None:
    initial, events = history(random.Random(seed), count, width)
    assert check_key(initial, events).ok


@given(seed=st.integers(0, 2**32), count=st.integers(1, 6), width=st.floats(0.5, 6))
@settings(deadline=None, max_examples=400)
def test_the_search_agrees_with_trying_every_order(seed: int, count: int, width: float) -> None:
    rng = random.Random(seed)
    initial, events = history(rng, count, width)
    for _ in range(rng.randrange(3)):
        events = mutated(rng, events)
    assert check_key(initial, events).ok is brute_force(initial, events)


def test_a_thousand_operations_on_a_key_are_checked_within_seconds() -> None:
    began = time.perf_counter()
    initial, events = history(random.Random(7), 1_000, 4)
    assert check_key(initial, events).ok
    late = max(event.returned for event in events)
    gone = next(e for e in events if e.verb is Verb.PUT and e.result is Result.OK)
    wrong = check_key(initial, [*events, read(gone.value, late + 1, late + 2)])
    assert wrong.event is not None
    assert wrong.event.value == gone.value
    assert time.perf_counter() - began < 10
