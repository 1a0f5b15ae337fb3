"""What every process of a run has: the files opened, a log, and an ear for what it is told."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import anyio

from crossfade.core.facts import Fact, Role
from crossfade.core.objects import BOTH_SIDES, Side
from crossfade.core.settings import Workers
from crossfade.files.tasks import task_group
from crossfade.setup.opened import Crossfade
from crossfade.setup.opened import open as open_crossfade
from crossfade.testing.demo.oplog import (
    FaultSeen,
    FellBack,
    Held,
    LogWriter,
    Recovered,
    Started,
    StoodStill,
    now,
)
from crossfade.testing.demo.options import LEASE_SECONDS, MIGRATION, Sabotage
from crossfade.testing.demo.sabotage import SabotagedSide
from crossfade.testing.demo.sides import FailingSide, HoldingSide, PassingSide
from crossfade.testing.demo.workspace import Control, Workspace
from crossfade.testing.kill_points import KillProbe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.files.facade import Files
    from crossfade.ports import Backend

POLL_SECONDS = 0.05
PULSE_SECONDS = 0.25
STILL_SECONDS = LEASE_SECONDS / 2


class Child:
    """One process of a run.

    Attributes:
        name: it also names its log; what stands before its dot is its role.
        control: what the run told last.
        stopping: set when it is time to end.
    """

    def __init__(self, workspace: Workspace, name: str, seed: str) -> None:
        self.workspace = workspace
        self.name = name
        self.role = name.partition(".")[0]
        self.rng = Random(f"{seed}/{name}")  # noqa: S311 - a run is repeated from its seed
        self.log = LogWriter(workspace.log(name))
        self.control = Control()
        self.stopping = anyio.Event()
        self.probe = KillProbe.from_environment()
        self.holding: dict[Side, HoldingSide] = {}
        self.files: Files
        self.xf: Crossfade
        self._parent = os.getppid()
        self._recovered: set[str] = set()
        self._armed_at = ""
        self._holds = ""
        self._take(self.workspace.told())

    def observe(self, fact: Fact) -> None:
        """Note each fallback that worked."""
        if fact.role is Role.FALLBACK and fact.error is None:
            self.log.write(FellBack(now(), fact.operation))

    def fails(self, side: Side) -> bool:
        """Tell whether the side is to fail now."""
        return self.control.fault == side.value

    def holds(self, side: Side) -> bool:
        """Tell whether no change of the side may begin now."""
        return self.control.held == side.value

    async def pulse(self) -> None:
        """Note when the disk, or the machine, stands still: leases lapse then."""
        file = self.workspace.pulse(self.name)
        while True:
            began = now()
            await anyio.to_thread.run_sync(_make_durable, file)
            await anyio.sleep(PULSE_SECONDS)
            if now() - began > STILL_SECONDS + PULSE_SECONDS:
                self.log.write(StoodStill(began, now()))

    async def listen(self) -> None:
        """Do what the run tells, until it says stop or is gone."""
        while not self.stopping.is_set():
            self._take(self.workspace.told())
            self._note_held()
            self.note_recovered()
            if self.role in self.control.stopped or os.getppid() != self._parent:
                self.stopping.set()
            await anyio.sleep(POLL_SECONDS)

    def _take(self, control: Control) -> None:
        before, changed = self.control.fault, control.fault != self.control.fault
        if changed and not before:
            self.log.write(FaultSeen(now(), control.fault))
        self.control = control
        if changed and before:
            self.log.write(FaultSeen(now(), control.fault))
        kill_at = control.kill_at.get(self.name, "")
        if kill_at and kill_at != self._armed_at:
            self._armed_at = kill_at
            self.probe.arm(kill_at)

    def _note_held(self) -> None:
        """Log once that no change is under way on the side that is to hold them."""
        held = self.control.held
        if not held or self._holds == held:
            self._holds = held
        elif not self.holding[Side(held)].under_way:
            self._holds = held
            self.log.write(Held(now()))

    def note_recovered(self) -> None:
        """Log the intents that were recovered since the last time."""
        for token in list(self.files.recovery.recovered):
            if token not in self._recovered:
                self._recovered.add(token)
                self.log.write(Recovered(token))


@asynccontextmanager
async def child(
    root: str, name: str, seed: str, sabotage: Sabotage | None = None
) -> AsyncIterator[Child]:
    """Open the run's files in this process, and listen to the run until it says stop."""
    me = Child(Workspace(Path(root)), name, seed)
    bad_side = me.rng.choice(BOTH_SIDES)
    wrapped: list[PassingSide] = []

    def wrap(migration: str, side: Side, backend: Backend) -> Backend:
        assert migration == MIGRATION
        me.holding[side] = HoldingSide(backend, lambda: me.holds(side))
        inner: PassingSide = me.holding[side]
        wrapped.append(inner)
        if sabotage is not None and side is bad_side:
            inner = SabotagedSide(
                inner,
                sabotage,
                lambda: me.control.sabotage,
                me.rng,
                lambda key: me.workspace.confess(sabotage, side, key),
            )
            wrapped.append(inner)
        wrapped.append(FailingSide(inner, side, lambda: me.fails(side), me.rng))
        return wrapped[-1]

    async with open_crossfade(
        me.workspace.configuration,
        environ={},
        workers=Workers.INLINE,
        observer=me,
        probe=me.probe,
        wrap=wrap,
    ) as me.xf:
        me.files = me.xf.files(MIGRATION)
        me.log.write(Started(now(), me.files.engine.holder))
        async with task_group() as group:
            group.start_soon(me.listen)
            group.start_soon(me.pulse)
            yield me
            # What was sent lands, or was done wrong, before the process is gone.
            for each in wrapped:
                await each.settle()
            group.cancel_scope.cancel()
        me.note_recovered()
    me.note_recovered()


def _make_durable(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(b"still here")
        opened.flush()
        os.fsync(opened.fileno())
