"""A large body on its way: staged where the key's mark will want it, before the mark.

Leases stay short, and nothing is in doubt of a write that ends before its body arrived.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import staging
from crossfade.core.facts import Role
from crossfade.core.records import Decision
from crossfade.errors import BackendError, BackendUnavailableError
from crossfade.files.deadlines import share_until
from crossfade.files.marking import with_route
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from crossfade.core.intents import Ask
    from crossfade.core.objects import Side
    from crossfade.core.records import Look
    from crossfade.files.engine import Engine
    from crossfade.files.marking import Chooser
    from crossfade.files.requests import Mutation
    from crossfade.ports import Staged, Stager

DROP_SECONDS_MAX = 5.0
"""How long letting go of what was staged may take where nobody can cancel it."""


async def drop(staged: Staged) -> None:
    """Let go of what was staged, although its caller may be cancelled."""
    with anyio.move_on_after(DROP_SECONDS_MAX, shield=True):
        await staged.drop()


class Stages:
    """What one put has staged, by side.

    Attributes:
        errors: of the sides on which the body could not be staged; nothing was sent there.
    """

    def __init__(self, engine: Engine, mutation: Mutation) -> None:
        self._engine = engine
        self._mutation = mutation
        self._staged: dict[Side, Staged] = {}
        self.errors: dict[Side, BackendError] = {}

    @classmethod
    def of(cls, engine: Engine, mutation: Mutation) -> Stages | None:
        """Return a place for a large body; None for a small one, and for a delete."""
        size = None if mutation.body is None else mutation.body.size
        return cls(engine, mutation) if engine.completes(size) else None

    def on(self, side: Side) -> Staged | None:
        """Return what is staged on a side."""
        return self._staged.get(side)

    def serves(self, primary: Side) -> bool:
        """Tell whether nothing is left to be staged on the side that a mark chose."""
        return primary in self._staged or primary in self.errors or self._stager(primary) is None

    async def prepare(self, ask: Ask, choose: Chooser, deadline: float) -> None:
        """Stage the body where a mark would send it now, and drop it elsewhere.

        Where its primary does not take it and fallback is on, it is staged on the other side.

        Raises:
            BackendError: no side took it that a write could go to; nothing was changed.
        """
        engine, key = self._engine, self._mutation.key
        self.errors.clear()
        decide = partial(_plan, engine, ask, choose)
        sides, fallback = await engine.change(key, decide)
        for side in [each for each in self._staged if each not in sides]:
            await drop(self._staged.pop(side))
        if not sides:
            return
        primary, *others = sides
        until = share_until(engine.clock(), deadline) if fallback else deadline
        async with task_group() as group:
            for side in others:
                group.start_soon(self._stage, side, Role.MIRROR, deadline)
            await self._stage(primary, Role.SERVE, until)
        error = self.errors.get(primary)
        if error is None:
            return
        if fallback and not others:
            await self._stage(primary.other, Role.FALLBACK, deadline)
        if self.on(primary.other) is None and (not fallback or primary.other in self.errors):
            raise error

    async def drop(self) -> None:
        """Let go of everything."""
        while self._staged:
            _, staged = self._staged.popitem()
            await drop(staged)

    async def _stage(self, side: Side, role: Role, until: float) -> None:
        """Stage the body on a side, if it is not there already; note an error."""
        engine, mutation = self._engine, self._mutation
        stager, body = self._stager(side), mutation.body
        if stager is None or body is None or side in self._staged:
            return
        since = engine.clock()
        message = "the body did not arrive in the side's share of the timeout; nothing was changed"
        error: BackendError = BackendUnavailableError(message, operation="write", key=mutation.key)
        with anyio.CancelScope(deadline=until):
            try:
                staged = await stager.stage(mutation.key, body, mutation.attributes)
            except BackendError as failure:
                error = failure
            else:
                self._staged[side] = staged
                engine.probe.reached("staged before mark")
                return
        error.side = side.value
        self.errors[side] = error
        engine.observe(mutation.operation.value, side, role, error.code, since)

    def _stager(self, side: Side) -> Stager | None:
        body = self._mutation.body
        return self._engine.stager(side, None if body is None else body.size)


def _plan(
    engine: Engine, ask: Ask, choose: Chooser, look: Look
) -> Decision[tuple[tuple[Side, ...], bool]]:
    """Say where a mark would send now, and whether the other side may be asked after that."""
    sides = staging.sides_to_stage(look, with_route(engine, ask, choose, look))
    fallback = bool(sides) and engine.settings.fallback and staging.may_fall_back(look, sides[0])
    return Decision(look.record, (sides, fallback))
