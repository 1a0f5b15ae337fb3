"""Work that goes on after the caller got its answer: commits, mirrors, recovery."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from crossfade.errors import CrossfadeError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

log = logging.getLogger("crossfade.files")


class Background:
    """Tasks that outlive their callers, bounded in number, drained at the end.

    A task that fails, or comes after the end, leaves its key open in the catalog; the next
    recovery goes on with it.

    Attributes:
        failed: how many tasks ended with an error that is not Crossfade's own.
    """

    def __init__(self, tasks_max: int) -> None:
        self._tasks_max = tasks_max
        self._group: TaskGroup | None = None
        self._closed = False
        self._running = 0
        self._idle = anyio.Event()
        self._idle.set()
        self.failed = 0

    @property
    def running(self) -> int:
        """How many tasks are under way."""
        return self._running

    @property
    def full(self) -> bool:
        """Whether no more can be started, or it is closed: the caller does the work itself."""
        is_open = self._group is not None and not self._closed
        return not is_open or self._running >= self._tasks_max

    def use(self, group: TaskGroup) -> None:
        """Run tasks in this group from now on."""
        self._group = group

    def close(self) -> None:
        """Run nothing more."""
        self._closed = True

    def start(self, work: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task; its errors are logged, never raised, but for a bug of Crossfade's."""
        if self._group is None:
            message = "the migration's files are not open"
            raise InvariantError(message)
        if self._closed:
            log.warning("work was left to recovery: the migration's files were closed before it")
            return
        if not self._running:
            self._idle = anyio.Event()
        self._running += 1
        self._group.start_soon(self._run, work, args)

    async def _run(self, work: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        try:
            await work(*args)
        except CrossfadeError as error:
            log.warning("background work stopped, recovery goes on with it: %s", error)
        except InvariantError:
            raise
        except Exception:
            self.failed += 1
            log.exception("background work failed, its key stays open; recovery goes on with it")
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def drain(self, seconds: float) -> bool:
        """Wait until nothing runs, at most so long; tell whether nothing does."""
        with anyio.move_on_after(seconds):
            await self._idle.wait()
        return not self._running
