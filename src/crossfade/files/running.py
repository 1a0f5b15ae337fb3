"""Opening a migration's files: what runs beside the calls, and how it ends."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

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

    At the end mirrors under way are drained for `Limits.drain_seconds`; what is left stays open
    in the catalog, and the next worker goes on with it.

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
            if not await engine.background.drain(engine.limits.drain_seconds):
                count = engine.background.running
                log.warning("%d mirrors were not done; their keys stay open", count)
        finally:
            group.cancel_scope.cancel()
    engine.background.use(None)
