"""What every operation of a run, and what both sides hold at its end, say of the promises."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import anyio

from crossfade.core.objects import BOTH_SIDES
from crossfade.errors import ObjectNotFoundError
from crossfade.testing.demo.oplog import now
from crossfade.testing.demo.tally import TAGGED
from crossfade.testing.history import Event, Verb, Verdict, Violation, check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crossfade.core.objects import Pair
    from crossfade.ports import Backend
    from crossfade.testing.demo.tally import Tally

READS_AT_ONCE = 16
PAGE_KEYS = 1_000


@dataclass(slots=True)
class Audit:
    """Which keys no register explains."""

    checked: int = 0
    operations: int = 0
    wrong: dict[str, Verdict] = field(default_factory=dict)

    def keys(self, *kinds: Violation) -> list[str]:
        """Return the keys with one of these violations."""
        return sorted(k for k, verdict in self.wrong.items() if verdict.violation in kinds)


def histories(tally: Tally, initial: dict[str, str]) -> dict[str, list[Event]]:
    """Return every key's operations, listings included, with what was there before by its name."""
    found = {
        key: [_named(e, initial.get(key), tally.tags) for e in es]
        for key, es in tally.events.items()
    }
    for key in initial:
        found.setdefault(key, [])
    ordered = sorted(found)
    for prefix, shown, event in tally.listings:
        there = set(shown)
        for key in there - found.keys():
            found[key] = []
        for key in _with_prefix(ordered, prefix) | there:
            found[key].append(replace(event, present=key in there))
    return found


def audit(
    found: dict[str, list[Event]],
    initial: dict[str, str],
    on_progress: Callable[[int], None] | None = None,
) -> Audit:
    """Check every key."""
    result = Audit()
    for key, events in found.items():
        verdict = check_key(initial.get(key), events)
        result.checked += 1
        result.operations += len(events)
        if not verdict.ok:
            result.wrong[key] = verdict
        if on_progress is not None:
            on_progress(result.checked)
    return result


async def read_both(sides: Pair[Backend], keys: Iterable[str]) -> dict[str, list[Event]]:
    """Read every key on both sides, past the facade; keys that only a side lists too."""
    events: dict[str, list[Event]] = {key: [] for key in keys}
    limiter = anyio.CapacityLimiter(READS_AT_ONCE)

    async def one(key: str, backend: Backend, who: str) -> None:
        async with limiter:
            called = now()
            value = await _value(backend, key)
            event = Event(verb=Verb.READ, called=called, returned=now(), value=value, who=who)
            events[key].append(event)

    for side in BOTH_SIDES:
        for key in await _listed(sides[side]):
            events.setdefault(key, [])
    async with anyio.create_task_group() as group:
        for side in BOTH_SIDES:
            for key in events:
                group.start_soon(one, key, sides[side], f"the {side.value} at the end")
    return events


def _named(event: Event, before: str | None, tags: dict[str, str]) -> Event:
    """Give what was there before anything started its name, and what was told by its tag."""
    if event.value is not None and event.value.startswith(TAGGED):
        tag = event.value.removeprefix(TAGGED)
        return replace(event, value=tags.get(tag, "bytes that nobody put"))
    if event.verb is Verb.READ and event.value == "":
        return replace(event, value=before or "something without a name")
    return event


def _with_prefix(ordered: list[str], prefix: str) -> set[str]:
    start = bisect_left(ordered, prefix)
    end = bisect_left(ordered, prefix + "\U0010ffff", start)
    return set(ordered[start:end])


async def _listed(backend: Backend) -> list[str]:
    keys: list[str] = []
    while True:
        page = await backend.list(after=keys[-1] if keys else "", limit=PAGE_KEYS)
        keys += [info.key for info in page.objects]
        if not page.truncated:
            return keys


async def _value(backend: Backend, key: str) -> str | None:
    try:
        stream = await backend.read(key)
    except ObjectNotFoundError:
        return None
    digest = sha256()
    try:
        async for chunk in stream:
            digest.update(chunk)
    finally:
        await stream.aclose()
    return digest.hexdigest()
