"""What a file system must be able to do, tried out before anything depends on it."""

from __future__ import annotations

import os
import time
from secrets import token_hex
from typing import TYPE_CHECKING

from crossfade.backends.local.names import OWN_FOLDER
from crossfade.backends.local.ops import Descriptor
from crossfade.backends.local.problems import naming
from crossfade.errors import CapabilityError

if TYPE_CHECKING:
    from crossfade.backends.local.tree import Tree

_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def check(tree: Tree) -> None:
    """Try names and times in the folder for temporary files.

    Raises:
        CapabilityError: names that differ are taken for one, or times are not kept.
    """
    folder = tree.own().temporary.fd
    stem = token_hex(8)
    name = f"{stem}-A-\u00e9".encode()
    with naming(tree.shown((OWN_FOLDER, b"tmp"))):
        fd = tree.ops.open(name, _MAKE, 0o600, dir_fd=folder)
    with Descriptor(tree.ops, fd) as file:
        try:
            for other in (f"{stem}-a-\u00e9", f"{stem}-A-e\u0301"):
                _require_absent(tree, folder, other.encode())
            _require_times(tree, file.fd)
        finally:
            tree.ops.unlink(name, dir_fd=folder)


def _require_absent(tree: Tree, folder: int, name: bytes) -> None:
    try:
        tree.ops.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return
    message = f"the file system of {os.fspath(tree.root)!r} takes different names for the same"
    hint = "use one that tells upper from lower case and does not normalise Unicode"
    raise CapabilityError(message, hint=hint)


def _require_times(tree: Tree, fd: int) -> None:
    now = time.time_ns() | 1
    tree.ops.utime(fd, ns=(now, now))
    if tree.ops.fstat(fd).st_mtime_ns != now:
        message = f"the file system of {os.fspath(tree.root)!r} does not keep nanoseconds"
        hint = "use one that does, or two versions of a file could not be told apart"
        raise CapabilityError(message, hint=hint)
