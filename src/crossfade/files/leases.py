"""An intent as its holder has it: a lease that is renewed beside the request, or cut."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.core.intents import NOTHING_SENT, Outcome
from crossfade.core.settings import RENEW_SHARE
from crossfade.errors import BackendError, LeaseLostError, StoreError
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from types import TracebackType

    from crossfade.core.intents import Marked
    from crossfade.core.objects import ObjectInfo, Pair, Side
    from crossfade.files.engine import Engine


class Held:
    """One intent: its outcomes so far, and the time at which it lapses on this clock."""

    def __init__(self, engine: Engine, key: str, marked: Marked, asked_at: float) -> None:
        self.engine = engine
        self.key = key
        self.marked = marked
        self.announced = set(marked.announced)
        self.outcomes: Pair[Outcome] = NOTHING_SENT
        self.infos: dict[Side, ObjectInfo] = {}
        self.errors: dict[Side, BackendError] = {}
        self.lost = False
        self._granted = asked_at
        self._scopes: dict[anyio.CancelScope, float] = {}

    @property
    def lapses_at(self) -> float:
        """When it lapses, counted from before it was asked for."""
        return self._granted + self.engine.timing.lease

    def ended(self, side: Side, outcome: Outcome) -> None:
        """Note what became of a side's request."""
        self.outcomes = self.outcomes.with_side(side, outcome)

    async def ensure(self) -> None:
        """Make sure before a request that the lease outlasts it.

        Raises:
            LeaseLostError: it lapsed, or somebody ended it.
        """
        if self.due:
            await self.renew()
        if self.lost or self.engine.clock() >= self.lapses_at:
            self.lost = True
            message = f"the lease of {self.key!r} lapsed"
            raise LeaseLostError(message)

    async def renew(self) -> None:
        """Extend the lease; where it is no longer its own, cut what is under way."""
        engine, asked_at = self.engine, self.engine.clock()
        decide = partial(protocol.renew, token=self.marked.token, timing=engine.timing)
        try:
            own = await engine.change(self.key, decide)
        except StoreError:
            return
        if own:
            self._granted = asked_at
            for scope, deadline in self._scopes.items():
                scope.deadline = min(self.lapses_at, deadline)
        else:
            self.lost = True
            for scope in self._scopes:
                scope.cancel()

    def cut(self, deadline: float) -> Cut:
        """Cut what runs inside at the deadline, and when the lease lapses before it."""
        return Cut(self, deadline)

    def begin(self, scope: anyio.CancelScope, deadline: float) -> None:
        """Renew the lease while it goes on."""
        self._scopes[scope] = deadline
        self.engine.leases.add(self)

    def end(self, scope: anyio.CancelScope) -> None:
        """Renew the lease no more once nothing goes on."""
        del self._scopes[scope]
        if not self._scopes:
            self.engine.leases.drop(self)

    @property
    def due(self) -> bool:
        """Whether a third of the lease has gone."""
        return self.engine.clock() >= self._granted + self.engine.timing.lease * RENEW_SHARE


class Cut:
    """What goes on under a lease; a context manager."""

    __slots__ = ("_deadline", "_held", "_scope")

    def __init__(self, held: Held, deadline: float) -> None:
        self._held = held
        self._deadline = deadline
        self._scope = anyio.CancelScope(deadline=min(held.lapses_at, deadline))

    def __enter__(self) -> None:
        self._scope.__enter__()
        self._held.begin(self._scope, self._deadline)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._held.end(self._scope)
        return self._scope.__exit__(kind, error, trace)


class Leases:
    """The intents whose requests are under way in this process; renewed at a third."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._held: dict[Held, None] = {}
        self._renewed: set[Held] = set()
        self._some = anyio.Event()

    @property
    def held(self) -> tuple[Held, ...]:
        """Those that are renewed."""
        return tuple(self._held)

    def add(self, held: Held) -> None:
        """Renew it from now on."""
        self._held[held] = None
        self._some.set()

    def drop(self, held: Held) -> None:
        """Renew it no more."""
        self._held.pop(held, None)

    async def run(self) -> None:
        """Renew what is due, for ever; rest while nothing is under way.

        No renewal waits for another: one that the store holds up would let the others lapse.
        """
        async with task_group() as group:
            while True:
                if not self._held:
                    self._some = anyio.Event()
                    await self._some.wait()
                await anyio.sleep(self._lease_seconds * RENEW_SHARE / 4)
                for held in self.held:
                    if held.due and held not in self._renewed:
                        self._renewed.add(held)
                        group.start_soon(self._renew, held)

    async def _renew(self, held: Held) -> None:
        try:
            await held.renew()
        finally:
            self._renewed.discard(held)
