"""Opening a migration's files: what runs beside the calls, and how it ends."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from crossfade.core.objects import BOTH_SIDES
from crossfade.core.settings import Workers
from crossfade.files.engine import running_clock
from crossfade.files.facade import Files
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.files.engine import Engine

log = logging.getLogger("crossfade.files")


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Files]:
    """Keep leases, and with inline workers mirror and recover, until the block ends.

    At the end no new call is taken, and what is under way (calls, mirrors, recovery) is drained
    for `Limits.drain_seconds`; what is left stays open in the catalog, and the next worker goes on
    with it. A block that is cancelled is not waited for.

    Raises:
        CapabilityError: a side cannot hold a migration's files.
    """
    for side in BOTH_SIDES:
        engine.sides[side].capabilities.require_side(engine.sides[side].location)
    engine.clock = running_clock()
    files = Files(engine)
    async with task_group() as group:
        engine.background.use(group)
        group.start_soon(engine.leases.run)
        if engine.settings.workers is Workers.INLINE:
            group.start_soon(files.recovery.run)
        try:
            yield files
        except Exception:
            await _drain(files)
            raise
        else:
            await _drain(files)
        finally:
            engine.turns.close()
            engine.background.close()
            group.cancel_scope.cancel()


async def _drain(files: Files) -> None:
    """Take nothing new, and let end what is under way."""
    engine = files.engine
    files.recovery.stop()
    engine.turns.close()
    with anyio.move_on_after(engine.limits.drain_seconds) as waited:
        await engine.turns.drain()
        await engine.background.drain(engine.limits.drain_seconds)
    if waited.cancelled_caught or engine.background.running:
        count = engine.background.running
        log.warning("closed with %d commits and copies not done; their keys stay open", count)
