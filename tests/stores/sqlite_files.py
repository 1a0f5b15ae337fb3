"""What the tests of the SQLite catalog share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import apsw

from crossfade.core.objects import Side
from crossfade.core.records import Decision, Look, Record
from crossfade.stores.sqlite import SqliteCatalog
from crossfade.testing.catalog_samples import ROW, ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OPEN = Record(authority=Side.SOURCE)


def opens(look: Look) -> Decision[str]:
    """Open the key and answer with it."""
    return Decision(look.record or OPEN, look.key)


async def prepared(path: Path, clock: ManualClock | None = None) -> SqliteCatalog:
    """Return an open catalog that holds one migration."""
    catalog = SqliteCatalog(
        path, clock=clock or ManualClock(), boot_id="boot", busy_seconds=0.05, doubt_seconds=150.0
    )
    await catalog.prepare(ROW)
    return catalog


@contextmanager
def each_connection(hook: Callable[[apsw.Connection], None]) -> Iterator[None]:
    """Show each connection that is opened to the hook first."""
    apsw.connection_hooks.append(hook)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(hook)
