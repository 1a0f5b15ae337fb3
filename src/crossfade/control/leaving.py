"""What Crossfade alone knows of a completed target, and a plain client of it would miss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from crossfade.core.objects import RESERVED_PREFIX
from crossfade.setup.sides import parse_side

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOKED_MAX = 100_000
"""How many names of a directory are looked at."""

NAMED_MAX = 5
ESCAPE = b"%~"
NOTE = b".note"
OWN_FOLDER = RESERVED_PREFIX.rstrip("/")


async def what_a_plain_client_misses(target: str) -> list[str]:
    """Say which names stay escaped, and where attributes are kept; empty where nothing is missed.

    Args:
        target: the side's URL, as the catalog keeps it.
    """
    path = parse_side(target, folder=Path()).path
    return [] if path is None else await to_thread.run_sync(_of_directory, path)


def _of_directory(path: Path) -> list[str]:
    found = []
    escaped = [name for name in _names(path) if os.path.basename(name).startswith(ESCAPE)]  # noqa: PTH119
    if escaped:
        shown = ", ".join(repr(os.fsdecode(name)) for name in escaped[:NAMED_MAX])
        more = f" and {len(escaped) - NAMED_MAX:,} more" if len(escaped) > NAMED_MAX else ""
        found.append(
            "keys that are no names of files, such as `a` beside `a/b`, stay under escaped names, "
            f"which a plain client does not read back: {shown}{more}; rename them"
        )
    meta = path / OWN_FOLDER / "meta"
    if any(_is_attributes(name) for name in _names(os.fsencode(meta))):
        found.append(
            f"content types and metadata lie in {meta}, which a plain client does not read: keep "
            "what your service needs of them before you remove it"
        )
    return found


def _is_attributes(name: bytes) -> bool:
    """Tell a file of attributes from a folder of them, and from an empty note."""
    return b"/" in name and not name.endswith(NOTE)


def _names(path: Path | bytes) -> Iterator[bytes]:
    """Yield paths below a directory, relative to it, without Crossfade's own; not all of many."""
    root, left = os.fsencode(path), LOOKED_MAX
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [name for name in folders if name != os.fsencode(OWN_FOLDER)]
        for name in (*folders, *files):
            left -= 1
            if left < 0:
                return
            yield os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118
