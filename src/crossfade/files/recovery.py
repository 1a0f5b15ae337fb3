"""Recovery and the copier's rounds: what a worker does for open keys."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.errors import CrossfadeError, StoreError

if TYPE_CHECKING:
    from crossfade.core.records import Record
    from crossfade.files.copier import Copier
    from crossfade.files.engine import Engine

log = logging.getLogger("crossfade.files")

DUE_KEYS = 64
RECOVERED_MAX = 1_000
"""How many tokens of recovered intents are remembered, to be shown."""


@dataclass(slots=True)
class Round:
    """What one round of a worker did; ``recovered`` holds the tokens of ended intents."""

    seen: int = 0
    copied: int = 0
    recovered: tuple[str, ...] = ()


class Recovery:
    """Ends intents whose holder is gone, copies what is due, drops what is finished."""

    def __init__(self, engine: Engine, copier: Copier) -> None:
        self._engine = engine
        self._copier = copier
        self.recovered: list[str] = []

    async def run(self) -> None:
        """Go on for ever, at every `Limits.poll_seconds`; at once while there is more to do."""
        while True:
            try:
                done = await self.once()
            except StoreError as error:
                log.warning("the worker found its store away, it tries again: %s", error)
                done = Round()
            if done.seen < DUE_KEYS:
                await anyio.sleep(self._engine.limits.poll_seconds)

    async def once(self) -> Round:
        """Work on what is due now."""
        due = await self._engine.catalog.due(self._engine.name, DUE_KEYS)
        done = Round(seen=len(due))
        if not due:
            return done
        recovered: list[str] = []

        async def work(key: str, record: Record) -> None:
            try:
                done.copied += await self._work(key, record, recovered)
            except CrossfadeError as error:
                log.warning("%r stays open, it is tried again: %s", key, error)

        async with anyio.create_task_group() as group:
            for key, record in due:
                group.start_soon(work, key, record)
        done.recovered = tuple(recovered)
        self.recovered.extend(recovered)
        del self.recovered[:-RECOVERED_MAX]
        return done

    async def _work(self, key: str, record: Record, recovered: list[str]) -> int:
        engine = self._engine
        if record.intent is not None:
            decide = partial(protocol.recover_lapsed, timing=engine.timing)
            token = await engine.change(key, decide)
            if token is not None:
                recovered.append(token)
                engine.probe.reached("intent recovered")
                log.info("the intent %s on %r was recovered: its lease lapsed", token, key)
            return 0
        if await engine.change(key, protocol.drop_finished):
            return 0
        result = await self._copier.copy(key)
        return int(result.reason is None)
