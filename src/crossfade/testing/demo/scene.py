"""What every part of a run works on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import TYPE_CHECKING

import anyio

from crossfade.testing.demo.oplog import now
from crossfade.testing.demo.options import MIGRATION
from crossfade.testing.demo.workspace import Control

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from crossfade.core.objects import Pair
    from crossfade.core.records import Census
    from crossfade.setup.opened import Crossfade
    from crossfade.testing.demo.children import Children
    from crossfade.testing.demo.options import DemoOptions
    from crossfade.testing.demo.places import Place
    from crossfade.testing.demo.report import DemoReport
    from crossfade.testing.demo.screen import Screen
    from crossfade.testing.demo.tally import Tally
    from crossfade.testing.demo.workspace import Workspace

POLL_SECONDS = 0.1
STEP_SECONDS_MAX = 180.0
HELD_SECONDS_MAX = 10.0
USERS = ("users-1", "users-2")
WORKER = "worker"


@dataclass(slots=True, kw_only=True)
class Scene:
    """A run's parts.

    Attributes:
        control: what its processes were told last.
        one_fault: held by whoever kills a server, so that at most one of them is down.
    """

    options: DemoOptions
    workspace: Workspace
    screen: Screen
    tally: Tally
    report: DemoReport
    children: Children
    xf: Crossfade
    rng: Random
    control: Control
    places: Pair[Place]
    one_fault: anyio.Lock = field(default_factory=anyio.Lock)

    def tell(self, **changes: object) -> None:
        """Tell all processes something new; the rest stays as it was told."""
        known = {name: getattr(self.control, name) for name in Control.__struct_fields__}
        self.control = Control(**{**known, **changes})
        self.workspace.tell(self.control)

    async def kill_server(self, place: Place) -> None:
        """Kill a side's server; what fails from then on fails by a fault.

        Where a write that is cut would leave a hole, none is under way when it happens: that is
        what such a server asks of whoever stops it.
        """
        if not place.cut_safely:
            asked = now()
            self.tell(held=place.side.value)
            names = self.children.names
            await self.until(
                lambda: all(self.tally.holds(name, asked) for name in names),
                f"until no write to the {place.side.value} is under way",
                seconds_max=HELD_SECONDS_MAX,
            )
        self.tally.goes_down(place.side.value)
        await place.kill()
        self.tell(held="")

    async def start_server(self, place: Place) -> None:
        """Start it again on what it finds on disk."""
        await place.start()
        self.tally.comes_back(place.side.value)

    async def census(self) -> Census:
        """Count the migration's open keys and extras."""
        return await self.xf.store.catalog.census(MIGRATION)

    async def until(
        self,
        reached: Callable[[], bool | Awaitable[bool]],
        what: str,
        *,
        seconds_max: float = STEP_SECONDS_MAX,
        needed: bool = True,
    ) -> bool:
        """Wait while the traffic goes on; note what was not reached in time, if it is needed."""
        deadline = time.monotonic() + seconds_max
        while True:
            self.tally.update()
            self.children.watch()
            answer = reached()
            if await answer if isawaitable(answer) else answer:
                return True
            if time.monotonic() >= deadline:
                break
            self.screen.going_on(f"{what}; {self.tally.operations:,} operations so far")
            await anyio.sleep(POLL_SECONDS)
        if needed:
            self.report.missed.append(f"{what}: not within {seconds_max:.0f} s")
        return False
