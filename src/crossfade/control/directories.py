"""What is particular to directories and has to be known before anything moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.backends.local import LocalBackend
from crossfade.core.counts import counted

if TYPE_CHECKING:
    from crossfade.core.objects import Pair
    from crossfade.ports import Backend

_OTHERS = 0o077
"""The rights of everybody but the owner."""


async def require_objects_alone(backend: Backend) -> None:
    """Refuse a directory with links, pipes or names in it that are no objects, all in one error.

    Raises:
        BackendError: listings stop at them; it names the first few and counts all.
    """
    if not isinstance(backend, LocalBackend):
        return
    found = await backend.inventory()
    if not found.refused:
        return
    first = found.refused[0]
    if found.refused_count > 1:
        least = "" if found.whole else "at least "
        named = "; ".join(error.message for error in found.refused)
        hidden = found.refused_count - len(found.refused)
        more = f"; and {hidden:,} more" if hidden else ""
        first.message = (
            f"{least}{found.refused_count:,} things in it are no objects, and listings stop at "
            f"them: {named}{more}"
        )
        first.hint = "move them away, or rename those that are files"
        first.key = ""
    raise first


async def laid_open(sides: Pair[Backend]) -> str:
    """Say how many files others may read or write once they are copied; empty where none."""
    source, target = sides.source, sides.target
    if not isinstance(source, LocalBackend) or not isinstance(target, LocalBackend):
        return ""
    given = await target.mode_of_new()
    found = await source.inventory()
    count = sum(number for mode, number in found.modes.items() if given & ~mode & _OTHERS)
    if not count:
        return ""
    least = "" if found.whole else "at least "
    files = counted(count, "file of the source is", "files of the source are")
    return (
        f"{least}{files} more private than what the target gives to a new one (mode {given:04o}): "
        "run the service, workers and backfill with a umask such as 077"
    )
