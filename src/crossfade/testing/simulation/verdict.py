"""Whether a schedule's history is that of one register for each key."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from crossfade.testing.history import Event, Requires, Result, Verb, check_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crossfade.testing.simulation.judge import Call, Judge

VERBS = {
    "put": Verb.PUT,
    "cput": Verb.PUT,
    "create": Verb.PUT,
    "delete": Verb.DELETE,
    "get": Verb.READ,
    "head": Verb.READ,
    "list": Verb.LIST,
}
REQUIRES = {"cput": Requires.VALUE, "create": Requires.ABSENT}


def check_history(judge: Judge) -> None:
    """Note a violation for each key whose calls no register explains."""
    before = {key: value for side, key, value in judge.plan.before if side == "source"}
    for key in judge.plan.keys:
        if key in judge.damaged:
            continue
        verdict = check_key(before.get(key), list(_events(judge.calls, key, before.get(key))))
        if not verdict.ok:
            told = "\n      ".join(verdict.explanation)
            judge.violation(f"{verdict.violation} {key!r}:\n      {told}")


def _events(calls: Sequence[Call], key: str, initial: str | None) -> Iterable[Event]:
    written = {initial, *(call.value for call in calls if call.client != "repair")}
    for call in calls:
        if call.client == "repair":
            # What a write of unknown outcome left on the target may take effect by a repair.
            if call.value in written:
                continue
            written.add(call.value)
        if call.kind == "list":
            if call.result == "ok":
                yield _event(call, present=call.listed.get(key, False))
        elif call.key == key:
            event = _of_key(call)
            if event is not None:
                yield event


def _of_key(call: Call) -> Event | None:
    """Return the call as an event; a read without an answer tells nothing."""
    if call.kind in ("get", "head"):
        return _event(call) if call.result == "ok" else None
    if call.result == "precondition" and call.kind == "cput":
        return None  # it may fail although the object is the same, after its side changed
    return _event(call)


def _event(call: Call, *, present: bool = False) -> Event:
    unknown = call.result in ("", "error")
    refused = call.result == "precondition"
    result = Result.UNKNOWN if unknown else Result.PRECONDITION if refused else Result.OK
    read = call.kind in ("get", "head")
    return Event(
        verb=VERBS[call.kind],
        called=float(call.called),
        returned=inf if unknown or call.returned is None else float(call.returned),
        result=result,
        value=call.seen if read else call.value,
        present=present,
        requires=REQUIRES.get(call.kind, Requires.ALWAYS),
        expected=call.expected,
        who=call.client,
    )
