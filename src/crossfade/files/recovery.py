"""Recovery and the copier's rounds: what a worker does for open keys."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.errors import CrossfadeError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crossfade.core.records import Record
    from crossfade.files.copier import Copier
    from crossfade.files.engine import Engine

log = logging.getLogger("crossfade.files")

DUE_KEYS = 64
RECOVERED_MAX = 1_000
"""How many tokens of recovered intents are remembered, to be shown."""


class Recovery:
    """Ends intents whose holder is gone, copies what is due, drops what is finished.

    At most `Limits.copies_max` keys are worked on at once, each as work of `Background`: it is
    drained at the end, and a slow copy holds nobody up but itself.

    Attributes:
        recovered: the tokens of the intents that were ended, the last of them.
    """

    def __init__(self, engine: Engine, copier: Copier) -> None:
        self._engine = engine
        self._copier = copier
        self._places = anyio.Semaphore(engine.limits.copies_max)
        self._busy: set[str] = set()
        self._taking = anyio.CancelScope()
        self.recovered: list[str] = []

    async def run(self) -> None:
        """Look for work every `Limits.poll_seconds`, at once while there is more, until `stop`."""
        with self._taking:
            while True:
                due = await self._due()
                started = 0
                for key, record in due:
                    if key not in self._busy:
                        await self._places.acquire()
                        self._start(key, record)
                        started += 1
                if not started or len(due) < DUE_KEYS:
                    await anyio.sleep(self._engine.limits.poll_seconds)

    def stop(self) -> None:
        """Take no more keys; those under way go on."""
        self._taking.cancel()

    async def _due(self) -> Sequence[tuple[str, Record]]:
        try:
            return await self._engine.catalog.due(self._engine.name, DUE_KEYS)
        except CrossfadeError as error:
            log.warning("the worker found its store away, it tries again: %s", error)
        except InvariantError:
            raise
        except Exception:
            log.exception("the worker could not ask its store, it tries again")
        return ()

    def _start(self, key: str, record: Record) -> None:
        self._busy.add(key)
        self._engine.background.start(self._one, key, record)

    async def _one(self, key: str, record: Record) -> None:
        try:
            await self._work(key, record)
        except CrossfadeError as error:
            log.warning("%r stays open, it is tried again: %s", key, error)
        finally:
            self._busy.discard(key)
            self._places.release()

    async def _work(self, key: str, record: Record) -> None:
        engine = self._engine
        if record.intent is not None:
            decide = partial(protocol.recover_lapsed, timing=engine.timing)
            token = await engine.change(key, decide)
            if token is not None:
                self.recovered.append(token)
                del self.recovered[:-RECOVERED_MAX]
                engine.probe.reached("intent recovered")
                log.info("the intent %s on %r was recovered: its lease lapsed", token, key)
            return
        if not await engine.change(key, protocol.drop_finished):
            digest = record.digest
            await self._copier.copy(key, size=None if digest is None else digest.size)
