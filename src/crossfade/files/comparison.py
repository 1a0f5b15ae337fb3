"""Both sides of an interval side by side, in one sorted pass with flat memory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio

from crossfade.core.keyspace import key_before, least, start_after
from crossfade.core.objects import BOTH_SIDES, ObjectInfo, Pair, Side
from crossfade.errors import BackendError, IntegrityError
from crossfade.files.found import read_digest, read_tag

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.objects import Digest
    from crossfade.files.engine import Engine

Listed = Pair[ObjectInfo | None]


def in_both(listed: Listed | None) -> bool:
    """Tell whether both sides were listed to hold something."""
    return listed is not None and None not in (listed.source, listed.target)


class Difference(StrEnum):
    """How a key differs, as reports say it."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Chunk:
    """What both sides list of ``start <= key < end``, by key in key order."""

    start: str
    end: str | None
    listed: dict[str, Listed]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison by content found of one key."""

    difference: Difference | None
    tags: Pair[str | None]
    digest: Digest | None


async def list_chunk(engine: Engine, start: str, end: str | None, keys_max: int) -> Chunk:
    """List a chunk of both sides, as far as both pages go.

    Raises:
        BackendError: a side could not be listed.
    """
    listed: dict[str, Listed] = {}
    stop, pages = end, {}
    for side in BOTH_SIDES:
        try:
            page = await engine.sides[side].list(after=key_before(start), limit=keys_max)
        except BackendError as error:
            error.side = side.value
            raise
        pages[side] = page
        if page.truncated and page.objects:
            stop = least(stop, start_after(page.objects[-1].key))
    for side in BOTH_SIDES:
        for info in pages[side].objects:
            if stop is None or info.key < stop:
                pair = listed.get(info.key, Pair(None, None))
                listed[info.key] = pair.with_side(side, info)
    return Chunk(start, stop, dict(sorted(listed.items())))


async def compare(engine: Engine, key: str) -> Compared:
    """Read a key on both sides and compare bytes, size and what both keep of its attributes.

    What a side itself calls damaged is different.

    Raises:
        BackendError: a side could not be read.
    """
    found: dict[Side, tuple[Digest, str] | None] = {}
    try:
        for side in BOTH_SIDES:
            found[side] = await read_digest(engine, side, key)
    except IntegrityError:
        return Compared(Difference.DIFFERENT, await tags_of(engine, key), None)
    source, target = found[Side.SOURCE], found[Side.TARGET]
    tags = Pair(source[1] if source else None, target[1] if target else None)
    if source is None or target is None:
        if source is target:
            return Compared(None, tags, None)
        return Compared(Difference.EXTRA if target else Difference.MISSING, tags, None)
    if source[0].same(target[0], engine.kept_by_both()):
        return Compared(None, tags, source[0])
    return Compared(Difference.DIFFERENT, tags, None)


async def tags_of(engine: Engine, key: str) -> Pair[str | None]:
    """Return both entity tags, those of damaged objects too; None for what is absent.

    Raises:
        BackendError: a side could not be asked.
    """
    found = [await read_tag(engine, side, key) for side in BOTH_SIDES]
    return Pair(*found)


async def compare_many(
    engine: Engine, keys: list[str], on_compared: Callable[[str, Compared], None]
) -> None:
    """Compare many keys, a few at once.

    Raises:
        BackendError: the first failure, after the others have ended.
    """
    failed: list[BackendError] = []
    limiter = anyio.CapacityLimiter(engine.limits.copies_max)

    async def one(key: str) -> None:
        async with limiter:
            if failed:
                return
            try:
                on_compared(key, await compare(engine, key))
            except BackendError as error:
                failed.append(error)

    async with anyio.create_task_group() as group:
        for key in keys:
            group.start_soon(one, key)
    if failed:
        raise failed[0]
