"""What lies in a directory, gone over once: what is no object, and who may read the files."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from secrets import token_hex
from stat import S_IMODE
from typing import TYPE_CHECKING

from crossfade.backends.local.listings import Wanted, objects
from crossfade.backends.local.ops import Descriptor

if TYPE_CHECKING:
    from crossfade.backends.local.tree import Tree
    from crossfade.errors import BackendError

LOOKED_MAX = 100_000
"""How many files, and things that are none, are looked at."""

NAMED_MAX = 5
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


@dataclass(slots=True, kw_only=True)
class Inventory:
    """What was found.

    Attributes:
        modes: how many files have which mode.
        refused: the first things that listings stop at; ``refused_count`` counts all.
        whole: whether everything was looked at.
    """

    modes: Counter[int] = field(default_factory=Counter)
    refused: list[BackendError] = field(default_factory=list)
    refused_count: int = 0
    whole: bool = True


def take_inventory(tree: Tree) -> Inventory:
    """Go over a directory, past what is no object."""
    found = Inventory()

    def note(error: BackendError) -> None:
        found.refused_count += 1
        if len(found.refused) < NAMED_MAX:
            found.refused.append(error)

    walk = objects(tree, Wanted(on_refused=note))
    try:
        for looked, (_, status) in enumerate(walk, start=1):
            found.modes[S_IMODE(status.st_mode)] += 1
            if looked + found.refused_count >= LOOKED_MAX:
                found.whole = False
                break
    finally:
        walk.close()
        tree.verify("list", "")
    return found


def mode_of_new(tree: Tree) -> int:
    """Return the mode that a new file gets in the directory; this process's umask decides."""
    folder, name = tree.own().temporary, f"{os.getpid()}-{token_hex(8)}".encode()
    with Descriptor(tree.ops, tree.ops.open(name, _MAKE, 0o666, dir_fd=folder.fd)) as file:
        tree.ops.unlink(name, dir_fd=folder.fd)
        return S_IMODE(tree.ops.fstat(file.fd).st_mode)
