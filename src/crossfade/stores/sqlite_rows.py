"""The catalog's rows as one SQLite connection sees them: looks, and nothing that writes.

Used by one thread at a time. Everything is read to the end at once, so that no statement keeps a
snapshot, and with it the log, longer than the call.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from crossfade.core.catalogs import KEYS_NAMED_MAX, no_such_migration
from crossfade.core.duty import is_due
from crossfade.core.ranges import is_empty
from crossfade.core.records import Census, Interval, KeyRange, Lease, Look, MigrationRow
from crossfade.errors import InvariantError
from crossfade.stores.encoding import decode_record, decode_row
from crossfade.stores.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

    from crossfade.core.records import Record

SQL = load_queries("sqlite")
_LOOK = SQL["look"]


def key_bytes(key: str) -> bytes:
    """Return a key, or a bound of keys, as it is stored; a bound may lie between two planes."""
    return key.encode("utf-8", "surrogatepass")


def key_text(stored: bytes) -> str:
    """Return a key, or a bound of keys, that was stored."""
    return stored.decode("utf-8", "surrogatepass")


class SqliteRows:
    """Reads of the catalog; ``now`` is read by who calls, before the snapshot is taken."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._cursor = connection.cursor()
        self._within = False
        self._ids: dict[str, int] = {}
        self._decoded: dict[int, tuple[bytes, MigrationRow]] = {}

    def query(self, name: str, *bindings: bytes | str | float | None) -> list[tuple[Any, ...]]:
        """Run a named query and return all its rows."""
        return self._cursor.execute(SQL[name], bindings).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let several queries see one state; inside a transaction of this object they do anyway.

        Raises:
            InvariantError: a transaction was left open; it would show an old state for ever.
        """
        if self._within:
            yield
            return
        if self.connection.in_transaction:
            message = "a transaction that nobody knows of is open on the catalog's connection"
            raise InvariantError(message)
        self._cursor.execute("BEGIN")
        self._within = True
        try:
            yield
        finally:
            self._within = False
            self._cursor.execute("ROLLBACK")

    def begin(self) -> None:
        """Begin a transaction that writes: nobody else's is under way until it ends."""
        self._cursor.execute("BEGIN IMMEDIATE")
        self._within = True

    def commit(self) -> None:
        """Make the transaction durable; when this returns it has reached the disk."""
        self._cursor.execute("COMMIT")
        self._within = False

    def roll_back(self) -> None:
        """Drop the transaction, which SQLite may have done already, and numbers given in it."""
        self._ids.clear()
        self._within = False
        if self.connection.in_transaction:
            self._cursor.execute("ROLLBACK")

    def migration_id(self, migration: str) -> int:
        """Return the number of a migration; MigrationNotFoundError when there is none."""
        known = self._ids.get(migration)
        if known is None:
            found = self.query("migration_id", migration)
            if not found:
                raise no_such_migration(migration)
            known = self._ids[migration] = found[0][0]
        return known

    def row(self, number: int) -> MigrationRow:
        """Return a migration's row."""
        return self._row(number, self.query("migration_body", number)[0][0])

    def migrations(self) -> list[MigrationRow]:
        """Return every row, by name."""
        return [decode_row(body) for (body,) in self.query("migration_bodies")]

    def look(self, migration: str, key: str, now: float) -> Look:
        """Look one key up: one SELECT."""
        number = self._ids.get(migration) or self.migration_id(migration)
        found: list[Any] = self._cursor.execute(_LOOK, (number, key_bytes(key))).fetchall()
        body, sealed, record = found[0]
        return Look(
            key,
            None if record is None else decode_record(record),
            sealed == 1,
            self._row(number, body),
            now,
        )

    def look_to_change(self, number: int, key: str, now: float) -> Look:
        """Look one key up inside a transaction, with whether it is an extra."""
        found = self.query("look_to_change", number, key_bytes(key))[0]
        body, sealed, stored, extra, verified = found
        record = None if stored is None else decode_record(stored)
        row = self._row(number, body)
        return Look(key, record, sealed == 1, row, now, extra == 1, verified == 1)

    def interval(
        self, migration: str, start: str, end: str | None, limit: int | None, now: float
    ) -> Interval:
        """Look at the open keys, the ranges and the extras of ``start <= key < end``."""
        with self.snapshot():
            number = self.migration_id(migration)
            bounds = (number, key_bytes(start), None if end is None else key_bytes(end))
            most = -1 if limit is None else limit
            records = self.query("records_between", *bounds, most)
            return Interval(
                records=tuple((key_text(key), decode_record(body)) for key, body in records),
                ranges=self.ranges_meeting(number, start, end),
                extras=tuple(key_text(k) for (k,) in self.query("extras_between", *bounds, most)),
                migration=self.row(number),
                now=now,
            )

    def census(self, migration: str, now: float) -> Census:
        """Count what is open, in doubt, marked, unsealed and extra."""
        with self.snapshot():
            number = self.migration_id(migration)
            open_count, marked, in_doubt, oldest = self.query("records_count", number, now)[0]
            sealed, ranges = self.query("ranges_count", number)[0]
            first = self.query("records_between", number, b"", None, KEYS_NAMED_MAX)
            return Census(
                migration=self.row(number),
                now=now,
                open_count=open_count,
                open_keys=tuple(key_text(key) for key, _ in first),
                unsealed=ranges - int(sealed),
                sealed=int(sealed),
                extras=self.query("extras_count", number)[0][0],
                marked=int(marked),
                in_doubt=in_doubt,
                oldest_since=oldest,
            )

    def due(self, migration: str, limit: int, now: float) -> list[tuple[str, Record]]:
        """Return open keys that recovery or the copier can work on now, longest open first."""
        with self.snapshot():
            number = self.migration_id(migration)
            if not self.row(number).completed:
                found = self.query("records_due", number, now, limit)
                return [(key_text(key), decode_record(body)) for key, body in found]
            # After `complete` only writes under way have records: a handful.
            by_age = self.query("records_by_age", number)
        pairs = ((key_text(key), decode_record(body)) for key, body in by_age)
        return [(key, record) for key, record in pairs if is_due(record, now, completed=True)][
            :limit
        ]

    def ranges(self, migration: str) -> tuple[KeyRange, ...]:
        """Return all ranges in key order."""
        with self.snapshot():
            return self.ranges_meeting(self.migration_id(migration), "", None)

    def ranges_meeting(self, number: int, start: str, end: str | None) -> tuple[KeyRange, ...]:
        """Return the ranges that share a key with ``start <= key < end``, whole."""
        if is_empty(start, end):
            return ()
        last = None if end is None else key_bytes(end)
        found = self.query("ranges_meeting", number, key_bytes(start), last)
        return tuple(
            KeyRange(
                start=key_text(first),
                end=None if following is None else key_text(following),
                sealed=sealed == 1,
            )
            for first, sealed, following in found
        )

    def lease(self, name: str) -> Lease | None:
        """Return a named lease as it was taken or given back last."""
        found = self.query("lease", name)
        if not found:
            return None
        holder, epoch, until = found[0]
        return Lease(name=name, holder=holder, epoch=epoch, until=until)

    def about(self, name: str) -> str | None:
        """Return what the file says of itself under that name."""
        found = self.query("about", name)
        return found[0][0] if found else None

    def _row(self, number: int, body: bytes) -> MigrationRow:
        """Decode a row, which nearly always has the same bytes as at the look before."""
        known = self._decoded.get(number)
        if known is not None and known[0] == body:
            return known[1]
        row = decode_row(body)
        self._decoded[number] = (body, row)
        return row
