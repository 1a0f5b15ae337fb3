"""What every catalog must do, as named checks: run all of `CATALOG_CHECKS` against yours.

A check takes an empty catalog and the clock that it was given, and raises AssertionError where
the catalog breaks the port's contract::

    @pytest.mark.parametrize("check", CATALOG_CHECKS.values(), ids=CATALOG_CHECKS)
    async def test_catalog(check):
        clock = ManualClock()
        await check(MyCatalog(clock=clock), clock)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.testing.catalog_ranges import RANGE_CHECKS
from crossfade.testing.catalog_rows import ROW_CHECKS
from crossfade.testing.catalog_samples import ManualClock
from crossfade.testing.proofs import PROOF_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crossfade.testing.catalog_samples import CatalogCheck

__all__ = ["CATALOG_CHECKS", "PROOF_CHECKS", "ManualClock"]

CATALOG_CHECKS: Mapping[str, CatalogCheck] = {
    check.__name__: check for check in (*ROW_CHECKS, *RANGE_CHECKS)
}
"""Every check by its name, which says what must hold."""
