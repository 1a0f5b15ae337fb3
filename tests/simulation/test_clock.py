"""The virtual clock: it jumps, in order, and forgets who has stopped waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import trio

from crossfade.testing.simulation.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def _run(main: Callable[[VirtualClock], Awaitable[None]]) -> float:
    clock = VirtualClock()
    trio.run(main, clock, clock=clock)
    return clock.current_time()


def test_pauses_and_trio_s_own_deadlines_end_in_their_order() -> None:
    ended: list[tuple[str, float]] = []

    async def main(clock: VirtualClock) -> None:
        async def pause(name: str, seconds: float) -> None:
            await clock.pause(seconds)
            ended.append((name, clock.current_time()))

        async def sleep(name: str, seconds: float) -> None:
            await anyio.sleep(seconds)
            ended.append((name, clock.current_time()))

        async with anyio.create_task_group() as group:
            group.start_soon(pause, "c", 3.0)
            group.start_soon(sleep, "b", 2.0)
            group.start_soon(pause, "a", 1.0)
            group.start_soon(sleep, "d", 4.0)
            group.start_soon(pause, "at once", 0.0)

    assert _run(main) == 4.0
    assert ended == [("at once", 0.0), ("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)]


def test_who_stops_waiting_holds_nobody_up() -> None:
    async def main(clock: VirtualClock) -> None:
        with anyio.move_on_after(1.0) as scope:
            await clock.pause(1_000.0)
        assert scope.cancelled_caught
        assert clock.current_time() == 1.0
        await clock.pause(2.0)

    assert _run(main) == 3.0
