"""The catalog and the proofs in memory: for trials, tests and simulation.

Every transaction runs without giving up control, so it is atomic for all tasks of one event loop,
whichever it is. Nothing survives the process.
"""

from __future__ import annotations

import heapq
import time
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from crossfade.core.catalogs import (
    KEYS_NAMED_MAX,
    next_lease,
    next_row,
    no_such_migration,
    refuse_disorder,
    refuse_other_migration,
    refuse_stale_epoch,
)
from crossfade.core.duty import is_due
from crossfade.core.protocol import any_doubt
from crossfade.core.ranges import meeting, range_of, sealed_over
from crossfade.core.records import WHOLE, Census, Decision, Interval, Lease, Look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from crossfade.core.proofs import ProofEntry
    from crossfade.core.records import KeyRange, MigrationRow, Record

T = TypeVar("T")

_key = attrgetter("key")


@dataclass(slots=True)
class _State:
    """What one migration's transactions read and write; ``keys`` is ``records`` in order."""

    row: MigrationRow
    records: dict[str, Record] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    ranges: tuple[KeyRange, ...] = (WHOLE,)


class MemoryCatalog:
    """A `Catalog` in plain dicts and sorted lists."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, _State] = {}
        self._leases: dict[str, Lease] = {}

    def now(self) -> float:
        """Return the clock that was given."""
        return self._clock()

    async def prepare(self, row: MigrationRow) -> MigrationRow:
        """Return the migration's row, made from ``row`` with one unsealed range if it is new."""
        state = self._states.setdefault(row.name, _State(row))
        refuse_other_migration(state.row, row)
        return state.row

    async def migrations(self) -> Sequence[MigrationRow]:
        """Return every row, by name."""
        return [self._states[name].row for name in sorted(self._states)]

    async def look(self, migration: str, key: str) -> Look:
        """Look one key up."""
        return self._look(self._state(migration), key, self.now())

    async def look_between(
        self, migration: str, start: str, end: str | None, limit: int | None = None
    ) -> Interval:
        """Look at ``start <= key < end``: the first ``limit`` open keys, and as many extras."""
        return self._interval(self._state(migration), start, end, limit)

    async def change(self, migration: str, key: str, decide: Callable[[Look], Decision[T]]) -> T:
        """Decide on one key and return the decision's answer."""
        return (await self.change_many(migration, [(key, decide)]))[0]

    async def change_many(
        self, migration: str, decides: Sequence[tuple[str, Callable[[Look], Decision[T]]]]
    ) -> list[T]:
        """Decide on several keys at once; when one decision raises, nothing changes."""
        state = self._state(migration)
        now = self.now()
        undo = [(key, state.records.get(key), _holds(state.extras, key)) for key, _ in decides]
        row = state.row
        answers: list[T] = []
        try:
            for key, decide in decides:
                decision = decide(self._look_to_change(state, key, now))
                self._apply(state, key, decision, now)
                answers.append(decision.answer)
        except BaseException:
            state.row = row
            for key, record, extra in undo:
                _put(state, key, record)
                _note(state, key, extra=extra)
            raise
        return answers

    async def change_row(
        self, migration: str, decide: Callable[[Census], tuple[MigrationRow, T]]
    ) -> T:
        """Decide on the migration's row; a change raises its version by one."""
        state = self._state(migration)
        row, answer = decide(self._census(state))
        state.row = next_row(state.row, row)
        return answer

    async def census(self, migration: str) -> Census:
        """Count what is open, in doubt, marked, unsealed and extra."""
        return self._census(self._state(migration))

    async def due(self, migration: str, limit: int) -> Sequence[tuple[str, Record]]:
        """Return open keys that recovery or the copier can work on now, longest open first."""
        state = self._state(migration)
        now = self.now()
        completed = state.row.completed
        found = (
            (record.since, key)
            for key, record in state.records.items()
            if is_due(record, now, completed=completed)
        )
        return [(key, state.records[key]) for _, key in heapq.nsmallest(limit, found)]

    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        """Seal an interval if the decision allows it, splitting and merging ranges."""
        state = self._state(migration)
        if lease is not None:
            refuse_stale_epoch(lease, self._leases.get(lease.name))
        interval = self._interval(state, start, end, None)
        if not decide(interval):
            return False
        state.ranges = sealed_over(state.ranges, start, end)
        state.row = replace(state.row, changed_at=interval.now)
        return True

    async def unseal(self, migration: str) -> None:
        """Make the whole key space one unsealed range; older proofs are stale."""
        state = self._state(migration)
        state.ranges = (WHOLE,)
        state.row = replace(state.row, changed_at=self.now())

    async def ranges(self, migration: str) -> Sequence[KeyRange]:
        """Return all ranges in key order."""
        return self._state(migration).ranges

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take, or renew, a named lease; None while another holder has it."""
        lease = next_lease(self._leases.get(name), name, holder, self.now(), seconds)
        if lease is not None:
            self._leases[name] = lease
        return lease

    async def release_lease(self, lease: Lease) -> None:
        """Give a named lease back if it is still held at that epoch."""
        held = self._leases.get(lease.name)
        if held is not None and held.epoch == lease.epoch:
            self._leases[lease.name] = replace(held, holder="", until=self.now())

    async def close(self) -> None:
        """Do nothing: what was submitted is done, and memory holds no connection."""

    def _state(self, migration: str) -> _State:
        state = self._states.get(migration)
        if state is None:
            raise no_such_migration(migration)
        return state

    def _look(self, state: _State, key: str, now: float) -> Look:
        sealed = range_of(state.ranges, key).sealed
        return Look(key, state.records.get(key), sealed, state.row, now)

    def _look_to_change(self, state: _State, key: str, now: float) -> Look:
        sealed = range_of(state.ranges, key).sealed
        extra = _holds(state.extras, key)
        verified = all(known.sealed for known in state.ranges)
        return Look(key, state.records.get(key), sealed, state.row, now, extra, verified)

    def _interval(self, state: _State, start: str, end: str | None, limit: int | None) -> Interval:
        return Interval(
            records=tuple((k, state.records[k]) for k in _slice(state.keys, start, end, limit)),
            ranges=meeting(state.ranges, start, end),
            extras=tuple(_slice(state.extras, start, end, limit)),
            migration=state.row,
            now=self.now(),
        )

    def _census(self, state: _State) -> Census:
        now = self.now()
        records = state.records.values()
        sealed = sum(known.sealed for known in state.ranges)
        return Census(
            migration=state.row,
            now=now,
            open_count=len(records),
            open_keys=tuple(state.keys[:KEYS_NAMED_MAX]),
            unsealed=len(state.ranges) - sealed,
            sealed=sealed,
            extras=len(state.extras),
            marked=sum(record.mark is not None for record in records),
            in_doubt=sum(any_doubt(record, now) for record in records),
            oldest_since=min((record.since for record in records), default=None),
        )

    @staticmethod
    def _apply(state: _State, key: str, decision: Decision[T], now: float) -> None:
        _put(state, key, decision.record)
        if decision.extra is not None:
            _note(state, key, extra=decision.extra)
        if decision.repaired:
            state.row = replace(state.row, changed_at=now)


def _slice(keys: list[str], start: str, end: str | None, limit: int | None) -> list[str]:
    first = bisect_left(keys, start)
    last = len(keys) if end is None else bisect_left(keys, end)
    return keys[first : last if limit is None else min(last, first + limit)]


def _holds(keys: list[str], key: str) -> bool:
    index = bisect_left(keys, key)
    return index < len(keys) and keys[index] == key


def _put(state: _State, key: str, record: Record | None) -> None:
    if record is None:
        if state.records.pop(key, None) is not None:
            del state.keys[bisect_left(state.keys, key)]
        return
    if key not in state.records:
        insort(state.keys, key)
    state.records[key] = record


def _note(state: _State, key: str, *, extra: bool) -> None:
    noted = _holds(state.extras, key)
    if extra and not noted:
        insort(state.extras, key)
    elif noted and not extra:
        del state.extras[bisect_left(state.extras, key)]


class MemoryProofs:
    """`Proofs` in sorted lists."""

    def __init__(self) -> None:
        self._last: dict[str, list[ProofEntry]] = {}

    async def begin(self, migration: str) -> MemoryProofWriter:
        """Begin a new proof beside the last one."""
        return MemoryProofWriter(self._last, migration)

    async def read(self, migration: str) -> AsyncIterator[ProofEntry]:
        """Read the last proof in key order; one that replaces it meanwhile is not seen."""
        for entry in self._last.get(migration, ()):
            yield entry

    async def find(self, migration: str, key: str) -> ProofEntry | None:
        """Return the key's entry of the last proof."""
        entries = self._last.get(migration, [])
        index = bisect_right(entries, key, key=_key) - 1
        return entries[index] if index >= 0 and entries[index].key == key else None


class MemoryProofWriter:
    """A proof being collected in a list."""

    def __init__(self, last: dict[str, list[ProofEntry]], migration: str) -> None:
        self._last = last
        self._migration = migration
        self._entries: list[ProofEntry] = []

    async def add(self, entries: Sequence[ProofEntry]) -> None:
        """Append entries whose keys are greater than all before."""
        last = self._entries[-1].key if self._entries else ""
        refuse_disorder(last, entries)
        self._entries.extend(entries)

    async def commit(self) -> None:
        """Replace the migration's last proof by this one."""
        self._last[self._migration] = self._entries

    async def abort(self) -> None:
        """Drop what was collected; the last proof stays."""
        self._entries = []
