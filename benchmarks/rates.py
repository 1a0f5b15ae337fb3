"""What a call pays in Crossfade itself: routing, looks and commits, and what a disk takes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from benchmarks.measuring import Spread, rate, spread
from crossfade.core.objects import Side
from crossfade.core.records import Decision, Record
from crossfade.core.routing import pick_side
from crossfade.core.settings import Mirror, Settings, Unit

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.worlds import World
    from crossfade.core.records import Look

ROUTES = 20_000
FSYNCS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often in a second, or how long; ``unit`` says which."""

    what: str
    in_flight: int
    value: Spread
    unit: str


async def routing(world: World, rounds: int) -> list[Rate]:
    """Measure the routing decision, per unit."""
    row = (await world.opened.store.catalog.census(str(Mirror.SYNC))).migration
    found = []
    for unit in Unit:
        settings = Settings(unit=unit)
        values = []
        for _ in range(rounds):
            began = time.perf_counter()
            for number in range(ROUTES):
                subject = f"user-{number & 1023}"
                pick_side(row, settings, key="k", subject=subject, draw=number << 48)
            values.append((time.perf_counter() - began) / ROUTES * 1e9)
        found.append(Rate(what=f"routing by {unit}", in_flight=1, value=spread(values), unit="ns"))
    return found


async def looks(world: World, *, in_flight: int, rounds: int) -> Rate:
    """Measure look-ups of closed keys."""
    catalog = world.opened.store.catalog
    value = await rate(
        lambda key: catalog.look(str(Mirror.SYNC), key), in_flight=in_flight, rounds=rounds
    )
    return Rate(what=f"looks, {world.kind}", in_flight=in_flight, value=value, unit="/s")


async def commits(world: World, *, in_flight: int, rounds: int) -> Rate:
    """Measure durable changes: by turns one opens a key and one closes it."""
    catalog, numbers = world.opened.store.catalog, count()

    def decide(look: Look) -> Decision[None]:
        if look.record is not None:
            return Decision(None, None)
        # It never comes due for a worker: that would be measured too.
        return Decision(Record(authority=Side.SOURCE, next_attempt=float("inf")), None)

    async def change(_: str) -> None:
        key = f"rate/{next(numbers) // 2:08}"
        await catalog.change(str(Mirror.SYNC), key, decide)

    value = await rate(change, in_flight=in_flight, rounds=rounds)
    return Rate(what=f"commits, {world.kind}", in_flight=in_flight, value=value, unit="/s")


def fsync(folder: Path, rounds: int) -> Rate:
    """Measure what the disk takes to keep 4 KiB written into a file that has them already."""
    fd = os.open(folder / "fsync", os.O_RDWR | os.O_CREAT, 0o600)
    values = []
    try:
        for _ in range(rounds):
            began = time.perf_counter()
            for number in range(FSYNCS):
                os.pwrite(fd, os.urandom(4_096), number % 4 * 4_096)
                os.fsync(fd)
            values.append((time.perf_counter() - began) / FSYNCS * 1e6)
    finally:
        os.close(fd)
    return Rate(what="write of 4 KiB and fsync", in_flight=1, value=spread(values), unit="µs")
