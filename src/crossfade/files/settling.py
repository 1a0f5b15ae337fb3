"""What backfill does at its end for keys that are still open: recover, wait, copy, name the rest.

A key stays open where its copy failed, where the process that held it is gone, or where something
of unknown outcome may still show. Time alone ends the last two, so a run waits for them; each key
whose copy failed is tried once more, so that the report names why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.core.duty import due_at
from crossfade.core.keyspace import start_after
from crossfade.core.objects import BOTH_SIDES
from crossfade.files.copies import Copied
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.records import Record
    from crossfade.files.copier import Copier
    from crossfade.files.copies import CopyResult
    from crossfade.files.engine import Engine


@dataclass(slots=True, kw_only=True)
class Open:
    """The keys that were open when settling began and still are.

    Attributes:
        waiting: those that time or another process has to let go of; ``keys`` names at most
            `Limits.keys_listed_max` of them, with what they wait for.
        marked: those that `repair` decides on.
    """

    waiting: int
    marked: int
    keys: dict[str, str]


class Settling:
    """Works on the keys that are open as it begins; what opens later is its writers' own."""

    def __init__(
        self,
        engine: Engine,
        copier: Copier,
        *,
        on_copied: Callable[[str, CopyResult], None],
        is_ending: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._copier = copier
        self._on_copied = on_copied
        self._is_ending = is_ending
        self._since = engine.catalog.now()
        self._failed: set[str] = set()

    async def round(self) -> Open:
        """Recover and copy what can be now; return what is open after it."""
        found = Open(waiting=0, marked=0, keys={})
        start, limit = "", self._engine.limits.page_keys
        while not self._is_ending():
            look = await self._engine.look_between(start, None, limit)
            if look.migration.completed:
                break
            opened = [each for each in look.records if each[1].since <= self._since]
            await self._work([each for each in opened if self._is_free(*each, look.now)])
            if len(look.records) < limit:
                break
            start = start_after(look.records[-1][0])
        await self._look(found)
        return found

    def _is_free(self, key: str, record: Record, now: float) -> bool:
        return key not in self._failed and record.mark is None and _free_at(record) <= now

    async def _work(self, todo: list[tuple[str, Record]]) -> None:
        tasks = min(self._engine.limits.copies_max, len(todo))
        async with task_group() as group:
            for each in range(tasks):
                group.start_soon(self._some, todo[each::tasks])

    async def _some(self, todo: list[tuple[str, Record]]) -> None:
        engine = self._engine
        for key, record in todo:
            if self._is_ending():
                return
            if record.intent is not None:
                decide = partial(protocol.recover_lapsed, timing=engine.timing)
                if await engine.change(key, decide) is not None:
                    engine.probe.reached("intent recovered")
            size = None if record.digest is None else record.digest.size
            result = await self._copier.copy(key, size=size)
            if result.result is Copied.FAILED:
                self._failed.add(key)
            if result.result is not Copied.LATER:
                self._on_copied(key, result)

    async def _look(self, found: Open) -> None:
        start, limit = "", self._engine.limits.page_keys
        while True:
            look = await self._engine.look_between(start, None, limit)
            for key, record in look.records:
                if record.since <= self._since and key not in self._failed:
                    self._add(found, key, record, look.now)
            if len(look.records) < limit:
                return
            start = start_after(look.records[-1][0])

    def _add(self, found: Open, key: str, record: Record, now: float) -> None:
        if record.mark is not None:
            found.marked += 1
            return
        found.waiting += 1
        left = max(0.0, _free_at(record) - now)
        if len(found.keys) < self._engine.limits.keys_listed_max:
            found.keys[key] = _why(record, now - record.since, left)


def _free_at(record: Record) -> float:
    """Return from when on the key can be worked on, whenever its last copy failed."""
    free = due_at(replace(record, mark=None, next_attempt=0.0), completed=False)
    return 0.0 if free is None else free


def _why(record: Record, open_seconds: float, left: float) -> str:
    what = f"open for {open_seconds:.0f} s, not copied yet"
    if record.intent is not None:
        what = f"open for {open_seconds:.0f} s, a {record.intent.operation} of it is under way"
        return f"{what} by {record.intent.holder}, whose lease lasts {left:.0f} s"
    return f"{what}: something of unknown outcome may show for {left:.0f} s" if left else what


def settle_seconds_max(engine: Engine) -> float:
    """Return the longest that a key can wait for a holder that is gone, and for doubt after it."""
    parts = any(engine.sides[s].capabilities.staged_bytes_min is not None for s in BOTH_SIDES)
    doubt = protocol.doubt_until(0.0, engine.timing, completes=parts)
    return engine.timing.lease + doubt + engine.limits.timeout_seconds


async def pause(seconds: float, stopped: anyio.Event) -> None:
    """Wait so long, or until a run is stopped."""
    with anyio.move_on_after(max(seconds, 0.0)):
        await stopped.wait()
