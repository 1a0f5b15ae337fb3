"""Backfill seals ranges while writers go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.files.worlds import world

from crossfade.core.objects import Side
from crossfade.core.settings import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.files.worlds import World

    from crossfade.ports import Page

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_catalog")]


def write_after_each_listing(
    w: World, write: Callable[[int], Awaitable[object]], times: int
) -> None:
    """Let a writer in between the listing of the source and that of the target."""
    listing, count = w.source.list, iter(range(times))

    async def list_then_write(
        *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Page:
        page = await listing(prefix=prefix, after=after, limit=limit)
        for number in count:
            await write(number)
            await w.settle()
            break
        return page

    w.source.list = list_then_write  # type: ignore[method-assign]


async def test_keys_created_between_both_listings_do_not_hold_up_a_seal(tmp_path: Path) -> None:
    async with world(tmp_path, limits=Limits(poll_seconds=0.01)) as w:
        await w.place(Side.SOURCE, "old", b"old")
        await w.begin()

        async def create(number: int) -> None:
            await w.files.put(f"new/{number}", b"new")

        write_after_each_listing(w, create, 50)
        report = await w.files.backfill().run()
    assert report.finished, report
    assert report.sealed_chunks == 1


async def test_keys_deleted_between_both_listings_do_not_hold_up_a_seal(tmp_path: Path) -> None:
    async with world(tmp_path, limits=Limits(poll_seconds=0.01)) as w:
        await w.begin()
        for number in range(10):
            await w.files.put(f"{number}", b"soon gone")
        await w.settle()

        async def delete(number: int) -> None:
            await w.files.delete(f"{number}")

        write_after_each_listing(w, delete, 10)
        report = await w.files.backfill().run()
    assert report.finished, report


async def test_keys_added_to_a_full_page_end_the_chunk_earlier(tmp_path: Path) -> None:
    async with world(tmp_path, limits=Limits(poll_seconds=0.01, page_keys=20)) as w:
        for number in range(30):
            await w.place(Side.SOURCE, f"k{number}", b"old")
        await w.begin()

        async def create(number: int) -> None:
            await w.files.put(f"a{number:03}", b"new")

        write_after_each_listing(w, create, 8)
        report = await w.files.backfill().run()
        ranges = await w.catalog.ranges("m")
    assert report.finished, report
    assert [r.sealed for r in ranges] == [True]
