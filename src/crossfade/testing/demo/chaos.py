"""Kills processes at random moments, and starts each again on what it finds on disk."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.testing.demo.scene import USERS, WORKER
from crossfade.testing.kill_points import KILL_POINTS

if TYPE_CHECKING:
    from crossfade.testing.demo.scene import Scene

PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 6.0
AT_A_POINT_SHARE = 0.5
AT_A_POINT_SECONDS_MAX = 3.0
NTH_MAX = 20
POLL_SECONDS = 0.05


class Chaos:
    """Kills so many processes, one after the other; ``done`` counts them."""

    def __init__(self, scene: Scene, count: int) -> None:
        self._scene = scene
        self._count = count
        self.done = 0

    @property
    def over(self) -> bool:
        """Whether every kill has happened and every process is back."""
        return self.done >= self._count

    async def run(self) -> None:
        """Kill, and start again."""
        scene, rng = self._scene, self._scene.rng
        while not self.over:
            await anyio.sleep(rng.uniform(PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX))
            role = rng.choice((*USERS, WORKER))
            name = scene.children.name(role)
            await self._kill(role, name)
            scene.children.start(role)
            self.done += 1
            scene.screen.happened(f"{name} was killed ({self.done} of {self._count})")

    async def _kill(self, role: str, name: str) -> None:
        """Kill at a named point as often as not, else wherever the process is."""
        scene, rng = self._scene, self._scene.rng
        if rng.random() < AT_A_POINT_SHARE:
            point = f"{rng.choice(KILL_POINTS)}:{rng.randint(1, NTH_MAX)}"
            scene.tell(kill_at={name: point})
            if await self._dies(role, AT_A_POINT_SECONDS_MAX):
                return
        scene.children.kill(role)
        while not await self._dies(role, AT_A_POINT_SECONDS_MAX):
            pass

    async def _dies(self, role: str, seconds: float) -> bool:
        dead, deadline = partial(self._scene.children.dead, role), time.monotonic() + seconds
        while time.monotonic() < deadline:
            if dead():
                return True
            await anyio.sleep(POLL_SECONDS)
        return False
