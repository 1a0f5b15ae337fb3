"""What changes the catalog's rows, each inside the transaction that is under way.

A decision is asked before anything is written, so that one that raises leaves the transaction,
which holds the changes of others too, as it was.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from crossfade.core.catalogs import (
    next_lease,
    next_row,
    refuse_other_migration,
    refuse_stale_epoch,
)
from crossfade.core.duty import due_at
from crossfade.core.ranges import is_empty, sealed_over
from crossfade.core.records import WHOLE
from crossfade.stores.encoding import encode_record, encode_row
from crossfade.stores.sqlite_rows import SqliteRows, key_bytes, key_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import apsw

    from crossfade.core.records import (
        Census,
        Decision,
        Interval,
        KeyRange,
        Lease,
        Look,
        MigrationRow,
        Record,
    )

T = TypeVar("T")


class SqliteChanges:
    """Changes on the writing connection; used by the writer's thread alone."""

    def __init__(self, connection: apsw.Connection, clock: Callable[[], float]) -> None:
        self.rows = SqliteRows(connection)
        self._clock = clock

    def prepare(self, row: MigrationRow) -> MigrationRow:
        """Return the migration's row, made from ``row`` with one unsealed range if it is new."""
        found = self.rows.query("migration_id", row.name)
        if found:
            known = self.rows.row(found[0][0])
            refuse_other_migration(known, row)
            return known
        number = self.rows.query("migration_add", row.name, encode_row(row))[0][0]
        self._add_ranges(number, (WHOLE,))
        return row

    def change(self, migration: str, key: str, decide: Callable[[Look], Decision[T]]) -> T:
        """Decide on one key and return the decision's answer."""
        return self._change(self.rows.migration_id(migration), key, decide, self._clock())

    def change_many(
        self, migration: str, decides: Sequence[tuple[str, Callable[[Look], Decision[T]]]]
    ) -> list[T]:
        """Decide on several keys; when one decision raises, none of them changes."""
        number = self.rows.migration_id(migration)
        now = self._clock()
        with self._together():
            return [self._change(number, key, decide, now) for key, decide in decides]

    def change_row(self, migration: str, decide: Callable[[Census], tuple[MigrationRow, T]]) -> T:
        """Decide on the migration's row; a change raises its version by one."""
        census = self.rows.census(migration, self._clock())
        decided, answer = decide(census)
        self._put_row(self.rows.migration_id(migration), next_row(census.migration, decided))
        return answer

    def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None,
    ) -> bool:
        """Seal an interval if the decision allows it, splitting and merging ranges."""
        number = self.rows.migration_id(migration)
        if lease is not None:
            refuse_stale_epoch(lease, self.rows.lease(lease.name))
        interval = self.rows.interval(migration, start, end, None, self._clock())
        if not decide(interval):
            return False
        if not is_empty(start, end):
            run = self._run_around(number, interval.ranges)
            self.rows.query("ranges_drop", number, key_bytes(run[0].start), _end(run))
            self._add_ranges(number, sealed_over(run, start, end))
        self._put_row(number, replace(interval.migration, changed_at=interval.now))
        return True

    def unseal(self, migration: str) -> None:
        """Make the whole key space one unsealed range; older proofs are stale."""
        number = self.rows.migration_id(migration)
        self.rows.query("ranges_drop", number, b"", None)
        self._add_ranges(number, (WHOLE,))
        self._put_row(number, replace(self.rows.row(number), changed_at=self._clock()))

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take, or renew, a named lease; None while another holder has it."""
        lease = next_lease(self.rows.lease(name), name, holder, self._clock(), seconds)
        if lease is not None:
            self.put_lease(lease)
        return lease

    def release_lease(self, lease: Lease) -> None:
        """Give a named lease back if it is still held at that epoch."""
        held = self.rows.lease(lease.name)
        if held is not None and held.epoch == lease.epoch:
            self.put_lease(replace(held, holder="", until=self._clock()))

    def put_lease(self, lease: Lease) -> None:
        """Store a named lease."""
        self.rows.query("lease_put", lease.name, lease.holder, lease.epoch, lease.until)

    def put_record(self, number: int, key: bytes, record: Record) -> None:
        """Store an open key, with what SQL selects it by."""
        doubt_until = max(record.doubt.source or 0.0, record.doubt.target or 0.0)
        self.rows.query(
            "record_put",
            number,
            key,
            encode_record(record),
            record.since,
            due_at(record, completed=False),
            doubt_until,
            record.mark is not None,
        )

    def _change(
        self, number: int, key: str, decide: Callable[[Look], Decision[T]], now: float
    ) -> T:
        look = self.rows.look_to_change(number, key, now)
        decision = decide(look)
        stored = key_bytes(key)
        if decision.record is None:
            if look.record is not None:
                self.rows.query("record_drop", number, stored)
        elif decision.record is not look.record:
            self.put_record(number, stored, decision.record)
        if decision.extra is not None and decision.extra != look.extra:
            self.rows.query("extra_note" if decision.extra else "extra_drop", number, stored)
        if decision.repaired:
            self._put_row(number, replace(look.migration, changed_at=now))
        return decision.answer

    def _put_row(self, number: int, row: MigrationRow) -> None:
        if row != self.rows.row(number):
            self.rows.query("migration_put", number, encode_row(row))

    def _run_around(self, number: int, ranges: tuple[KeyRange, ...]) -> tuple[KeyRange, ...]:
        """Return the ranges with their neighbours, which may have to be merged with them."""
        before = self.rows.query("range_before", number, key_bytes(ranges[0].start))[0][0]
        start = ranges[0].start if before is None else key_text(before)
        end = ranges[-1].end
        # The range that starts at ``end`` meets every interval that reaches just past it.
        return self.rows.ranges_meeting(number, start, None if end is None else end + "\0")

    def _add_ranges(self, number: int, ranges: Sequence[KeyRange]) -> None:
        for known in ranges:
            self.rows.query("range_add", number, key_bytes(known.start), known.sealed)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Undo everything inside when it raises, and nothing else of the transaction."""
        connection = self.rows.connection
        connection.execute("SAVEPOINT many")
        try:
            yield
        except BaseException:
            # A full disk makes SQLite roll back everything by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK TO many; RELEASE many")
            raise
        connection.execute("RELEASE many")


def _end(run: Sequence[KeyRange]) -> bytes | None:
    last = run[-1].end
    return None if last is None else key_bytes(last)
