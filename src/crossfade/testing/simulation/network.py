"""Simulated requests: they take time, fail, and go on after their sender has stopped waiting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import anyio

from crossfade.errors import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    SlowDownError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from anyio.abc import TaskGroup

    from crossfade.backends.memory import MemoryBackend, MemoryStaged
    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import Attributes, ByteRange, ObjectInfo, Side
    from crossfade.ports import Body, ObjectStream, Page
    from crossfade.testing.simulation.judge import Judge
    from crossfade.testing.simulation.plan import Plan
    from crossfade.testing.simulation.process import Process

T = TypeVar("T")

READ_SECONDS_MAX = 12.0
"""A reply of a read may take longer than any doubt lasts: its second look must find that out."""


class Network:
    """What lies between processes and sides; requests in it outlive their senders."""

    def __init__(self, plan: Plan, judge: Judge, group: TaskGroup) -> None:
        self.plan = plan
        self.judge = judge
        self.group = group
        self.healed = False
        self.away: set[Side] = set()
        self.under_way: Counter[tuple[Side, str]] = Counter()

    def breaks(self, random: Random, share: float) -> bool:
        """Draw whether this request meets a fault."""
        return not self.healed and random.random() < share

    def pause(self, random: Random, longest: float | None = None) -> float:
        """Draw how long a message takes; a few take long, those of a write within `late_max`."""
        if self.breaks(random, self.plan.slow_share):
            self.judge.fault("slow")
            return random.uniform(0.2, longest or self.plan.settings.timing.late_max * 0.45)
        return random.expovariate(1 / 0.01)

    def write_pause(self, random: Random) -> float:
        """Draw how long a message of a write takes, within `late_max`."""
        mean = self.plan.write_pause
        if self.healed or mean < 0.05:
            return self.pause(random)
        self.judge.fault("slow write")
        return min(random.expovariate(1 / mean), self.plan.settings.timing.late_max * 0.45)


@dataclass(slots=True)
class _Reply:
    """What the sender of a mutation will hear, if it is still waiting."""

    done: anyio.Event
    info: ObjectInfo | None = None
    error: Exception | None = None
    waiting: bool = True


class SimulatedSide:
    """One side as one process reaches it: below the backend port, above the memory backend."""

    def __init__(
        self, network: Network, side: Side, inner: MemoryBackend, process: Process
    ) -> None:
        self._network = network
        self._side = side
        self._inner = inner
        self._process = process
        self._random = network.judge.chance.of(f"{process.name}:{side.value}")

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def location(self) -> str:
        return self._inner.location

    async def prepare(self, *, create: bool) -> None:
        await self._inner.prepare(create=create)

    async def close(self) -> None:
        return

    async def stat(self, key: str) -> ObjectInfo:
        return await self._ask("stat", key, lambda: self._inner.stat(key))

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        return await self._ask("read", key, lambda: self._inner.read(key, byte_range=byte_range))

    async def list(self, *, prefix: str = "", after: str = "", limit: int | None = None) -> Page:
        ask: Callable[[], Awaitable[Page]] = lambda: self._inner.list(  # noqa: E731
            prefix=prefix, after=after, limit=limit
        )
        return await self._ask("list", prefix, ask)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        info = await self._mutate(key, lambda: self._inner.write(key, body, attributes))
        assert info is not None
        return info

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> SimulatedStaged:
        """Take a body in: it takes its time, may fail, and changes nothing."""
        staged = await self._ask("write", key, lambda: self._inner.stage(key, body, attributes))
        return SimulatedStaged(self, key, staged)

    async def part_bytes(self, info: ObjectInfo) -> int | None:
        return await self._inner.part_bytes(info)

    async def complete(self, key: str, staged: MemoryStaged) -> ObjectInfo:
        """Put what was staged into its place, as a write goes; it may land later than one."""
        late_max = self._network.plan.settings.timing.late_complete_max
        info = await self._mutate(key, staged.complete, late_max=late_max)
        assert info is not None
        return info

    @property
    def process(self) -> Process:
        """The process that reaches the side."""
        return self._process

    async def delete(self, key: str) -> None:
        async def apply() -> None:
            await self._inner.delete(key)

        await self._mutate(key, apply)

    async def _ask(self, operation: str, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        await self._process.gate()
        network, random = self._network, self._random
        await network.judge.clock.pause(network.pause(random) + self._travel())
        if self._side in network.away or network.breaks(random, network.plan.read_fault_share):
            network.judge.fault("read")
            message = "the side did not answer"
            raise BackendUnavailableError(message, operation=operation, key=key)
        answer = await ask()
        await network.judge.clock.pause(network.pause(random, READ_SECONDS_MAX) + self._travel())
        await self._process.gate()
        return answer

    def _travel(self) -> float:
        """Draw how long a read is on its way in a world of slow reads."""
        mean = self._network.plan.read_pause[self._side]
        if self._network.healed or mean < 0.05:
            return 0.0
        self._network.judge.fault("slow read")
        return self._random.expovariate(1 / mean)

    async def _mutate(
        self,
        key: str,
        apply: Callable[[], Awaitable[ObjectInfo | None]],
        *,
        late_max: float | None = None,
    ) -> ObjectInfo | None:
        await self._process.gate()
        network, random = self._network, self._random
        if self._side in network.away:
            network.judge.fault("outage")
            await network.judge.clock.pause(network.pause(random))
            if random.random() < 0.7:
                message = "no connection"
                raise BackendUnavailableError(message, operation="write", key=key)
            message = "the connection was reset"
            raise OutcomeUnknownError(message, operation="write", key=key)
        reply = _Reply(anyio.Event())
        network.under_way[self._side, key] += 1
        late_max = late_max or network.plan.settings.timing.late_max
        network.group.start_soon(self._deliver, key, apply, reply, self._fate(), late_max)
        try:
            await reply.done.wait()
        finally:
            reply.waiting = False
        await self._process.gate()
        if reply.error is not None:
            raise reply.error
        return reply.info

    def _fate(self) -> str:
        network, random = self._network, self._random
        if not network.breaks(random, network.plan.fault_share):
            return "ok"
        network.judge.fault("write")
        return random.choice(network.plan.fates[self._side])

    async def _deliver(
        self,
        key: str,
        apply: Callable[[], Awaitable[ObjectInfo | None]],
        reply: _Reply,
        fate: str,
        late_max: float,
    ) -> None:
        network, random = self._network, self._random
        pauses = network.write_pause(random), network.write_pause(random)
        unknown = OutcomeUnknownError("no answer", operation="write", key=key)
        try:
            await network.judge.clock.pause(pauses[0])
            match fate:
                case "refused":
                    reply.error = SlowDownError("asked too often", operation="write", key=key)
                case "never":
                    reply.error = unknown
                case "late":
                    reply.error = unknown
                    reply.done.set()
                    await network.judge.clock.pause(random.uniform(0.0, late_max * 0.5))
                    if late_max > network.plan.settings.timing.late_max:
                        network.judge.reached("parts put together late")
                    await self._land(key, apply, reply)
                case _:
                    await self._land(key, apply, reply)
                    reply.error = unknown if fate == "lost" else None
        finally:
            network.under_way[self._side, key] -= 1
        await network.judge.clock.pause(pauses[1])
        reply.done.set()

    async def _land(
        self, key: str, apply: Callable[[], Awaitable[ObjectInfo | None]], reply: _Reply
    ) -> None:
        if not reply.waiting or reply.done.is_set():
            self._network.judge.reached("late landing")
        reply.info = await apply()
        self._network.judge.landed(self._side, key)


class SimulatedStaged:
    """A body that one process has staged on one side."""

    def __init__(self, side: SimulatedSide, key: str, staged: MemoryStaged) -> None:
        self._side = side
        self._key = key
        self._staged = staged
        self._unsure = False
        side.process.staged.add(self)

    async def complete(self) -> ObjectInfo:
        unsure, self._unsure = self._unsure, True
        try:
            info = await self._side.complete(self._key, self._staged)
        except BackendError as error:
            self._unsure = unsure or isinstance(error, OutcomeUnknownError)
            raise
        self._side.process.staged.discard(self)
        return info

    async def drop(self) -> None:
        """Let go of it; a completion that may be under way still finds it."""
        self._side.process.staged.discard(self)
        if not self._unsure:
            await self._staged.drop()
