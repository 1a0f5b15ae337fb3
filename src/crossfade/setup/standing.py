"""Where migrations stand, read from the catalog; and whether anybody runs their workers.

A process that mirrors and recovers holds, or waits for, a named lease of the migration. Any other
process can ask for it: refused, somebody works.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from crossfade.core import steering
from crossfade.core.keyspace import start_after
from crossfade.core.objects import Side
from crossfade.core.settings import RENEW_SHARE
from crossfade.core.steering import RolledBack
from crossfade.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.records import Lease, Record
    from crossfade.core.settings import Settings
    from crossfade.core.steering import MigrationStatus
    from crossfade.ports import Catalog

log = logging.getLogger("crossfade.setup")

PAGE_KEYS = 1_000


def presence_lease(migration: str) -> str:
    """Return the name of the lease that says that somebody runs the migration's workers."""
    return f"workers:{migration}"


async def be_present(catalog: Catalog, migration: str, holder: str, seconds: float) -> None:
    """Tell other processes, for ever, that workers run in this one.

    Where another process says so already this one waits to follow it.
    """
    lease = None
    try:
        while True:
            try:
                lease = await catalog.take_lease(presence_lease(migration), holder, seconds)
            except StoreError as error:
                log.warning("that workers run could not be noted, it is tried again: %s", error)
            await anyio.sleep(seconds * RENEW_SHARE)
    finally:
        if lease is not None:
            with anyio.CancelScope(shield=True):
                await _release(catalog, lease)


async def _release(catalog: Catalog, lease: Lease) -> None:
    """Give the lease back; where that fails it lapses by itself, and no call needs it."""
    try:
        await catalog.release_lease(lease)
    except StoreError as error:
        log.warning("that workers run no more could not be noted: %s", error)


async def workers_running(catalog: Catalog, migration: str, holder: str) -> bool | None:
    """Tell whether some process runs the migration's workers; None when that cannot be asked."""
    try:
        lease = await catalog.take_lease(presence_lease(migration), f"{holder}/asks", 0.0)
        if lease is None:
            return True
        await catalog.release_lease(lease)
    except StoreError:
        return None
    return False


def is_failing(record: Record) -> bool:
    """Tell whether the last copy of an open key failed, and it is tried again."""
    return bool(record.attempts) and record.mark is None


async def count_open(
    catalog: Catalog, migration: str, *counts: Callable[[Record], bool]
) -> list[int]:
    """Count the open keys for each question; memory holds one page of them."""
    found, start = [0] * len(counts), ""
    while True:
        look = await catalog.look_between(migration, start, None, PAGE_KEYS)
        for number, counts_in in enumerate(counts):
            found[number] += sum(counts_in(record) for _, record in look.records)
        if len(look.records) < PAGE_KEYS:
            return found
        start = start_after(look.records[-1][0])


def is_at_target(record: Record) -> bool:
    """Tell whether the target answers for an open key."""
    return record.authority is Side.TARGET


def is_marked_at_target(record: Record) -> bool:
    """Tell whether the target answers for an open key that repair decides on."""
    return is_at_target(record) and record.mark is not None


async def rolled_back(catalog: Catalog, migration: str, *, changed: bool) -> RolledBack:
    """Tell what is left to do of a migration after a rollback; it left a complete one alone."""
    counts = (is_at_target, is_marked_at_target)
    left, marked = await count_open(catalog, migration, *counts) if changed else (0, 0)
    return RolledBack(
        migration=migration, complete=not changed, open_at_target=left, marked_at_target=marked
    )


async def status_of(
    catalog: Catalog, migration: str, settings: Settings, holder: str
) -> MigrationStatus:
    """Return where a migration stands."""
    census = await catalog.census(migration)
    at_target = marked = failing = 0
    if census.open_count and not census.migration.completed:
        counts = (is_at_target, is_marked_at_target, is_failing)
        at_target, marked, failing = await count_open(catalog, migration, *counts)
    return steering.describe(
        census,
        enabled=settings.enabled,
        open_at_target=at_target,
        marked_at_target=marked,
        failing=failing,
        workers_running=await workers_running(catalog, migration, holder),
        timing=settings.timing,
    )
