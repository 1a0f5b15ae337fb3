"""The course of a run: percentage by percentage, with what goes wrong on the way."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core.objects import Side
from crossfade.testing.demo.options import MIGRATION, Kind
from crossfade.testing.demo.scene import USERS, WORKER

if TYPE_CHECKING:
    from crossfade.testing.demo.scene import Scene

KILLED_AT_SHARE = 0.25
"""The worker is killed once it has copied about this share of the files."""

PAUSE_SECONDS = 0.1
SERVERS_PAUSE_SECONDS = 0.2
"""How long a user rests after each operation while backfill has the most to do."""

EARLY_SHARE = 0.8
"""So many of all operations come before half of them ask a server as the target, which is slower
than the source."""

ROLLED_BACK_OPERATIONS = 400
ENDED_SECONDS = 0.5
"""After so long what users did before has surely ended."""

EXTRA_ATTEMPTS_MAX = 6
EXTRA_SECONDS_MAX = 20.0
SEALING_SECONDS = 3.0
"""How long to wait for backfill before a look whether extras hold it up."""


class Course:
    """Goes through the stages of one run."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.doomed = ""

    async def arrive(self) -> None:
        """Let the users work at 0 percent."""
        scene = self._scene
        scene.tally.stage(0)
        served = Kind.S3 in scene.options.sides.kinds
        scene.tell(pause_seconds=SERVERS_PAUSE_SECONDS if served else PAUSE_SECONDS)
        names = [scene.children.start(role) for role in USERS]
        await scene.until(lambda: all(map(scene.tally.started, names)), "the users arrive")
        count = scene.options.users
        scene.screen.happened(f"0 %: {count:,} users in two processes, all on the source")

    async def begin(self) -> None:
        """Backfill, lose the worker with intents open, and start another one."""
        scene = self._scene
        await scene.xf.begin(MIGRATION)
        if scene.options.lose_worker:
            await self._lose_worker()
        scene.children.start(WORKER)
        await self.share(1)

    async def _lose_worker(self) -> None:
        scene = self._scene
        nth = max(1, int(scene.options.files * KILLED_AT_SHARE))
        name = scene.children.start(WORKER, kill_at=f"copier_after_mark:{nth}")
        await scene.until(lambda: scene.children.dead(WORKER), "backfill, until its worker dies")
        self.doomed = scene.tally.holder(name)
        tokens = await self._left_behind()
        which = f", {tokens[0]} among them" if tokens else ""
        scene.screen.happened(
            f"the worker was killed with SIGKILL and left {len(tokens)} intents open{which}"
        )

    async def _left_behind(self) -> list[str]:
        look = await self._scene.xf.store.catalog.look_between(MIGRATION, "", None)
        intents = [record.intent for _, record in look.records if record.intent is not None]
        return [intent.token for intent in intents if intent.holder == self.doomed]

    async def seal(self) -> None:
        """Wait until every range is sealed, deciding on extras where there are any."""
        scene, sealed = self._scene, False
        while not sealed:
            sealed = await scene.until(
                self._sealed, "backfill", seconds_max=SEALING_SECONDS, needed=False
            )
            if not sealed:
                await self._repair_extras()
        scene.tell(pause_seconds=0.0)
        scene.screen.happened(f"backfilled {scene.tally.copied:,} objects; all is sealed")

    async def _sealed(self) -> bool:
        return not (await self._scene.census()).unsealed

    async def _repair_extras(self) -> None:
        """Report what only the target holds, and delete it there."""
        scene = self._scene
        repair = scene.xf.files(MIGRATION).repair()
        async with scene.one_fault:
            found = [one for one in await repair.findings() if one.kind == "extra"]
            if not found:
                return
            names = ", ".join(one.key for one in found)
            scene.screen.happened(f"extras, held by the target alone: {names}")
            done = await repair.run(Side.SOURCE, found)
        if done.repaired:
            line = f"extras repaired in favour of the source: {', '.join(done.repaired)}"
            scene.screen.happened(line)
            scene.report.notes.append(line)

    async def climb(self) -> None:
        """Go up to 100 percent, with an outage of each side and a rollback on the way."""
        scene = self._scene
        steps = [percentage for percentage in scene.options.stages if percentage > 1]
        for percentage in steps:
            await self.share(percentage)
            if percentage == steps[0]:
                await self._sabotage()
                await self._early()
            if percentage == scene.options.rollback_at:
                first, *others = scene.options.outages or (None,)
                await self._outage(first)
                await self._enough_reads(percentage)
                await self._roll_back(percentage)
                for side in others:
                    await self._outage(side)
            await self._enough_reads(percentage)
        wanted = scene.options.operations
        await scene.until(lambda: scene.tally.operations >= wanted, "the last operations")

    async def _early(self) -> None:
        scene = self._scene
        if scene.options.sides.target is Kind.S3:
            wanted = scene.options.operations * EARLY_SHARE
            await scene.until(lambda: scene.tally.operations >= wanted, "operations at the source")

    async def share(self, percentage: int) -> None:
        """Route so much of the traffic to the target."""
        scene = self._scene
        await scene.xf.set_percentage(MIGRATION, percentage)
        scene.tally.stage(percentage)
        scene.screen.happened(f"{percentage} % of the users are routed to the target")

    async def _enough_reads(self, percentage: int) -> None:
        reads, wanted = self._scene.tally.reads[percentage], self._scene.options.reads_at_target
        what = f"{percentage} %: {wanted:,} reads from the target"
        await self._scene.until(lambda: reads["target"] >= wanted, what)

    async def _outage(self, side: Side | None) -> None:
        """Let a side fail for a while, and until a fallback has happened.

        Not before the last outage has left no doubt: where one side is in doubt and the other one
        fails nobody can answer, and that is as it should be.
        """
        if side is None:
            return
        scene = self._scene
        await scene.until(self._no_doubt, "until no key is in doubt")
        before = scene.tally.fallbacks
        place = scene.places[side]
        async with AsyncExitStack() as stack:
            if place.server is None:
                scene.screen.happened(f"the {side.value} fails")
                scene.tell(fault=side.value)
            else:
                await stack.enter_async_context(scene.one_fault)
                await scene.kill_server(place)
                scene.screen.happened(f"the {side.value}'s server was killed with SIGKILL")
            await anyio.sleep(scene.options.outage_seconds)
            await scene.until(lambda: scene.tally.fallbacks > before, f"the {side.value} fails")
            if place.server is None:
                scene.tell(fault="")
            else:
                await scene.start_server(place)
        count = scene.tally.fallbacks - before
        scene.screen.happened(f"the {side.value} is back, after {count:,} fallbacks")

    async def _no_doubt(self) -> bool:
        return not (await self._scene.census()).in_doubt

    async def _roll_back(self, percentage: int) -> None:
        scene = self._scene
        await scene.xf.rollback_emergency()
        scene.tally.stage(0)
        scene.report.rollbacks += 1
        scene.screen.happened(f"emergency rollback from {percentage} % to 0 %")
        wanted = scene.tally.operations + ROLLED_BACK_OPERATIONS
        await scene.until(lambda: scene.tally.operations >= wanted, "rolled back to 0 %")
        await self.share(percentage)

    async def _sabotage(self) -> None:
        scene = self._scene
        if scene.options.sabotage is None:
            return
        await anyio.sleep(scene.rng.random())
        scene.tell(sabotage=True)
        what = "until a process has done something wrong"
        await scene.until(lambda: bool(scene.workspace.confessed()), what)

    async def make_extra(self) -> None:
        """Kill a process in the middle of a create that only the target took.

        The source fails, so the create falls back; once the process is gone nobody can say whose
        object the target holds.
        """
        scene, role = self._scene, USERS[0]
        for _ in range(EXTRA_ATTEMPTS_MAX):
            name = scene.children.name(role)
            scene.tell(creates_only=True)
            await anyio.sleep(ENDED_SECONDS)
            scene.tell(fault=Side.SOURCE.value, kill_at={name: "before_commit:1"})
            await scene.until(partial(scene.children.dead, role), "a create is cut in two")
            scene.tell(creates_only=False, fault="")
            scene.children.start(role)
            scene.screen.happened(f"{name} was killed in the middle of a create")
            what = "waiting for what the killed create left"
            if await scene.until(
                self._has_extra, what, seconds_max=EXTRA_SECONDS_MAX, needed=False
            ):
                return
        scene.report.missed.append("a killed create that leaves an extra")

    async def _has_extra(self) -> bool:
        return bool((await self._scene.census()).extras)

    async def leave(self) -> None:
        """Let the users finish, and the workers close every key."""
        scene = self._scene
        scene.tell(stopped=USERS)
        for role in USERS:
            await scene.until(partial(scene.children.ended, role), f"{role} leaves")
        what = "waiting until every key is closed"
        await scene.until(self._closed, what, needed=False)
        scene.report.open_at_end = (await scene.census()).open_count
        scene.tell(stopped=(*USERS, WORKER))
        await scene.until(partial(scene.children.ended, WORKER), "the worker leaves")

    async def _closed(self) -> bool:
        return not (await self._scene.census()).open_count
