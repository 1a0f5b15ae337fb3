"""What both sides hold before anything moves: where they meet, the source wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.core.counts import counted
from crossfade.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.core.objects import ObjectInfo, Pair
    from crossfade.ports import Backend

KEYS_MAX = 100_000
"""How many keys of either side are looked at."""

TICK_SECONDS = 0.02
"""How far the time of a file that was just written may lie before the clock."""

EARLIER_LIFE = (
    "If this migration ran before, its catalog is missing: put that back before anything is written"
)


async def overlap(sides: Pair[Backend], known_since: float | None = None) -> tuple[int, int, bool]:
    """Count the keys that both sides hold, those of another size, and say whether that is all.

    Args:
        sides: both are listed.
        known_since: from when on the catalog has known the migration, in seconds since 1970. What
            the target took later came through Crossfade, and is not counted.

    Raises:
        BackendError: a side cannot be listed.
    """
    common = unlike = looked = 0
    sources, targets = _listed(sides.source), _listed(sides.target)
    source, target = await anext(sources, None), await anext(targets, None)
    while source is not None and target is not None:
        looked += 1
        if looked > KEYS_MAX:
            return common, unlike, False
        if source.key == target.key and is_older(target, known_since):
            common += 1
            unlike += source.size != target.size
        ahead = source.key.encode() <= target.key.encode()
        behind = source.key.encode() >= target.key.encode()
        source = await anext(sources, None) if ahead else source
        target = await anext(targets, None) if behind else target
    return common, unlike, True


def is_older(info: ObjectInfo, known_since: float | None) -> bool:
    """Tell whether an object may have been there before the catalog knew its migration."""
    if known_since is None or info.modified is None:
        return True
    # Object stores round down to the second, and a file system's clock ticks now and then.
    coarse = 1.0 if not info.modified.microsecond else TICK_SECONDS
    return info.modified.timestamp() + coarse <= known_since


async def held_at_begin(sides: Pair[Backend], known_since: float | None) -> str:
    """Say what the target held before the catalog knew the migration; empty when nothing."""
    try:
        common, unlike, whole = await overlap(sides, known_since)
        if common:
            return f"{overlap_words(common, unlike, whole=whole)}. {EARLIER_LIFE}"
        first = (await sides.target.list()).objects
        if any(is_older(info, known_since) for info in first):
            return f"the target is not empty. {EARLIER_LIFE}"
    except BackendError as error:
        return f"what the target holds already could not be told: {error}"
    return ""


async def _listed(backend: Backend) -> AsyncIterator[ObjectInfo]:
    after, goes_on = "", True
    while goes_on:
        page = await backend.list(after=after)
        for info in page.objects:
            yield info
        goes_on = page.truncated and bool(page.objects)
        after = page.objects[-1].key if page.objects else after


def overlap_words(common: int, unlike: int, *, whole: bool = True) -> str:
    """Say how many objects of the target a backfill writes over."""
    least = "" if whole else "at least "
    held = counted(common, "key is", "keys are")
    sized = f"{unlike:,} of them with another size" if unlike else "none of them with another size"
    return (
        f"{least}{held} held by both sides, {sized}: the source wins, backfill writes its object "
        "over the target's wherever the content differs"
    )
