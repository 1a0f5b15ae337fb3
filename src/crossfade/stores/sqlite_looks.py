"""Looks at keys: those that are asked for in one turn of the event loop share a snapshot.

SQLite lets go of the interpreter's lock at every step. With threads at work beside the loop, the
loop then stands in line for it, again and again: a look cost forty microseconds of CPU where it
takes ten. So looks wait for the end of the turn and are taken one after the other, before the
loop hands out the work that wakes the threads. Each snapshot begins after all its looks were
asked for, as rule 4 wants it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crossfade.errors import StoreReplacedError
from crossfade.stores.sqlite_connections import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.records import Look
    from crossfade.stores.sqlite_connections import Place
    from crossfade.stores.sqlite_rows import SqliteRows

SINGLE_LOOKS = 16
"""How many looks wait for no turn after one that was alone in its own: nobody else looks."""


class SqliteLooks:
    """Looks on the connection that reads."""

    def __init__(self, rows: SqliteRows, clock: Callable[[], float], place: Place) -> None:
        self._rows = rows
        self._clock = clock
        self._place = place
        self._single = SINGLE_LOOKS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[str, str, asyncio.Future[Look]]] = []

    def look(self, migration: str, key: str) -> asyncio.Future[Look]:
        """Look one key up."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Look] = loop.create_future()
        if self._single:
            self._single -= 1
            if self._place.file.is_same():
                self._answer(migration, key, self._clock(), future)
            else:
                future.set_exception(self._place.file.error())
            return future
        if loop is not self._loop or not self._waiting:
            self._loop, self._waiting = loop, []
            loop.call_soon(self._look_for_all, self._waiting)
        self._waiting.append((migration, key, future))
        return future

    def finish(self) -> None:
        """Answer those who wait; no look is asked for after this."""
        self._look_for_all(self._waiting)

    def _look_for_all(self, waiting: list[tuple[str, str, asyncio.Future[Look]]]) -> None:
        self._waiting = []
        waiting = [one for one in waiting if not one[2].done()]
        if not waiting:
            return
        if len(waiting) == 1:
            self._single = SINGLE_LOOKS
        now = self._clock()
        try:
            with self._rows.snapshot():
                self._place.file.require()
                for migration, key, future in waiting:
                    self._answer(migration, key, now, future)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers are told
            for _, _, future in waiting:
                if not future.done():
                    future.set_exception(self._failure(error))

    def _answer(self, migration: str, key: str, now: float, future: asyncio.Future[Look]) -> None:
        try:
            look = self._rows.look(migration, key, now)
        except Exception as error:  # noqa: BLE001 - it is this caller's alone
            future.set_exception(self._failure(error))
        else:
            future.set_result(look)

    def _failure(self, error: Exception) -> Exception:
        """Return what to raise, a new error for each caller."""
        if isinstance(error, StoreReplacedError):
            return self._place.file.error()
        failure = translated(error, self._place)
        if failure is not error:
            failure.__cause__ = error
        return failure
