"""What every part of a run works on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from inspect import isawaitable
from typing import TYPE_CHECKING

import anyio

from crossfade.testing.demo.options import MIGRATION
from crossfade.testing.demo.workspace import Control

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from crossfade.core.records import Census
    from crossfade.setup.opened import Crossfade
    from crossfade.testing.demo.children import Children
    from crossfade.testing.demo.options import DemoOptions
    from crossfade.testing.demo.report import DemoReport
    from crossfade.testing.demo.screen import Screen
    from crossfade.testing.demo.tally import Tally
    from crossfade.testing.demo.workspace import Workspace

POLL_SECONDS = 0.1
STEP_SECONDS_MAX = 180.0
USERS = ("users-1", "users-2")
WORKER = "worker"


@dataclass(slots=True, kw_only=True)
class Scene:
    """A run's parts; ``control`` is what its processes were told last."""

    options: DemoOptions
    workspace: Workspace
    screen: Screen
    tally: Tally
    report: DemoReport
    children: Children
    xf: Crossfade
    rng: Random
    control: Control

    def tell(self, **changes: object) -> None:
        """Tell all processes something new; the rest stays as it was told."""
        known = {name: getattr(self.control, name) for name in Control.__struct_fields__}
        self.control = Control(**{**known, **changes})
        self.workspace.tell(self.control)

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
