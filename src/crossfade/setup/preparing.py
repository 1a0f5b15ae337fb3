"""Looking at both sides before anything moves."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES, Side
from crossfade.errors import BackendError, ConfigurationError

if TYPE_CHECKING:
    from crossfade.core.objects import Pair
    from crossfade.core.records import Census, MigrationRow
    from crossfade.ports import Backend, Catalog

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
                error.message += f" (until {name!r} has begun both its sides have to be usable)"
                raise
            log.warning("%r opens although its %s cannot be used: %s", name, side, error)
            failed.append(error)
    if len(failed) == len(wanted):
        raise failed[0]


async def prepare_row(catalog: Catalog, given: MigrationRow, *, new_times: bool = False) -> None:
    """Let the catalog hold the migration; refuse other times than its own.

    With others doubt would end in one process while a request, or a read, may still go on in
    another (rule 6).

    Args:
        catalog: it keeps the row if it has none yet.
        given: as this process's configuration has it.
        new_times: take its times from now on; only while no other process uses the migration.

    Raises:
        MigrationExistsError: the catalog knows a migration of that name with other sides.
        ConfigurationError: the migration has other times.
    """
    row = await catalog.prepare(given)
    if _times(row) == _times(given):
        return
    if new_times or _times(_filled(row, given)) == _times(given):
        await catalog.change_row(given.name, partial(_take_times, given))
        return
    row = _filled(row, given)
    message = f"{given.name!r} runs with {_said(row)}, not with {_said(given)}"
    hint = (
        "all its processes must use the same; give those, or stop every process of it and take "
        f"the new ones with `crossfade begin {given.name} --new-times`"
    )
    raise ConfigurationError(message, hint=hint)


def _times(row: MigrationRow) -> tuple[float | None, ...]:
    return row.late_max, row.look_max, row.late_complete_max


def _filled(row: MigrationRow, given: MigrationRow) -> MigrationRow:
    """Return the row with the times that an older release did not keep."""
    kept = {
        name: getattr(given, name) if getattr(row, name) is None else getattr(row, name)
        for name in ("late_max", "look_max", "late_complete_max")
    }
    return replace(row, **kept)


def _said(row: MigrationRow) -> str:
    return (
        f"late_seconds_max = {row.late_max:g}, look_seconds_max = {row.look_max:g} and "
        f"late_complete_seconds_max = {row.late_complete_max:g}"
    )


def _take_times(given: MigrationRow, census: Census) -> tuple[MigrationRow, None]:
    row = replace(
        census.migration,
        late_max=given.late_max,
        look_max=given.look_max,
        late_complete_max=given.late_complete_max,
    )
    return row, None


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
