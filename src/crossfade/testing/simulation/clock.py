"""Virtual time: when nobody has anything to do, it jumps to the next thing that waits for it."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from trio.abc import Clock
from trio.lowlevel import Abort, checkpoint, current_task, reschedule, wait_task_rescheduled

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.lowlevel import Task


class VirtualClock(Clock):
    """A clock of Trio that jumps, and holds the pauses of simulated parts itself.

    Trio asks for the time to sleep only when no task can run; that is when the clock jumps. Its
    own pauses cost a third of `trio.sleep`, which enters and cancels a scope for each.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._pauses: list[tuple[float, int, Task]] = []
        self._given_up: set[int] = set()
        self._numbers = count()

    def start_clock(self) -> None:
        """Do nothing: the time is virtual."""

    def current_time(self) -> float:
        """Return the seconds since the schedule began."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Jump to the deadline or to the end of the next pause, whichever is first."""
        self._forget()
        upcoming = self._pauses[0][0] if self._pauses else inf
        if min(upcoming, deadline) == inf:
            return inf
        self._now = max(self._now, min(upcoming, deadline))
        while self._pauses and self._pauses[0][0] <= self._now:
            _, number, task = heappop(self._pauses)
            if number not in self._given_up:
                reschedule(task)
            self._given_up.discard(number)
        return 0.0

    async def pause(self, seconds: float) -> None:
        """Wait in virtual time."""
        if seconds <= 0:
            await checkpoint()
            return
        number = next(self._numbers)
        heappush(self._pauses, (self._now + seconds, number, current_task()))

        def give_up(_: Callable[[], object]) -> Abort:
            self._given_up.add(number)
            return Abort.SUCCEEDED

        await wait_task_rescheduled(give_up)

    def _forget(self) -> None:
        while self._pauses and self._pauses[0][1] in self._given_up:
            self._given_up.discard(heappop(self._pauses)[1])
