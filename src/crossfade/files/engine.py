"""What every part of the data plane works on: both sides, the catalog, the settings."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio

from crossfade.core.facts import Fact, Role
from crossfade.core.objects import BOTH_SIDES, NO_ATTRIBUTES
from crossfade.errors import BackendError
from crossfade.files.background import Background
from crossfade.files.leases import Leases
from crossfade.files.turns import Turns
from crossfade.ports import Stager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crossfade.core.objects import Attributes, ObjectInfo, Pair, Side
    from crossfade.core.records import Decision, Interval, Look, MigrationRow
    from crossfade.core.settings import Limits, Settings, Timing
    from crossfade.ports import Backend, Catalog, Observer, Probe, Proofs

T = TypeVar("T")
log = logging.getLogger("crossfade.files")


class Router(Protocol):
    """Picks the side that is asked first; policy, never truth."""

    def __call__(self, row: MigrationRow, *, key: str, subject: str | None) -> Side:
        """Return the routed side under the row's percentage."""


class SilentProbe:
    """Does nothing at the data plane's named points."""

    def reached(self, name: str) -> None:
        """Ignore it."""

    async def point(self, name: str) -> None:
        """Go on."""


class SilentObserver:
    """Hears no fact."""

    def observe(self, fact: Fact) -> None:
        """Ignore it."""


def running_clock() -> Callable[[], float]:
    """Return the running event loop's clock; `anyio.current_time` finds the loop at every call."""
    try:
        return asyncio.get_running_loop().time
    except RuntimeError:  # Trio
        return anyio.current_time


@dataclass(slots=True, kw_only=True)
class Engine:
    """One migration's files as one process sees them.

    Attributes:
        holder: names this process in leases; it never repeats.
        clock: the event loop's, in seconds.
        draw_route: returns a router that has drawn, where routing goes by chance.
    """

    name: str
    catalog: Catalog
    sides: Pair[Backend]
    proofs: Proofs
    settings: Settings
    route: Router
    holder: str
    observer: Observer = field(default_factory=SilentObserver)
    probe: Probe = field(default_factory=SilentProbe)
    draw_route: Callable[[], Router] | None = None
    clock: Callable[[], float] = anyio.current_time
    turns: Turns = field(default_factory=Turns)
    background: Background = field(init=False)
    leases: Leases = field(init=False)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.background = Background(self.limits.background_max)
        self.leases = Leases(self.timing.lease)

    @property
    def timing(self) -> Timing:
        """The protocol's times."""
        return self.settings.timing

    @property
    def limits(self) -> Limits:
        """How much of everything may be used."""
        return self.settings.limits

    def new_token(self) -> str:
        """Name an intent, as nobody ever did before."""
        return f"{self.holder}/{next(self._numbers)}"

    def settled_route(self) -> Router:
        """Return a router that gives one answer however often it is asked: a decision is pure."""
        return self.route if self.draw_route is None else self.draw_route()

    def look(self, key: str) -> Awaitable[Look]:
        """Look one key up."""
        return self.catalog.look(self.name, key)

    async def look_between(self, start: str, end: str | None, limit: int | None = None) -> Interval:
        """Look at the open keys and ranges of an interval."""
        return await self.catalog.look_between(self.name, start, end, limit)

    def change(self, key: str, decide: Callable[[Look], Decision[T]]) -> Awaitable[T]:
        """Decide on one key in one durable transaction."""
        return self.catalog.change(self.name, key, decide)

    def kept_by_both(self) -> frozenset[str]:
        """Return the attributes that both sides declare to keep; no others are compared."""
        source, target = self.sides.source, self.sides.target
        return source.capabilities.attributes_kept & target.capabilities.attributes_kept

    def stager(self, side: Side, size: int | None) -> Stager | None:
        """Return the side if a body of that size can be staged on it."""
        backend = self.sides[side]
        if backend.capabilities.stages(size) and isinstance(backend, Stager):
            return backend
        return None

    def completes(self, size: int | None) -> frozenset[Side]:
        """Return the sides at which a body of that size goes in parts, staged before or not."""
        return frozenset(side for side in BOTH_SIDES if self.sides[side].capabilities.stages(size))

    def require_object(
        self, side: Side, key: str, size: int | None, attributes: Attributes = NO_ATTRIBUTES
    ) -> None:
        """Refuse an object that the side cannot hold, before the first byte is sent.

        Raises:
            InvalidKeyError: the key is too long or outside the side's alphabet.
            InvalidMetadataError: the metadata has a name outside the side's alphabet, or too much.
            ObjectTooLargeError: the object is over the side's limit.
        """
        try:
            self.sides[side].capabilities.require_object(key, size, attributes)
        except BackendError as error:
            error.side = side.value
            raise

    def shown(self, side: Side, info: ObjectInfo) -> ObjectInfo:
        """Return the description as a caller sees it: a counter as a tag carries its side."""
        if not self.sides[side].capabilities.tags_are_counters:
            return info
        return replace(info, etag=f"{side.value}-{info.etag}")

    def observe(
        self, operation: str, side: Side, role: Role, error: str | None, since: float
    ) -> None:
        """Tell the observer what a side was asked and what came of it."""
        seconds = self.clock() - since
        self.observer.observe(Fact(self.name, operation, side, role, error, seconds))
