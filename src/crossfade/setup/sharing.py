"""Migrations of one catalog that would share a place: the second one is refused.

The catalog knows a migration by its name. What it holds of one that was called otherwise before
would be passed over under a new name: reads would be stale, and a backfill would write over what
only the target holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.core.catalogs import refuse_other_migration
from crossfade.core.counts import counted
from crossfade.core.objects import BOTH_SIDES, Side
from crossfade.errors import MigrationExistsError
from crossfade.setup.relations import is_same, relation
from crossfade.setup.sides import parse_side

if TYPE_CHECKING:
    from crossfade.core.records import MigrationRow
    from crossfade.ports import Catalog
    from crossfade.setup.configuration import Configuration
    from crossfade.setup.sides import SideAddress

_ANEW = "end every process of it at 0 % with no key open, then give [store] url another file"


async def known_rows(catalog: Catalog, configuration: Configuration) -> dict[str, MigrationRow]:
    """Return what the catalog holds, by name, once no configured migration is refused.

    Raises:
        MigrationExistsError: as `refuse_other_claims` raises it.
    """
    for configured in configuration.migrations.values():
        await refuse_other_claims(catalog, configured.row())
    return {row.name: row for row in await catalog.migrations()}


async def refuse_other_claims(catalog: Catalog, given: MigrationRow) -> None:
    """Refuse a migration whose name the catalog has with other sides, or sides with another name.

    A migration that has not begun and has no open key claims nothing, and a target that a
    complete migration left without an open key may be the next one's source.

    Raises:
        MigrationExistsError: it names the other migration, and what to do.
    """
    for row in await catalog.migrations():
        if row.name == given.name:
            refuse_other_migration(row, given, elsewhere=not _meeting(given, row))
            continue
        met = _meeting(given, row)
        open_count = (await catalog.census(row.name)).open_count if met else 0
        if not met or (row.begun_at is None and not row.completed and not open_count):
            continue
        if row.completed and not open_count and _only_passes_on(given, row, met):
            continue
        raise _refusal(given, row, met, open_count)


def _only_passes_on(
    given: MigrationRow, row: MigrationRow, met: list[tuple[Side, Side, str]]
) -> bool:
    """Tell whether the sides meet only where the other's target becomes this one's source."""
    one_place = is_same(_address(given, Side.SOURCE), _address(row, Side.TARGET))
    return one_place and len(met) == 1


def _meeting(given: MigrationRow, row: MigrationRow) -> list[tuple[Side, Side, str]]:
    """Return which sides of two migrations meet: the given one's, the other's, and how."""
    found = [
        (side, other, relation(_address(given, side), _address(row, other)))
        for side in BOTH_SIDES
        for other in BOTH_SIDES
    ]
    return [one for one in found if one[2]]


def _address(row: MigrationRow, side: Side) -> SideAddress:
    return parse_side(_place(row, side), folder=Path())


def _place(row: MigrationRow, side: Side) -> str:
    return row.source if side is Side.SOURCE else row.target


def _refusal(
    given: MigrationRow, row: MigrationRow, met: list[tuple[Side, Side, str]], open_count: int
) -> MigrationExistsError:
    side, other, how = met[0]
    message = (
        f"the {side} of {given.name!r} ({_place(given, side)}) is {how} the {other} of "
        f"{row.name!r} ({_place(row, other)}), which {_standing(row, open_count)}"
    )
    if not row.completed:
        hint = f"call it {row.name!r} as before, or name other places; to start over, {_ANEW}"
    elif open_count and _only_passes_on(given, row, met):
        hint = f"run {row.name!r} until `crossfade status` shows no open key of it, then this one"
    else:
        hint = f"{row.name!r} is complete: name other places, or give [store] url another file"
    return MigrationExistsError(message, hint=hint)


def _standing(row: MigrationRow, open_count: int) -> str:
    if open_count:
        return f"has {counted(open_count, 'open key')}"
    return "is complete" if row.completed else "has begun"
