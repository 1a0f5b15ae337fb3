"""Sides that stand below the backend port and do worse than the store behind them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from crossfade.errors import BackendError, BackendUnavailableError, OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from random import Random

    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import Attributes, ByteRange, ObjectInfo, Side
    from crossfade.ports import Backend, Body, ObjectStream, Page

    Late = Callable[[], Awaitable[object]]

REFUSED_SHARE = 0.9
LANDS_SHARE = 0.5
"""While a side fails most requests do not get there; of the others nobody learns the outcome,
and half of those take effect: at once, or later."""

LATE_SECONDS = 2.0
HELD_SECONDS = 0.01
CONNECT_SECONDS = 0.002


class PassingSide:
    """Hands every call on to the side behind it; what it starts by itself is its `later`."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.later: set[asyncio.Task[None]] = set()

    @property
    def capabilities(self) -> Capabilities:
        """Those of the side behind it."""
        return self.inner.capabilities

    @property
    def location(self) -> str:
        """That of the side behind it."""
        return self.inner.location

    async def prepare(self, *, create: bool) -> None:
        await self.inner.prepare(create=create)

    async def stat(self, key: str) -> ObjectInfo:
        return await self.inner.stat(key)

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        return await self.inner.read(key, byte_range=byte_range, if_match=if_match)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        return await self.inner.write(key, body, attributes)

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    async def list(self, *, prefix: str = "", after: str = "", limit: int | None = None) -> Page:
        return await self.inner.list(prefix=prefix, after=after, limit=limit)

    async def close(self) -> None:
        await self.settle()
        await self.inner.close()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside the calls."""
        task = asyncio.create_task(work)
        self.later.add(task)
        task.add_done_callback(self.later.discard)

    async def settle(self) -> None:
        """Wait until all that was started beside the calls is done."""
        if self.later:
            await asyncio.wait(self.later)


class HoldingSide(PassingSide):
    """A side on which no change begins while it is told to hold them.

    Args:
        holds: tells whether it holds them now.

    Attributes:
        under_way: how many changes have begun and not ended.
    """

    def __init__(self, inner: Backend, holds: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._holds = holds
        self.under_way = 0

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        async with self._change():
            return await self.inner.write(key, body, attributes)

    async def delete(self, key: str) -> None:
        async with self._change():
            await self.inner.delete(key)

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[None]:
        while self._holds():  # noqa: ASYNC110 - what a process is told stands in a file
            await asyncio.sleep(HELD_SECONDS)
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1


class FailingSide(PassingSide):
    """A side that fails while it is told to.

    Args:
        fails: tells whether it fails now.
    """

    def __init__(self, inner: Backend, side: Side, fails: Callable[[], bool], rng: Random) -> None:
        super().__init__(inner)
        self._side = side
        self._fails = fails
        self._rng = rng

    async def stat(self, key: str) -> ObjectInfo:
        await self._answer("stat", key)
        return await self.inner.stat(key)

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        await self._answer("read", key)
        return await self.inner.read(key, byte_range=byte_range, if_match=if_match)

    async def list(self, *, prefix: str = "", after: str = "", limit: int | None = None) -> Page:
        await self._answer("list", prefix)
        return await self.inner.list(prefix=prefix, after=after, limit=limit)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        if self._fails():
            # A body that is not in memory is the caller's, who lets go of it: it never lands late.
            late = None if body.data is None else partial(self.inner.write, key, body, attributes)
            await self._lose("write", key, late)
        return await self.inner.write(key, body, attributes)

    async def delete(self, key: str) -> None:
        if self._fails():
            await self._lose("delete", key, partial(self.inner.delete, key))
        await self.inner.delete(key)

    async def _answer(self, operation: str, key: str) -> None:
        if self._fails():
            await asyncio.sleep(CONNECT_SECONDS)
            raise self._refusal(operation, key)

    def _refusal(self, operation: str, key: str) -> BackendUnavailableError:
        message = "the side was made to fail"
        return BackendUnavailableError(message, operation=operation, key=key, side=self._side)

    async def _lose(self, operation: str, key: str, late: Late | None) -> NoReturn:
        """Refuse the request, or lose its answer and perhaps the request too."""
        await asyncio.sleep(CONNECT_SECONDS)
        if late is None or self._rng.random() < REFUSED_SHARE:
            raise self._refusal(operation, key)
        if self._rng.random() < LANDS_SHARE:
            self.start(_land(late, self._rng.random() * LATE_SECONDS))
        message = "the answer was lost"
        raise OutcomeUnknownError(message, operation=operation, key=key, side=self._side)


async def _land(late: Late, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with suppress(BackendError):
        await late()
