"""The thread that writes: everything that waits goes into one commit (group commit).

A commit costs a write that reaches the disk, whether it holds one change or five hundred. While
one is under way the callers of the event loop queue up, and the next takes them all.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import apsw

from crossfade.errors import StoreReplacedError, StoreUnavailableError
from crossfade.stores.sqlite_connections import SQLITE_FAILURES, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crossfade.stores.sqlite_changes import SqliteChanges
    from crossfade.stores.sqlite_connections import Place

T = TypeVar("T")

BATCH_MAX = 512
"""How many changes share a commit at most: the last of them waits for all."""


@dataclass(slots=True)
class Work(Generic[T]):
    """One change that waits: what to do, and who is told."""

    act: Callable[[SqliteChanges], T]
    future: asyncio.Future[T]
    answer: T | None = None
    error: BaseException | None = None


class SqliteWriter:
    """One thread with the only writing connection of this process.

    The queue is bounded by its callers: each waits for its own change.
    """

    def __init__(self, open_changes: Callable[[], SqliteChanges], place: Place) -> None:
        self._open_changes = open_changes
        self._place = place
        self._queue: queue.SimpleQueue[Work[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="crossfade-catalog", daemon=True)
        self._stopped: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Open the file on the thread; an error is raised here and ends the thread."""
        opened = self.submit(lambda _: None)
        self._thread.start()
        await opened

    def submit(self, act: Callable[[SqliteChanges], T]) -> asyncio.Future[T]:
        """Queue a change; the future has its answer once it is durable.

        A caller that is cancelled does not take its change back: it may be in a commit already.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(Work(act, future))
        return future

    async def stop(self) -> None:
        """Finish what was submitted, close the connection and end the thread."""
        if self._stopped is None:
            self._stopped = asyncio.get_running_loop().create_future()
            self._queue.put(None)
        await self._stopped

    def abandon(self) -> None:
        """Let the thread end by itself, its connection closed: its caller does not wait for it."""
        self._queue.put(None)

    def _run(self) -> None:
        """Take what waits, commit it at once, tell everybody at once; the thread's whole life."""
        first = self._queue.get()
        assert first is not None
        try:
            changes = self._open_changes()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
            first.error = translated(error, self._place)
            if first.error is not error:
                first.error.__cause__ = error
            _tell([first])
            return
        _tell([first])
        going_on = True
        while going_on:
            batch, going_on = self._take()
            if batch:
                commit_together(changes, batch, self._place)
                _tell(batch)
        changes.rows.connection.close()
        if self._stopped is not None:
            _call(self._stopped.get_loop(), _resolve_stopped, self._stopped)

    def _take(self) -> tuple[list[Work[Any]], bool]:
        """Wait for a change, and take those that wait with it; whether more may come."""
        batch: list[Work[Any]] = []
        work = self._queue.get()
        while work is not None:
            batch.append(work)
            if len(batch) == BATCH_MAX:
                return batch, True
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False


def commit_together(changes: SqliteChanges, batch: Sequence[Work[Any]], place: Place) -> None:
    """Do all changes in one transaction; where that fails, each in its own.

    So a change that does not fit on the disk, or meets a damaged page, fails alone.
    """
    failure = _attempt(changes, batch, place)
    if failure is None:
        return
    if len(batch) == 1 or isinstance(failure, StoreUnavailableError | StoreReplacedError):
        for work in batch:
            work.error = failure
        return
    for work in batch:
        work.error = _attempt(changes, [work], place) or work.error


def _attempt(changes: SqliteChanges, batch: Sequence[Work[Any]], place: Place) -> Exception | None:
    """Run a transaction of these changes; return why nothing of it has happened, or None."""
    if not place.file.is_same(log=True):
        return place.file.error()
    try:
        # What SQLite remembers of the file would hide that somebody else wrote into it.
        changes.rows.connection.release_memory()
        changes.rows.begin()
        for work in batch:
            _do(changes, work)
        changes.rows.commit()
    except SQLITE_FAILURES as error:
        failure = translated(error, place)
        failure.__cause__ = error
        try:
            changes.rows.roll_back()
        except apsw.Error as second:
            failure.add_note(f"and rolling back failed: {second}")
        return failure
    return None if place.file.is_same(log=True) else place.file.error()


def _do(changes: SqliteChanges, work: Work[Any]) -> None:
    """Run one change; what its decision raises is its own and leaves the others alone."""
    work.error = None
    try:
        work.answer = work.act(changes)
    except SQLITE_FAILURES:
        # It fails the transaction, not only the change that met it.
        raise
    except StopIteration as error:
        # A future does not take it: the caller would wait for ever.
        work.error = RuntimeError("a decision raised StopIteration")
        work.error.__cause__ = error
    except BaseException as error:  # noqa: BLE001 - the thread must live, the caller is told
        work.error = error


def _tell(batch: Sequence[Work[Any]]) -> None:
    """Wake all callers with one call into each of their event loops."""
    loops: dict[asyncio.AbstractEventLoop, list[Work[Any]]] = {}
    for work in batch:
        loops.setdefault(work.future.get_loop(), []).append(work)
    for loop, works in loops.items():
        _call(loop, _resolve, works)


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[T], None], argument: T) -> None:
    """Run a callback on a loop; one that was closed meanwhile has nobody left to be told."""
    try:
        loop.call_soon_threadsafe(callback, argument)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _resolve(batch: Sequence[Work[Any]]) -> None:
    for work in batch:
        if work.future.done():
            continue
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.answer)


def _resolve_stopped(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
