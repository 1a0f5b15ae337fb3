"""Which files with a name of Crossfade's own were written by it.

A user's file may be called like an escape (``%~=a``): taken for one it would be lost beside ``a``,
or change its name. So before a file gets such a name an empty one, named by the key's digest, is
made durable among the attributes; a name without a note is a stranger's, which listings refuse.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crossfade.backends.local.names import INTRODUCER, OWN_FOLDER
from crossfade.backends.local.ops import Descriptor
from crossfade.backends.local.problems import naming
from crossfade.backends.local.sidecars import fan_out
from crossfade.backends.local.tree import digest_of
from crossfade.errors import InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crossfade.backends.local.tree import Tree

_MAKE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
LOOKS_MAX = 10
"""How often a file and its note are looked for while a key is deleted and put meanwhile."""


def needs_note(names: Sequence[bytes]) -> bool:
    """Tell whether a path has a name of Crossfade's own in it."""
    return any(name.startswith(INTRODUCER) for name in names)


def has_note(tree: Tree, key: str) -> bool:
    """Tell whether Crossfade gave the key's file such a name."""
    own = tree.base().own
    if own is None:
        return False
    folder, name = _place(key)
    path = folder + b"/" + name
    try:
        with naming(tree.shown((OWN_FOLDER, b"meta", path))):
            tree.ops.stat(path, dir_fd=own.meta.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_strange(tree: Tree, key: str, look: Callable[[], object]) -> bool:
    """Tell whether a file with such a name is not Crossfade's; ``look`` tells whether it is there.

    The note comes before the file and goes after it: a file without one was put there by somebody
    else, or is being deleted, and then it is gone when it is looked for again.
    """
    return all(not has_note(tree, key) and look() for _ in range(LOOKS_MAX))


def strange(tree: Tree, path: Sequence[bytes], operation: str, key: str) -> InvalidKeyError:
    """Tell that a file was not called so by Crossfade."""
    message = f"{tree.shown(path)!r} is called like a name that only Crossfade gives"
    hint = (
        "rename it or move it away; if .crossfade was lost, move it away, then verify and repair "
        "bring it back from the other side"
    )
    return InvalidKeyError(message, operation=operation, key=key, hint=hint)


def take_note(tree: Tree, key: str, path: tuple[bytes, ...]) -> None:
    """Note durably that the key's file is to have such a name.

    Raises:
        InvalidKeyError: somebody else's file has it; it is left alone.
    """

    def look() -> bool:
        parent = tree.walk(path[:-1])
        if parent is None:
            return False
        with parent:
            return tree.look(parent.fd, path) is not None

    if has_note(tree, key):
        return
    if is_strange(tree, key, look):
        raise strange(tree, path, "write", key)
    folder, name = _place(key)
    with fan_out(tree, folder) as parent:
        with naming(tree.shown((OWN_FOLDER, b"meta", folder, name))):
            fd = tree.ops.open(name, _MAKE, 0o600, dir_fd=parent.fd)
        with Descriptor(tree.ops, fd):
            tree.ops.fsync(fd)
        tree.ops.fsync(parent.fd)


def drop_note(tree: Tree, key: str) -> None:
    """Forget a key that was deleted, under its lock; a note left behind does no harm."""
    own = tree.base().own
    if own is None:
        return
    folder, name = _place(key)
    try:
        tree.ops.unlink(folder + b"/" + name, dir_fd=own.meta.fd)
    except OSError:
        return


def _place(key: str) -> tuple[bytes, bytes]:
    digest = digest_of(key)
    return digest[:2].encode(), f"{digest[2:]}.note".encode()
