"""Kills processes and servers at random moments; each starts again on what it finds on disk."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core.objects import BOTH_SIDES
from crossfade.testing.demo.scene import USERS, WORKER
from crossfade.testing.kill_points import KILL_POINTS

if TYPE_CHECKING:
    from crossfade.testing.demo.places import Place
    from crossfade.testing.demo.scene import Scene

PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 6.0
AT_A_POINT_SHARE = 0.5
AT_A_POINT_SECONDS_MAX = 3.0
NTH_MAX = 20
POLL_SECONDS = 0.05
DOWN_SECONDS_MAX = 2.0


class Chaos:
    """Kills so many processes and servers, one after the other; ``done`` counts them."""

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
            both = [scene.places[side] for side in BOTH_SIDES]
            servers = [place for place in both if place.server is not None]
            victims: list[str | Place] = [*USERS, WORKER, *servers]
            victim = rng.choice(victims)
            async with scene.one_fault:
                if isinstance(victim, str):
                    name = await self._kill_role(victim)
                else:
                    name = await self._kill_server(victim)
            self.done += 1
            scene.screen.happened(f"{name} was killed ({self.done} of {self._count})")

    async def _kill_role(self, role: str) -> str:
        name = self._scene.children.name(role)
        await self._kill(role, name)
        self._scene.children.start(role)
        return name

    async def _kill_server(self, place: Place) -> str:
        """Kill a server, and start it again on what it finds, at once or after a while."""
        scene = self._scene
        await scene.kill_server(place)
        await anyio.sleep(scene.rng.uniform(0.0, DOWN_SECONDS_MAX))
        await scene.start_server(place)
        return f"the {place.side.value}'s server"

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
