"""Rounds of two processes that are killed while they write through one catalog.

The sides are two directories, or what two URLs name; their servers are killed too, before the
processes or after them, and started again over what they keep.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import anyio
from tests.kills.writer import KEYS

import crossfade
from crossfade.core.objects import BOTH_SIDES, EMPTY_SHA256, Pair
from crossfade.core.settings import Workers
from crossfade.errors import BackendUnavailableError, ObjectNotFoundError
from crossfade.setup.sides import open_side
from crossfade.testing.demo.audit import audit, histories, read_both
from crossfade.testing.demo.oplog import now
from crossfade.testing.demo.options import MIGRATION
from crossfade.testing.demo.tally import Tally
from crossfade.testing.demo.workspace import Control, Workspace
from crossfade.testing.history import Event, Verb
from crossfade.testing.kill_points import KILL_AT_VARIABLE, KILL_POINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crossfade.testing.servers import RunningServer

FIRST = "first"
ROOT = Path(__file__).parents[2]
ACKNOWLEDGED_MIN = 50
WRITING_SECONDS_MAX = 120.0
AT_A_POINT_SECONDS_MAX = 1.0
CLOSING_SECONDS_MAX = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What is written to.

    Attributes:
        urls: of source and target.
        servers: what is killed and started again.
        cut_safely: whether the servers may be killed while something is written to them.
        acknowledged_min: how many writes each process is told of before it is killed.
    """

    urls: Pair[str]
    servers: Sequence[RunningServer] = ()
    cut_safely: bool = True
    acknowledged_min: int = ACKNOWLEDGED_MIN


DIRECTORIES = Sides(urls=Pair("local:./source", "local:./target"))


@dataclass(slots=True)
class Rounds:
    """What some rounds came to.

    Attributes:
        acknowledged: for each round, the fewest writes that one of its processes was told of.
        left: for each round, how many intents it left open.
        recovered: the tokens of the intents that recovery ended.
        failed: errors that a writer got although no side failed.
        wrong: what the checker said, by key.
        open_at_end: keys that did not close.
        cut: how often a server was killed while it was written to.
    """

    acknowledged: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wrong: dict[str, tuple[str, ...]] = field(default_factory=dict)
    keys: int = 0
    operations: int = 0
    open_at_end: int = -1
    differences: int = -1
    cut: int = 0


async def kill_rounds(
    folder: Path,
    count: int,
    seed: int,
    *,
    sides: Sides = DIRECTORIES,
    default_times: bool = False,
) -> Rounds:
    """Run so many rounds on one catalog and two sides; check after each, and at the end."""
    workspace = Workspace.create(folder)
    workspace.prepare()
    workspace.configure(sides.urls.source, sides.urls.target)
    text = workspace.configuration.read_text()
    if default_times:
        text = "\n".join(line for line in text.splitlines() if "_seconds" not in line)
    workspace.configuration.write_text(text)
    async with (
        crossfade.open(workspace.configuration, environ={}, workers=Workers.INLINE) as xf,
        anyio.create_task_group() as group,
    ):
        await xf.begin(MIGRATION)
        killing = Killing(workspace, xf, seed, sides)
        for number in range(count):
            await killing.round(number)
            if number == count // 3:
                # From here on keys are closed on both sides, and both may answer.
                group.start_soon(backfill, xf)
        await killing.conclude()
    return killing.result


async def backfill(xf: crossfade.Crossfade) -> None:
    """Backfill; after a side could not be reached, once more."""
    while True:
        try:
            await xf.backfill(MIGRATION)
        except BackendUnavailableError:
            await anyio.sleep(0.2)
        else:
            return


class Killing:
    """Starts writers, kills them, and looks at what they left."""

    def __init__(
        self, workspace: Workspace, xf: crossfade.Crossfade, seed: int, sides: Sides
    ) -> None:
        self._workspace = workspace
        self._xf = xf
        self._seed = seed
        self._sides = sides
        self._down: list[tuple[float, float]] = []
        self._initial: dict[str, str] = {}
        self._rng = Random(seed)
        self._tally = Tally()
        self._tally.stage(0)
        self.result = Rounds()

    async def round(self, number: int) -> None:
        """Let two processes write, kill both, and read every key that they wrote."""
        await self._xf.set_percentage(MIGRATION, self._rng.choice((0, 10, 50, 100)))
        names, prefix = [f"{number}-one.1", f"{number}-two.1"], f"round-{number}/"
        # It stays: some sides hide what is put into a folder that is made or emptied meanwhile.
        await self._xf.files(MIGRATION).put(f"{prefix}{FIRST}", b"")
        self._initial[f"{prefix}{FIRST}"] = EMPTY_SHA256
        with ExitStack() as stack:
            processes = {name: self._start(name, prefix, stack) for name in names}
            enough = self._sides.acknowledged_min
            await self._until(lambda: self._fewest(names, prefix) >= enough, processes)
            killed = self._servers_to_kill()
            early = killed and self._sides.cut_safely and self._rng.random() < 0.7
            began = now()
            if early:
                self._kill_servers(killed)
                self.result.cut += 1
            await self._kill(processes)
            if killed and not early:
                self._kill_servers(killed)
            for server in killed:
                server.start()
                await anyio.to_thread.run_sync(server.wait)
            self._down.append((began, now()))
        for name in names:
            self._tally.end(name)
        self.result.acknowledged.append(self._fewest(names, prefix))
        self.result.left.append(await self._left_behind(names))
        for key in [f"{prefix}{index}" for index in range(KEYS)]:
            self._tally.events.setdefault(key, []).append(await self._read(key))
        self._check(prefix)

    def _start(self, name: str, prefix: str, stack: ExitStack) -> subprocess.Popen[bytes]:
        self._tally.follow(name, self._workspace.log(name))
        words = stack.enter_context(self._workspace.words(name).open("wb"))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.kills.writer"),
                *(str(self._workspace.root), name, str(self._seed), prefix),
            ],
            cwd=ROOT,
            env={**os.environ, KILL_AT_VARIABLE: ""},
            stdout=words,
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    def _servers_to_kill(self) -> list[RunningServer]:
        """Return those servers that this round kills; often none."""
        servers = list(self._sides.servers)
        return self._rng.sample(servers, self._rng.randint(0, len(servers)))

    def _kill_servers(self, servers: Sequence[RunningServer]) -> None:
        for server in servers:
            server.kill()

    async def _until(
        self, reached: Callable[[], bool], processes: dict[str, subprocess.Popen[bytes]]
    ) -> None:
        deadline = time.monotonic() + WRITING_SECONDS_MAX
        while not reached():
            for name, process in processes.items():
                words = self._workspace.words(name).read_text()
                assert process.poll() is None, f"{name} ended by itself: {words}"
            assert time.monotonic() < deadline, "the writers are too slow"
            await anyio.sleep(0.02)
            self._tally.update()

    def _fewest(self, names: list[str], prefix: str) -> int:
        """Return the fewest writes that one of the processes was told of."""
        counts = dict.fromkeys(names, 0)
        for key, events in self._tally.events.items():
            for event in events if key.startswith(prefix) else ():
                if event.acknowledged:
                    counts[event.who.rpartition(" ")[2]] += 1
        return min(counts.values())

    async def _kill(self, processes: dict[str, subprocess.Popen[bytes]]) -> None:
        """Kill both, each at a named point or wherever it is at a random moment."""
        points = {
            name: f"{self._rng.choice(KILL_POINTS)}:{self._rng.randint(1, 20)}"
            for name in processes
            if self._rng.random() < 0.5
        }
        self._workspace.tell(Control(kill_at=points))
        for name, process in processes.items():
            seconds = AT_A_POINT_SECONDS_MAX if name in points else self._rng.random() * 0.2
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and process.poll() is None:
                await anyio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        self._workspace.tell(Control())

    async def _left_behind(self, names: list[str]) -> int:
        holders = {self._tally.holder(name) for name in names}
        look = await self._xf.store.catalog.look_between(MIGRATION, "", None)
        intents = [record.intent for _, record in look.records if record.intent is not None]
        return sum(intent.holder in holders for intent in intents)

    async def _read(self, key: str) -> Event:
        called = now()
        try:
            async with await self._xf.files(MIGRATION).get(key) as obj:
                value = sha256(await obj.read()).hexdigest()
        except ObjectNotFoundError:
            value = None
        return Event(
            verb=Verb.READ, called=called, returned=now(), value=value, who="after the kill"
        )

    def _check(self, prefix: str = "") -> None:
        found = histories(self._tally, self._initial)
        checked = audit(
            {key: events for key, events in found.items() if key.startswith(prefix)}, self._initial
        )
        self.result.keys, self.result.operations = checked.checked, checked.operations
        for key, verdict in checked.wrong.items():
            self.result.wrong[key] = verdict.explanation

    async def conclude(self) -> None:
        """Wait for recovery, compare both sides, check every operation of all rounds."""
        catalog = self._xf.store.catalog
        with anyio.move_on_after(CLOSING_SECONDS_MAX):
            while (await catalog.census(MIGRATION)).open_count:
                await anyio.sleep(0.1)
        self.result.open_at_end = (await catalog.census(MIGRATION)).open_count
        folder = self._workspace.root
        urls = self._sides.urls
        sides = Pair(open_side(urls.source, folder=folder), open_side(urls.target, folder=folder))
        keys = {*self._tally.events, *self._initial}
        for key, events in (await read_both(sides, keys)).items():
            self._tally.events.setdefault(key, []).extend(events)
        for side in BOTH_SIDES:
            await sides[side].close()
        self._check()
        self.result.differences = (await self._xf.verify(MIGRATION)).differences
        self.result.recovered = list(self._xf.files(MIGRATION).recovery.recovered)
        self.result.failed = [
            failure.error
            for failure in self._tally.failures
            if not self._tally.while_still(failure.event) and not self._while_down(failure.event)
        ]

    def _while_down(self, event: Event) -> bool:
        """Tell whether a server was killed while a call was under way."""
        return any(event.called < end and event.returned > began for began, end in self._down)
