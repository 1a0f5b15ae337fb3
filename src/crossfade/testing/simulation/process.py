"""A simulated process: it can die without its clean-up, and sleep through its leases."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.lowlevel

from crossfade.errors import StoreUnavailableError

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
    from crossfade.stores.memory import MemoryCatalog
    from crossfade.testing.simulation.judge import Judge

T = TypeVar("T")


class Crashed(BaseException):
    """Raised where a dead process would act: nothing that it does has any effect."""


class Process:
    """One process of the world, for one life.

    Attributes:
        staged: what it has staged and neither completed nor let go of.
    """

    def __init__(self, name: str, judge: Judge) -> None:
        self.name = name
        self.judge = judge
        self.dead = False
        self.scope: anyio.CancelScope | None = None
        self.staged: set[object] = set()
        self._awake = anyio.Event()
        self._awake.set()
        self._appetite: dict[str, str] = {}

    async def gate(self) -> None:
        """Let nothing of a dead process pass, and hold up what a sleeping one does."""
        if self.dead:
            raise Crashed
        if not self._awake.is_set():
            with anyio.CancelScope(shield=True):
                await self._awake.wait()
            if self.dead:
                raise Crashed

    def kill(self) -> None:
        """Die: tasks end, their clean-up has no effect, requests under way go on."""
        self.dead = True
        self._awake.set()
        if self.scope is not None:
            self.scope.cancel()

    async def sleep_through(self, seconds: float) -> None:
        """Do nothing for a while; timers run out meanwhile."""
        if self.dead or not self._awake.is_set():
            return
        self._awake = anyio.Event()
        try:
            await self.judge.clock.pause(seconds)
        finally:
            self._awake.set()

    def tempt(self, point: str, what: str) -> None:
        """Die or sleep the next time that the process stands at that point."""
        self._appetite[point] = what

    # -- the probe of its engine

    def reached(self, name: str) -> None:
        """Note a mark."""
        self.judge.reached(name)

    async def point(self, name: str) -> None:
        """Do at a named point what was planned for it."""
        what = self._appetite.pop(name, None)
        match None if self.judge.healed else what:
            case "die":
                self.judge.crashed(self)
                raise Crashed
            case "stall":
                self.judge.fault("stall")
                await self.judge.clock.pause(self.judge.stall_seconds())
            case "sleep":
                self.judge.fault("pause")
                self.judge.group.start_soon(self.sleep_through, self.judge.pause_seconds())
                await anyio.lowlevel.checkpoint()
                await self.gate()
            case _:
                pass


class SimulatedCatalog:
    """The catalog as one process reaches it: each transaction takes a little time."""

    def __init__(self, inner: MemoryCatalog, process: Process) -> None:
        self._inner = inner
        self._process = process
        self._judge = process.judge
        self._random = process.judge.chance.of(f"{process.name}:catalog")

    def now(self) -> float:
        return self._inner.now()

    async def _pass(self) -> None:
        await self._process.gate()
        await self._judge.clock.pause(self._random.expovariate(1 / 0.001))
        await self._process.gate()
        judge = self._judge
        if not judge.healed and self._random.random() < judge.plan.fault_share * 0.02:
            judge.fault("catalog")
            message = "the store is away"
            raise StoreUnavailableError(message)

    async def _replied(self) -> None:
        await self._judge.clock.pause(self._random.expovariate(1 / 0.0005))
        await self._process.gate()

    async def prepare(self, row: MigrationRow) -> MigrationRow:
        return await self._inner.prepare(row)

    async def migrations(self) -> Sequence[MigrationRow]:
        return await self._inner.migrations()

    async def look(self, migration: str, key: str) -> Look:
        await self._pass()
        return await self._inner.look(migration, key)

    async def look_between(
        self, migration: str, start: str, end: str | None, limit: int | None = None
    ) -> Interval:
        await self._pass()
        return await self._inner.look_between(migration, start, end, limit)

    async def change(self, migration: str, key: str, decide: Callable[[Look], Decision[T]]) -> T:
        await self._pass()
        answer = await self._inner.change(migration, key, self._judge.watching(decide))
        self._judge.changed(key)
        await self._replied()
        return answer

    async def change_many(
        self, migration: str, decides: Sequence[tuple[str, Callable[[Look], Decision[T]]]]
    ) -> list[T]:
        await self._pass()
        answers = await self._inner.change_many(migration, decides)
        await self._replied()
        return answers

    async def change_row(
        self, migration: str, decide: Callable[[Census], tuple[MigrationRow, T]]
    ) -> T:
        await self._pass()
        answer = await self._inner.change_row(migration, decide)
        await self._replied()
        return answer

    async def census(self, migration: str) -> Census:
        await self._pass()
        return await self._inner.census(migration)

    async def due(self, migration: str, limit: int) -> Sequence[tuple[str, Record]]:
        await self._pass()
        return await self._inner.due(migration, limit)

    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        await self._pass()
        sealed = await self._inner.seal(
            migration, start, end, self._judge.watching_seal(decide), lease
        )
        self._judge.changed(None)
        await self._replied()
        return sealed

    async def unseal(self, migration: str) -> None:
        await self._inner.unseal(migration)

    async def ranges(self, migration: str) -> Sequence[KeyRange]:
        await self._pass()
        return await self._inner.ranges(migration)

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        await self._pass()
        return await self._inner.take_lease(name, holder, seconds)

    async def release_lease(self, lease: Lease) -> None:
        await self._pass()
        await self._inner.release_lease(lease)

    async def close(self) -> None:
        return
