"""Both sides of a survey: opened from their URLs, looked at, never changed."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.core.surroundings import Disk
from crossfade.errors import BackendError, ConfigurationError
from crossfade.setup.relations import check_places
from crossfade.setup.sides import open_side, parse_side, parse_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.backends.s3.inspection import Inspector
    from crossfade.ports import Backend
    from crossfade.setup.sides import SideAddress

FIELDS = Pair("SOURCE", "TARGET")


@dataclass(slots=True)
class SurveyedSide:
    """One side.

    Attributes:
        inspector: asks about a bucket; None for other kinds.
    """

    side: Side
    address: SideAddress
    backend: Backend
    inspector: Inspector | None

    def disk(self) -> Disk | None:
        """Return the room where a directory is; None for other kinds, or where nobody says."""
        if self.address.path is None:
            return None
        try:
            found = os.statvfs(self.address.path)
        except OSError:
            return None
        return Disk(
            free_bytes=found.f_bavail * found.f_frsize,
            total_bytes=found.f_blocks * found.f_frsize,
            free_files=found.f_favail if found.f_files else None,
        )


def addresses(source: str, target: str) -> Pair[SideAddress]:
    """Return where both sides are; nothing is opened or looked at.

    Raises:
        ConfigurationError: a URL that is none, or both are, or hold, one another.
    """
    folder = Path.cwd()
    found = Pair(
        parse_side(source, folder=folder, field=FIELDS.source),
        parse_side(target, folder=folder, field=FIELDS.target),
    )
    store = parse_store("memory://", folder=folder)
    check_places([(FIELDS[side], found[side]) for side in BOTH_SIDES], store)
    for side in BOTH_SIDES:
        if found[side].scheme == "memory":
            message = f"{FIELDS[side]} is {found[side].url}, which is empty in every new process"
            raise ConfigurationError(message, hint="give a directory or a bucket")
    return found


@asynccontextmanager
async def opened(urls: Pair[SideAddress]) -> AsyncIterator[Pair[SurveyedSide]]:
    """Open both sides, and check that they are there; nothing is made or written.

    Raises:
        BackendError: one is not there, or may not be listed; it names the side.
        MissingExtraError: a bucket, and the s3 extra is not installed.
    """
    sides: dict[Side, SurveyedSide] = {}
    try:
        for side in BOTH_SIDES:
            sides[side] = _open(side, urls[side])
            await _look(sides[side])
        yield Pair(sides[Side.SOURCE], sides[Side.TARGET])
    finally:
        for one in sides.values():
            await one.backend.close()
            if one.inspector is not None:
                await one.inspector.close()


def _open(side: Side, address: SideAddress) -> SurveyedSide:
    backend = open_side(address.url, field=FIELDS[side])
    inspector = None
    if address.bucket is not None:
        from crossfade.backends.s3.inspection import Inspector

        inspector = Inspector(address.bucket)
    return SurveyedSide(side, address, backend, inspector)


async def _look(one: SurveyedSide) -> None:
    try:
        await one.backend.prepare(create=False)
    except BackendError as error:
        error.side = one.side.value
        raise
