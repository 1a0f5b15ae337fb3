from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from tests.stores.catalog_mutants import MUTANTS

from crossfade.stores.memory import MemoryCatalog
from crossfade.stores.sqlite import SqliteCatalog
from crossfade.testing.catalogs import CATALOG_CHECKS, ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from crossfade.ports import Catalog
    from crossfade.testing.catalog_samples import CatalogCheck

each_check = pytest.mark.parametrize("check", CATALOG_CHECKS.values(), ids=CATALOG_CHECKS)


async def assert_holds(check: CatalogCheck, catalog: Catalog, clock: ManualClock) -> None:
    try:
        await check(catalog, clock)
    finally:
        await catalog.close()


@pytest.mark.anyio
@each_check
async def test_the_catalog_in_memory(check: CatalogCheck) -> None:
    clock = ManualClock()
    await assert_holds(check, MemoryCatalog(clock), clock)


@each_check
def test_the_catalog_in_memory_on_another_event_loop(check: CatalogCheck) -> None:
    clock = ManualClock()

    async def run() -> None:
        await assert_holds(check, MemoryCatalog(clock), clock)

    trio.run(run)


@pytest.mark.anyio
@each_check
async def test_the_catalog_in_sqlite(check: CatalogCheck, tmp_path: Path) -> None:
    clock = ManualClock()
    catalog = SqliteCatalog(tmp_path / "catalog.db", clock=clock, boot_id="boot")
    await assert_holds(check, catalog, clock)


@pytest.mark.anyio
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
async def test_a_faulty_catalog_is_found(mutant: type[MemoryCatalog]) -> None:
    clock = ManualClock()
    with pytest.raises(AssertionError):
        await CATALOG_CHECKS[MUTANTS[mutant]](mutant(clock), clock)


def test_each_check_has_found_a_fault() -> None:
    assert set(MUTANTS.values()) == set(CATALOG_CHECKS)
