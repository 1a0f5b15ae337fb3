"""Sides that stand below the backend port and do worse than the store behind them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from crossfade.errors import BackendError, BackendUnavailableError, OutcomeUnknownError
from crossfade.ports import Stager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from random import Random

    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import Attributes, ByteRange, ObjectInfo, Side
    from crossfade.ports import Backend, Body, ObjectStream, Page, Staged

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

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> Staged:
        assert isinstance(self.inner, Stager)
        return await self.inner.stage(key, body, attributes, part_bytes=part_bytes)

    async def part_bytes(self, info: ObjectInfo) -> int | None:
        assert isinstance(self.inner, Stager)
        return await self.inner.part_bytes(info)

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
            await self.lose("write", key, late)
        return await self.inner.write(key, body, attributes)

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> Staged:
        await self._answer("write", key)
        return FailingStaged(
            self, key, await super().stage(key, body, attributes, part_bytes=part_bytes)
        )

    @property
    def fails(self) -> bool:
        """Whether it fails now."""
        return self._fails()

    async def delete(self, key: str) -> None:
        if self._fails():
            await self.lose("delete", key, partial(self.inner.delete, key))
        await self.inner.delete(key)

    async def _answer(self, operation: str, key: str) -> None:
        if self._fails():
            await asyncio.sleep(CONNECT_SECONDS)
            raise self._refusal(operation, key)

    def _refusal(self, operation: str, key: str) -> BackendUnavailableError:
        message = "the side was made to fail"
        return BackendUnavailableError(message, operation=operation, key=key, side=self._side)

    async def lose(self, operation: str, key: str, late: Late | None) -> NoReturn:
        """Refuse the request, or lose its answer and perhaps the request too."""
        await asyncio.sleep(CONNECT_SECONDS)
        if late is None or self._rng.random() < REFUSED_SHARE:
            raise self._refusal(operation, key)
        if self._rng.random() < LANDS_SHARE:
            self.start(_land(late, self._rng.random() * LATE_SECONDS))
        message = "the answer was lost"
        raise OutcomeUnknownError(message, operation=operation, key=key, side=self._side)


class FailingStaged:
    """What is staged on a side that fails; its completion may get lost, or land late."""

    def __init__(self, side: FailingSide, key: str, staged: Staged) -> None:
        self._side = side
        self._key = key
        self._staged = staged
        self._unsure = False

    async def complete(self) -> ObjectInfo:
        if self._side.fails:
            try:
                await self._side.lose("write", self._key, self._staged.complete)
            except OutcomeUnknownError:
                self._unsure = True
                raise
        return await self._staged.complete()

    async def drop(self) -> None:
        """Let go of it; one that may land yet stays."""
        if not self._unsure:
            await self._staged.drop()


async def _land(late: Late, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with suppress(BackendError):
        await late()
