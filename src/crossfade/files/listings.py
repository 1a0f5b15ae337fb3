"""List: a page of the routed side, and every key that is open asked for by itself (rule 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.core.facts import Role
from crossfade.core.keyspace import end_of_prefix, key_before, least, start_after
from crossfade.core.objects import Side
from crossfade.errors import BackendError, BackendUnavailableError, CrossfadeError
from crossfade.files.deadlines import ask_until, share_until
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from crossfade.core.objects import ObjectInfo
    from crossfade.core.records import Interval, MigrationRow
    from crossfade.files.engine import Engine
    from crossfade.files.reads import Reader
    from crossfade.ports import Page

ASKED_AT_ONCE = 16


class Lister:
    """Carries out listings, page by page."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def objects(
        self, prefix: str, after: str, subject: str | None, timeout: float
    ) -> AsyncIterator[ObjectInfo]:
        """Yield the objects with the prefix after that key, in key order; each page is current.

        Raises:
            BackendError: no side that may answer could be listed within ``timeout`` a page.
        """
        cursor, end = after, end_of_prefix(prefix)
        if cursor < prefix:
            cursor = ""
        if end is not None and cursor and start_after(cursor) >= end:
            return
        while True:
            deadline = self._engine.clock() + timeout
            infos, cursor, more = await self._page(prefix, cursor, end, subject, deadline)
            for info in infos:
                yield info
            if not more:
                return

    async def _page(
        self, prefix: str, cursor: str, end: str | None, subject: str | None, deadline: float
    ) -> tuple[list[ObjectInfo], str, bool]:
        with anyio.CancelScope(deadline=deadline):
            while True:
                page = await self._once(prefix, cursor, end, subject, deadline)
                if page is not None:
                    return page
                self._engine.probe.reached("listing that starts over")
        message = "no side that may answer could be listed before the deadline"
        raise BackendUnavailableError(message, operation="list", key=prefix)

    async def _once(
        self, prefix: str, cursor: str, end: str | None, subject: str | None, deadline: float
    ) -> tuple[list[ObjectInfo], str, bool] | None:
        engine = self._engine
        start = max(start_after(cursor) if cursor else "", prefix)
        before = await engine.look_between(start, end, engine.limits.page_keys)
        looked_at = engine.clock()
        side, stop = self._side(before, start, end, prefix, subject)
        page, side = await self._list(side, prefix, cursor, before, deadline)
        if page.truncated and page.objects:
            stop = least(stop, start_after(page.objects[-1].key))
        after = await engine.look_between(start, stop)
        late = protocol.looked_too_late(engine.clock() - looked_at, engine.timing)
        clipped = _clip(before, stop)
        if late or not protocol.page_stands(clipped, after, side):
            return None
        asked = protocol.keys_to_ask(clipped, after)
        infos = {
            info.key: engine.shown(side, info)
            for info in page.objects
            if info.key not in asked and (stop is None or info.key < stop)
        }
        for info in await self._ask((k for k in asked if k.startswith(prefix)), subject, deadline):
            infos[info.key] = info
        ordered = [infos[key] for key in sorted(infos)]
        if stop is None or stop == end:
            return ordered, "", False
        return ordered, key_before(stop), True

    def _side(
        self, before: Interval, start: str, end: str | None, prefix: str, subject: str | None
    ) -> tuple[Side, str | None]:
        """Pick the side to list, and how far it may answer for closed keys."""
        engine = self._engine
        side = self._routed(before.migration, prefix, subject)
        if before.migration.completed:
            side = Side.TARGET
        stop = end
        if len(before.records) >= engine.limits.page_keys:
            stop = least(stop, start_after(before.records[-1][0]))
        first, *rest = before.ranges
        if before.migration.completed:
            return side, stop
        if side not in protocol.closed_sides(sealed=first.sealed):
            side = side.other
        for following in rest:
            if side not in protocol.closed_sides(sealed=following.sealed):
                return side, least(stop, following.start)
        return side, stop

    def _routed(self, row: MigrationRow, prefix: str, subject: str | None) -> Side:
        """Route the listing; where that side's listings lag, use the other one's."""
        routed = self._engine.route(row, key=prefix, subject=subject)
        sides = self._engine.sides
        lags = not sides[routed].capabilities.listing_consistent
        if lags and sides[routed.other].capabilities.listing_consistent:
            return routed.other
        return routed

    async def _list(
        self, side: Side, prefix: str, cursor: str, before: Interval, deadline: float
    ) -> tuple[Page, Side]:
        engine = self._engine
        sealed = all(r.sealed for r in before.ranges) and not before.migration.completed
        if not (engine.settings.fallback and sealed):
            return await self._list_side(side, prefix, cursor, Role.SERVE), side
        until = share_until(engine.clock(), deadline, engine.timing.look_max / 2)
        try:
            return await self._list_side(side, prefix, cursor, Role.SERVE, until), side
        except BackendError as error:
            try:
                page = await self._list_side(side.other, prefix, cursor, Role.FALLBACK)
            except BackendError:
                raise error from None
            return page, side.other

    async def _list_side(
        self, side: Side, prefix: str, cursor: str, role: Role, until: float | None = None
    ) -> Page:
        engine, since = self._engine, self._engine.clock()
        limit = engine.limits.page_keys
        asked = engine.sides[side].list(prefix=prefix, after=cursor, limit=limit)
        try:
            page = await ask_until(until, asked, operation="list", key=prefix)
        except BackendError as error:
            error.side = side.value
            engine.observe("list", side, role, error.code, since)
            raise
        engine.observe("list", side, role, None, since)
        return page

    async def _ask(
        self, keys: Iterable[str], subject: str | None, deadline: float
    ) -> list[ObjectInfo]:
        """Ask for open keys one by one, by rule 3; those that are absent are left out."""
        found: list[ObjectInfo] = []
        failed: list[CrossfadeError] = []
        limiter = anyio.CapacityLimiter(ASKED_AT_ONCE)

        async def ask(key: str) -> None:
            async with limiter:
                try:
                    answered = await self._reader.describe(key, subject, deadline)
                except CrossfadeError as error:
                    failed.append(error)
                    return
                if answered.value is not None:
                    found.append(answered.value)

        async with task_group() as group:
            for key in sorted(keys):
                group.start_soon(ask, key)
        if failed:
            raise failed[0]
        return found


def _clip(look: Interval, stop: str | None) -> Interval:
    if stop is None:
        return look
    records = tuple(entry for entry in look.records if entry[0] < stop)
    ranges = tuple(r for r in look.ranges if r.start < stop)
    return replace(look, records=records, ranges=ranges)
