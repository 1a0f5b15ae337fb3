"""What the logs of all processes add up to, read while they are being written."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from crossfade.testing.demo.oplog import (
    Backfilled,
    Called,
    FaultSeen,
    FellBack,
    Held,
    Line,
    LogReader,
    Recovered,
    Returned,
    Started,
    StoodStill,
    now,
)
from crossfade.testing.history import Event, Requires, Result, Verb

if TYPE_CHECKING:
    from pathlib import Path


TAGGED = "tagged "
"""What a read found whose answer was a tag; `Tally.tags` says what that is called."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An operation that ended with an error."""

    event: Event
    key: str
    error: str


@dataclass(slots=True)
class _Process:
    reader: LogReader
    under_way: dict[int, Called] = field(default_factory=dict)
    holder: str = ""
    copied: int = 0
    fault_since: float | None = None
    held_at: float = -inf


class Tally:
    """Counts, and keeps every operation as an event of its key's history.

    Attributes:
        events: by key; ``listings`` hold prefix and shown keys.
        failures: operations that ended with an error.
        faults: from when to when a side failed in a process, or its server was down.
        tags: what the bytes behind an entity tag are called; puts add theirs.
        again: how often something was asked for again because a side said so.
        still: from when to when a process, or its disk, stood still: a fault of the machine.
    """

    def __init__(self, tags: dict[str, str] | None = None) -> None:
        self.events: dict[str, list[Event]] = {}
        self.listings: list[tuple[str, tuple[str, ...], Event]] = []
        self.failures: list[Failure] = []
        self.faults: list[tuple[float, float]] = []
        self.still: list[tuple[float, float]] = []
        self.operations = 0
        self.users: set[str] = set()
        self.fallbacks = 0
        self.recovered: list[str] = []
        self.slowest: Event | None = None
        self.tags = dict(tags or {})
        self.again = 0
        self.reads: dict[int, dict[str, int]] = {}
        self._stages: list[tuple[float, int]] = []
        self._processes: dict[str, _Process] = {}
        self._down: dict[str, float] = {}

    def follow(self, name: str, log: Path) -> None:
        """Read a process's log from now on."""
        self._processes[name] = _Process(LogReader(log))

    def stage(self, percentage: int) -> None:
        """Count reads for this share of the target from now on."""
        self._stages.append((now(), percentage))
        self.reads.setdefault(percentage, {"source": 0, "target": 0})

    def update(self) -> None:
        """Read what was logged since the last time."""
        for name, process in self._processes.items():
            for line in process.reader.read():
                self._take(name, process, line)

    @property
    def copied(self) -> int:
        """How many objects backfill copied."""
        return sum(process.copied for process in self._processes.values())

    def started(self, name: str) -> bool:
        """Tell whether a process is at work."""
        return bool(self._processes[name].holder)

    def holder(self, name: str) -> str:
        """Return what names a process in leases."""
        return self._processes[name].holder

    def end(self, name: str) -> None:
        """Take what a process has not been answered as never answered: it is gone."""
        process = self._processes[name]
        self.update()
        for called in process.under_way.values():
            self._keep(_event(called, name, None), called.key)
        process.under_way.clear()
        if process.fault_since is not None:
            self.faults.append((process.fault_since, now()))
            process.fault_since = None

    def holds(self, name: str, since: float) -> bool:
        """Tell whether a process has said, since then, that it holds changes."""
        return self._processes[name].held_at >= since

    def goes_down(self, server: str) -> None:
        """Take what fails from now on as failed by a fault, until the server is back."""
        self._down[server] = now()

    def comes_back(self, server: str) -> None:
        """Note that a server serves again."""
        self.faults.append((self._down.pop(server), now()))

    def during_a_fault(self, event: Event) -> bool:
        """Tell whether a side failed in some process while the operation was under way."""
        since = [p.fault_since for p in self._processes.values() if p.fault_since is not None]
        windows = self.faults + [(start, inf) for start in (*since, *self._down.values())]
        return any(event.called <= end and event.returned >= start for start, end in windows)

    def while_still(self, event: Event) -> bool:
        """Tell whether some process stood still while the operation was under way."""
        return any(event.called <= end and event.returned >= start for start, end in self.still)

    def _take(self, name: str, process: _Process, line: Line) -> None:
        match line:
            case Called():
                process.under_way[line.number] = line
                if line.tag and line.value is not None:
                    self.tags[line.tag] = line.value
                self.users.add(line.user)
            case Returned():
                self._answered(name, process.under_way.pop(line.number), line)
            case FaultSeen():
                if process.fault_since is not None:
                    self.faults.append((process.fault_since, line.at))
                process.fault_since = line.at if line.side else None
            case Held():
                process.held_at = line.at
            case Backfilled():
                process.copied = line.copied
            case Started():
                process.holder = line.holder
            case StoodStill() | FellBack() | Recovered():
                self._happened(line)

    def _happened(self, line: StoodStill | FellBack | Recovered) -> None:
        match line:
            case StoodStill():
                self.still.append((line.since, line.at))
            case FellBack():
                self.fallbacks += 1
            case Recovered():
                self.recovered.append(line.token)

    def _answered(self, name: str, called: Called, answer: Returned) -> None:
        event = _event(called, name, answer)
        self.operations += 1
        self.again += answer.again
        if self.slowest is None or _seconds(event) > _seconds(self.slowest):
            self.slowest = event
        if answer.error:
            self.failures.append(Failure(event, called.key, answer.error))
        if answer.side:
            self.reads[self._stage_at(called.at)][answer.side] += 1
        if event.verb is Verb.LIST:
            if event.result is Result.OK:
                self.listings.append((called.key, answer.keys, event))
        else:
            self._keep(event, called.key)

    def _keep(self, event: Event, key: str) -> None:
        if event.verb is not Verb.LIST:
            self.events.setdefault(key, []).append(event)

    def _stage_at(self, moment: float) -> int:
        index = bisect_right(self._stages, (moment, inf)) - 1
        return self._stages[max(index, 0)][1]


def _seconds(event: Event) -> float:
    return event.returned - event.called


def _event(called: Called, process: str, answer: Returned | None) -> Event:
    verb = Verb(called.verb)
    reads = verb is Verb.READ and answer is not None
    return Event(
        verb=verb,
        called=called.at,
        returned=inf if answer is None else answer.at,
        result=Result.UNKNOWN if answer is None else Result(answer.result),
        value=_found(answer) if reads and answer is not None else called.value,
        requires=Requires(called.requires),
        expected=called.expected,
        who=f"{called.user} in {process}",
    )


def _found(answer: Returned) -> str | None:
    """Return what a read found, by its name or by its tag; None for nothing."""
    return TAGGED + answer.tag if answer.tag else answer.value
