"""Looking at both sides before anything moves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES, RESERVED_PREFIX, Side
from crossfade.errors import BackendError, BackendUnavailableError
from crossfade.setup.sides import parse_side

if TYPE_CHECKING:
    from crossfade.core.objects import Pair
    from crossfade.core.records import MigrationRow
    from crossfade.ports import Backend
    from crossfade.setup.configuration import ConfiguredMigration

log = logging.getLogger("crossfade.setup")


async def prepare_sides(
    name: str, sides: Pair[Backend], row: MigrationRow | None, configured: ConfiguredMigration
) -> None:
    """Check that both sides are there and can be written.

    A migration that has begun opens while one side is away, as it goes on while one fails: a
    service that restarts during an outage must come up. After `complete` the source is not
    looked at, because it may be gone.

    Raises:
        BackendError: a side of a migration that has not begun is away, or both sides are, or
            another directory stands in a side's place.
        CapabilityError: a side cannot hold a migration's files.
    """
    begun = row is not None and row.begun_at is not None
    completed = row is not None and row.completed
    wanted = [side for side in BOTH_SIDES if side is Side.TARGET or not completed]
    failed: list[BackendError] = []
    for side in wanted:
        if begun:
            require_known(configured, side)
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


def require_known(configured: ConfiguredMigration, side: Side) -> None:
    """Refuse an empty mount point: nothing would be found in it, and that would be believed.

    Raises:
        BackendUnavailableError: the directory of a migration that has begun is there, without
            what Crossfade put into it.
    """
    url = configured.source if side is Side.SOURCE else configured.target
    # The URL is in its one spelling by now, which is absolute.
    path = parse_side(url, folder=Path()).path
    if path is None or not path.is_dir() or (path / RESERVED_PREFIX).is_dir():
        return
    message = f"{path} is not the directory that the migration began with: it has no .crossfade"
    hint = "mount the volume; if its files were restored, make that folder by hand, then verify"
    raise BackendUnavailableError(message, operation="prepare", side=side.value, hint=hint)
