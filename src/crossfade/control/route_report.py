"""Which side a call would ask, and why: routing's wish, and what the catalog makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.core.objects import Side, check_key

if TYPE_CHECKING:
    from crossfade.core.routing import Route
    from crossfade.setup.opened import Crossfade


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReport:
    """A route.

    Attributes:
        routed: the side that routing picks; ``why`` in a sentence.
        asked: the side that a read of the key asks; None where no key was given.
        because: why that is another one; empty where it is the same.
    """

    migration: str
    subject: str | None
    key: str | None
    routed: Side
    why: str
    reason: str
    bucket: int
    percentage: float
    effective: float
    asked: Side | None
    because: str


async def route_report(
    xf: Crossfade, migration: str, *, subject: str | None, key: str | None
) -> RouteReport:
    """Route as a call with that subject and key would be.

    Raises:
        InvalidKeyError: no legal key.
        MigrationNotFoundError: no such migration.
    """
    if key is not None:
        check_key(key)
    found = await xf.route(migration, key=key or "", subject=subject)
    asked, because = None, ""
    if key is not None:
        asked, because = await _asked(xf, migration, key, found)
    return RouteReport(
        migration=migration,
        subject=subject,
        key=key,
        routed=found.side,
        why=found.why,
        reason=found.reason.value,
        bucket=found.bucket,
        percentage=found.set_basis_points / 100,
        effective=found.basis_points / 100,
        asked=asked,
        because=because,
    )


async def _asked(xf: Crossfade, migration: str, key: str, found: Route) -> tuple[Side, str]:
    look = await xf.store.catalog.look(migration, key)
    side = protocol.first_side(look, found.side)
    if side is found.side:
        return side, ""
    if look.record is not None:
        return side, f"the key is open, and the {side} alone answers for it"
    return side, f"the key's range is not sealed yet, so the {side} answers for it"
