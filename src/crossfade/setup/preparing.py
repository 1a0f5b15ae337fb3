"""Looking at both sides before anything moves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES, Side
from crossfade.errors import BackendError

if TYPE_CHECKING:
    from crossfade.core.objects import Pair
    from crossfade.core.records import MigrationRow
    from crossfade.ports import Backend

log = logging.getLogger("crossfade.setup")


def is_known(row: MigrationRow | None) -> bool:
    """Tell whether a migration has begun, so that its sides hold what Crossfade put there."""
    return row is not None and row.begun_at is not None


async def prepare_sides(name: str, sides: Pair[Backend], row: MigrationRow | None) -> None:
    """Check that both sides are there and can be written.

    A migration that has begun opens while one side is away, cannot be written, or is another
    directory than before, as it goes on while one fails: a service that restarts during an outage
    must come up. Such a side is asked again with every call, and refuses until it is itself
    again. After `complete` the source is not looked at, because it may be gone.

    Raises:
        BackendError: a side of a migration that has not begun cannot be used, or both sides
            cannot.
        CapabilityError: a side cannot hold a migration's files.
    """
    begun = is_known(row)
    completed = row is not None and row.completed
    wanted = [side for side in BOTH_SIDES if side is Side.TARGET or not completed]
    failed: list[BackendError] = []
    for side in wanted:
        try:
            await prepare_side(side, sides[side])
        except BackendError as error:
            if not begun:
                raise
            log.warning("%r opens although its %s cannot be used: %s", name, side, error)
            failed.append(error)
    if len(failed) == len(wanted):
        raise failed[0]


async def prepare_side(side: Side, backend: Backend) -> None:
    """Check that one side is there and can be written.

    Raises:
        BackendError: it is not; it names the side.
        CapabilityError: it cannot hold a migration's files.
    """
    try:
        await backend.prepare(create=True)
    except BackendError as error:
        error.side = side.value
        raise
