"""Blocks of calls, measured by turns: only what ran side by side is compared.

A machine that is busy, or a disk that is slow for a while, hits neighbouring blocks alike. So
every candidate runs once a round, every other round backwards, and a ratio is that of two blocks
of one round; what is stated is the median of these ratios, with the lowest and the highest.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of what several rounds gave, with the lowest and the highest."""

    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one operation: until its caller had the answer, until all was done, on CPUs.

    Attributes:
        answered_cpu: CPU of all threads until the last answer; ``cpu``: until all was done.
    """

    answered: float
    settled: float
    answered_cpu: float
    cpu: float


async def settle_nothing() -> None:
    """Leave nothing behind that would have to be waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to do the same thing.

    Attributes:
        settle: waits until what the calls left behind is done.
    """

    name: str
    call: Callable[[str], Awaitable[object]]
    settle: Callable[[], Awaitable[object]] = settle_nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the candidates of one comparison cost in each round."""

    keys: int
    in_flight: int
    costs: dict[str, list[Cost]] = field(default_factory=dict)

    def seconds(self, name: str, of: str) -> Spread:
        return spread([getattr(cost, of) for cost in self.costs[name]])

    def share(self, name: str, of: str, than: str, of_than: str) -> Spread:
        """Return how fast a candidate is beside another: 1 as fast, 0.5 half as fast."""
        rounds = zip(self.costs[name], self.costs[than], strict=True)
        return spread([getattr(other, of_than) / getattr(mine, of) for mine, other in rounds])


async def compare(
    candidates: Sequence[Candidate], keys: Sequence[str], *, in_flight: int, rounds: int
) -> Result:
    """Run every candidate over all keys, once a round; one round more goes before, uncounted."""
    result = Result(keys=len(keys), in_flight=in_flight)
    for candidate in candidates:
        await block(candidate, keys, in_flight)
    for number in range(rounds):
        for candidate in candidates if number % 2 == 0 else reversed(candidates):
            cost = await block(candidate, keys, in_flight)
            result.costs.setdefault(candidate.name, []).append(cost)
    return result


async def block(candidate: Candidate, keys: Sequence[str], in_flight: int) -> Cost:
    """Call it for each key, so many at once, and then wait until all is done."""

    async def some(first: int) -> None:
        for key in keys[first::in_flight]:
            await candidate.call(key)

    gc.collect()
    cpu, began = time.process_time(), time.perf_counter()
    async with anyio.create_task_group() as group:
        for first in range(in_flight):
            group.start_soon(some, first)
    answered, answered_cpu = time.perf_counter(), time.process_time()
    await candidate.settle()
    settled, settled_cpu = time.perf_counter(), time.process_time()
    return Cost(
        (answered - began) / len(keys),
        (settled - began) / len(keys),
        (answered_cpu - cpu) / len(keys),
        (settled_cpu - cpu) / len(keys),
    )


async def rate(call: Callable[[str], Awaitable[object]], *, in_flight: int, rounds: int) -> Spread:
    """Return calls per second, so many at once."""
    candidate = Candidate(name="", call=call)
    keys = [f"rate/{number:04}" for number in range(max(256, in_flight * 16))]
    await block(candidate, keys, in_flight)
    costs = [await block(candidate, keys, in_flight) for _ in range(rounds)]
    return spread([1 / cost.answered for cost in costs])
