"""The catalog in one SQLite file, for one process or several of one host; asyncio only.

Looks run on the event loop, on a connection of their own (about 10 µs; a thread would double
that). Changes go to one writer thread, which commits all that wait at once. A catalog
belongs to the thread of the event loop that uses it first.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import apsw

from crossfade.core.catalogs import refuse_other_migration
from crossfade.core.protocol import doubt_until
from crossfade.core.settings import Timing
from crossfade.errors import StoreUnavailableError
from crossfade.stores.sqlite_changes import SqliteChanges
from crossfade.stores.sqlite_connections import (
    SQLITE_FAILURES,
    Place,
    create_file,
    open_reading,
    open_writing,
    refuse_old_sqlite,
    translated,
)
from crossfade.stores.sqlite_looks import SqliteLooks
from crossfade.stores.sqlite_rows import SqliteRows
from crossfade.stores.sqlite_schema import bring_up, is_up, read_boot_id
from crossfade.stores.sqlite_writer import SqliteWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

BUSY_SECONDS = 10.0
"""How long a change waits for another process's transaction before it is an error."""

DOUBT_SECONDS = doubt_until(0.0, Timing(), completes=True)


class SqliteCatalog:
    """A `Catalog` in one file; it is opened, and created, when it is first used.

    Args:
        path: the file; beside it lie its ``-wal`` and ``-shm``. The disk must be a local one.
        clock: a monotonic clock that all processes of the host share.
        boot_id: what names this run of the machine; read from the system by default.
        busy_seconds: how long a change waits for another process's.
        doubt_seconds: the longest that a doubt lasts; after a reboot every doubt lasts as long as
            the longest that any process of the file has named.

    Raises:
        ConfigurationError: SQLite is too old.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        boot_id: str | None = None,
        busy_seconds: float = BUSY_SECONDS,
        doubt_seconds: float = DOUBT_SECONDS,
    ) -> None:
        refuse_old_sqlite(apsw.sqlite_lib_version())
        self._place = Place(path=Path(path).absolute(), busy_seconds=busy_seconds)
        self._clock = clock
        self._boot_id = boot_id
        self._doubt_seconds = doubt_seconds
        self._opening = asyncio.Lock()
        self._rows: SqliteRows | None = None
        self._looks: SqliteLooks | None = None
        self._writer: SqliteWriter | None = None
        self._gone = ""
        _catalogs.add(self)

    def now(self) -> float:
        """Return the clock that was given."""
        return self._clock()

    async def prepare(self, row: MigrationRow) -> MigrationRow:
        for known in await self.migrations():
            if known.name == row.name:
                refuse_other_migration(known, row)
                return known
        return await self._submit(lambda changes: changes.prepare(row))

    async def migrations(self) -> Sequence[MigrationRow]:
        return await self._read(SqliteRows.migrations)

    async def look(self, migration: str, key: str) -> Look:
        if self._looks is None:
            await self._open()
        assert self._looks is not None
        return await self._looks.look(migration, key)

    async def look_between(
        self, migration: str, start: str, end: str | None, limit: int | None = None
    ) -> Interval:
        now = self._clock()
        return await self._read(lambda rows: rows.interval(migration, start, end, limit, now))

    async def change(self, migration: str, key: str, decide: Callable[[Look], Decision[T]]) -> T:
        return await self._submit(lambda changes: changes.change(migration, key, decide))

    async def change_many(
        self, migration: str, decides: Sequence[tuple[str, Callable[[Look], Decision[T]]]]
    ) -> list[T]:
        return await self._submit(lambda changes: changes.change_many(migration, decides))

    async def change_row(
        self, migration: str, decide: Callable[[Census], tuple[MigrationRow, T]]
    ) -> T:
        return await self._submit(lambda changes: changes.change_row(migration, decide))

    async def census(self, migration: str) -> Census:
        now = self._clock()
        return await self._read(lambda rows: rows.census(migration, now))

    async def due(self, migration: str, limit: int) -> Sequence[tuple[str, Record]]:
        now = self._clock()
        return await self._read(lambda rows: rows.due(migration, limit, now))

    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        return await self._submit(
            lambda changes: changes.seal(migration, start, end, decide, lease)
        )

    async def unseal(self, migration: str) -> None:
        await self._submit(lambda changes: changes.unseal(migration))

    async def ranges(self, migration: str) -> Sequence[KeyRange]:
        return await self._read(lambda rows: rows.ranges(migration))

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        return await self._submit(lambda changes: changes.take_lease(name, holder, seconds))

    async def release_lease(self, lease: Lease) -> None:
        await self._submit(lambda changes: changes.release_lease(lease))

    async def close(self) -> None:
        """Finish what was submitted and let go of the file; safe to call twice."""
        async with self._opening:
            self._gone = self._gone or "the catalog was closed"
            looks, self._looks = self._looks, None
            rows, self._rows = self._rows, None
            writer, self._writer = self._writer, None
            if looks is not None:
                looks.finish()
            if rows is not None:
                rows.connection.close()
            if writer is not None:
                await writer.stop()

    async def _read(self, look: Callable[[SqliteRows], T]) -> T:
        rows = self._rows or await self._open()
        try:
            found = look(rows)
        except SQLITE_FAILURES as error:
            raise translated(error, self._place) from error
        self._place.file.require()
        return found

    async def _submit(self, act: Callable[[SqliteChanges], T]) -> T:
        if self._writer is None:
            await self._open()
        assert self._writer is not None
        return await self._writer.submit(act)

    async def _open(self) -> SqliteRows:
        """Open the file: the writer on its thread first, which may have to wait for others."""
        async with self._opening:
            if self._gone:
                raise StoreUnavailableError(self._gone, hint="open it anew")
            if self._rows is not None:
                return self._rows
            writer = SqliteWriter(self._open_changes, self._place)
            try:
                await writer.start()
                rows = SqliteRows(open_reading(self._place))
            except apsw.Error as error:
                await writer.stop()
                raise translated(error, self._place) from error
            except BaseException:
                writer.abandon()
                raise
            self._writer, self._rows = writer, rows
            self._looks = SqliteLooks(rows, self._clock, self._place)
            return rows

    def _open_changes(self) -> SqliteChanges:
        """Open the writing connection and bring the file up; on the writer's thread."""
        identity = create_file(self._place.path)
        boot_id = self._boot_id if self._boot_id is not None else read_boot_id()
        connection = open_writing(self._place)
        changes = SqliteChanges(connection, self._clock)
        try:
            # A file that is up is opened without a lock: nobody's transaction holds that up.
            if not is_up(changes, self._place, boot_id, self._doubt_seconds):
                changes.rows.begin()
                bring_up(
                    changes,
                    self._place,
                    boot_id=boot_id,
                    now=self._clock(),
                    doubt_seconds=self._doubt_seconds,
                )
                changes.rows.commit()
            self._place.file.opened(identity)
            self._place.file.require(log=True)
        except BaseException:
            connection.close()
            raise
        return changes

    def _forget(self) -> None:
        """Let go of everything in a child of this process, where none of it may be touched.

        SQLite's locks belong to the parent, and one that the writer's thread held at the fork is
        held for ever in the child: even closing could wait for it. So the connections are left as
        they are until the child ends.
        """
        for held in (self._rows, self._writer):
            if held is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
        self._rows = self._looks = self._writer = None
        self._opening = asyncio.Lock()
        self._gone = "the catalog was opened before this process was forked"


_catalogs: weakref.WeakSet[SqliteCatalog] = weakref.WeakSet()


def _forget_all() -> None:
    for catalog in list(_catalogs):
        catalog._forget()  # noqa: SLF001 - the other half of this module


os.register_at_fork(after_in_child=_forget_all)
