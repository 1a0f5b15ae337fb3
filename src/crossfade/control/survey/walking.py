"""Listing both sides side by side, once, in memory that does not grow with them."""

from __future__ import annotations

import random
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.core.tally import Fitting, Reservoir, Tally
from crossfade.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from crossfade.control.survey.sides import SurveyedSide
    from crossfade.core.objects import ObjectInfo

SAMPLES_MAX = 200
PAGE_KEYS = 1_000
_SEED = 0  # the same objects are looked at when it is run again


@dataclass(slots=True)
class Walked:
    """How far one side was listed.

    Attributes:
        pages: how many requests that took.
        ended: whether all of it was.
        error: what broke the listing off.
    """

    tally: Tally = field(default_factory=Tally)
    pages: int = 0
    ended: bool = False
    error: BackendError | None = None


class Walk:
    """Both sides, listed once.

    Args:
        sides: what is listed.
        keys_max: after how many keys of a side its listing is left; None for all.
        on_page: called after each page.
    """

    def __init__(
        self,
        sides: Pair[SurveyedSide],
        *,
        keys_max: int | None = None,
        on_page: Callable[[], None] = lambda: None,
    ) -> None:
        self._sides = sides
        self._keys_max = keys_max
        self._on_page = on_page
        self.walked = Pair(Walked(), Walked())
        self.fitting = Fitting(sides.target.backend.capabilities)
        self.sample = Reservoir(SAMPLES_MAX, random.Random(_SEED).randrange)  # noqa: S311 - no secret
        self.common = 0
        self.unlike = 0

    async def run(self) -> None:
        """List until both sides end, fail, or are at the limit; can be cancelled."""
        async with (
            aclosing(self._listed(Side.SOURCE)) as source,
            aclosing(self._listed(Side.TARGET)) as target,
        ):
            await self._merge(source, target)

    async def _merge(
        self, source: AsyncIterator[ObjectInfo], target: AsyncIterator[ObjectInfo]
    ) -> None:
        one, other = await anext(source, None), await anext(target, None)
        while one is not None or other is not None:
            # Code points are in the order of their UTF-8 bytes.
            if one is not None and other is not None and one.key == other.key:
                self.common += 1
                self.unlike += one.size != other.size
                one, other = await anext(source, None), await anext(target, None)
            elif other is None or (one is not None and one.key < other.key):
                one = await anext(source, None)
            else:
                other = await anext(target, None)

    async def _listed(self, side: Side) -> AsyncGenerator[ObjectInfo, None]:
        walked, backend = self.walked[side], self._sides[side].backend
        after = ""
        while True:
            count = PAGE_KEYS
            if self._keys_max is not None:
                count = min(count, self._keys_max - walked.tally.total.objects)
            if count <= 0:
                return
            try:
                page = await backend.list(after=after, limit=count)
            except BackendError as error:
                error.side = side.value
                walked.error = error
                return
            walked.pages += 1
            for info in page.objects:
                self._take(side, info)
                yield info
            self._on_page()
            if not page.truncated or not page.objects:
                walked.ended = True
                return
            after = page.objects[-1].key

    def _take(self, side: Side, info: ObjectInfo) -> None:
        self.walked[side].tally.add(info.key, info.size)
        if side is Side.SOURCE:
            self.fitting.add(info.key, info.size)
            self.sample.add(info)

    @property
    def whole(self) -> bool:
        """Whether both sides were listed to their end."""
        return all(self.walked[side].ended for side in BOTH_SIDES)
