"""Where a key's file goes: under its plain name, or beside the directory that has that name.

A file and a directory cannot share a name. So the file of ``a`` is called ``%~=a`` once there is
something below ``a/``, and stays there until it is deleted. The rules, and why they hold when
many threads and processes work on one directory:

* A key's file is put, replaced, moved and deleted under the key's lock alone (`Tree.locked`).
  One of the two places is decided on and renamed to within it; nothing slow happens in it.
* The plain file counts before the other. Both exist only if somebody put one there by hand.
* A file moves from the plain place to the other, when a directory is needed, and never back.
  Between the reader's two looks it can therefore not slip from the second to the first: a file
  that is there all the time is found.
* A directory comes and goes without a lock. The kernel refuses to rename a file onto a
  directory, and into one that was removed: the writer decides again.
* A directory is made where the plain file is only after the file has been moved; a writer that
  comes in between finds it at the other place and leaves it there.
* Reading a directory's names is not atomic, and may miss a file that moves meanwhile: files do
  not move while somebody reads names (`Tree.moving`).
* A file gets a name of Crossfade's own only while there is a note of it (`notes`), which is made
  before the lock is taken, looked for within it, and dropped within it after a delete.
* Nobody takes a key's lock while he holds one: there is no deadlock.
"""

from __future__ import annotations

import errno
from contextlib import nullcontext
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from crossfade.backends.local.names import key_at, path_of
from crossfade.backends.local.notes import drop_note, has_note, needs_note, take_note
from crossfade.backends.local.ops import Borrowed, Descriptor
from crossfade.backends.local.problems import (
    IrregularError,
    is_not_done,
    naming,
    unknown,
    unknown_if_failing,
)
from crossfade.backends.local.sidecars import tag_of
from crossfade.backends.local.tree import are_siblings, digest_of
from crossfade.errors import BackendUnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from crossfade.backends.local.names import KeyPath
    from crossfade.backends.local.tree import Tree

_DECIDE_AGAIN = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY)
)
DECISIONS_MAX = 100
"""How often a writer decides anew because directories came and went under it."""


def make_parents(tree: Tree, key: str, names: Sequence[bytes]) -> Descriptor:
    """Open the directory that the last of the names is in, durably making what is missing."""
    for _ in range(DECISIONS_MAX):
        current: Descriptor | None = Borrowed(tree.base().root)
        for depth in range(1, len(names)):
            if current is not None:
                with current:
                    current = _make(tree, key, current, names[:depth])
        if current is not None:
            return current
    raise gave_up(key)


def _make(tree: Tree, key: str, parent: Descriptor, names: Sequence[bytes]) -> Descriptor | None:
    """Open a directory, made if need be; None when its parent was removed meanwhile."""
    for _ in range(DECISIONS_MAX):
        entered = tree.enter(parent.fd, names[-1], names)
        if entered is not None:
            return entered
        try:
            if not tree.make_folder(parent.fd, names, 0o777):
                _make_way(tree, key_at(key, len(names)), parent, names)
        except FileNotFoundError:
            return None
    raise gave_up(key)


def _make_way(tree: Tree, key: str | None, parent: Descriptor, names: Sequence[bytes]) -> None:
    """Move the file that has a directory's name to the place beside it, if it still is there."""
    if key is None:
        status = tree.look(parent.fd, tuple(names))
        if status is not None:
            raise IrregularError(tree.shown(names), status.st_mode)
        return
    path = path_of(key)
    if tree.look(parent.fd, path.plain) is None:  # Another thread made way before.
        return
    take_note(tree, key, path.beside)
    # Its parents are made before the lock is taken: making them may take another one.
    beside_parent = Borrowed(parent) if are_siblings(path) else make_parents(tree, key, path.beside)
    with beside_parent as beside, tree.locked(digest_of(key)), tree.moving(exclusive=True):
        if tree.look(parent.fd, path.plain) is None or not has_note(tree, key):
            return
        try:
            _rename(tree, (parent, path.plain), (beside, path.beside))
        except FileNotFoundError:  # The other parent was pruned: the caller tries again.
            return
        tree.ops.fsync(beside.fd)
        tree.ops.fsync(parent.fd)


def _rename(
    tree: Tree,
    old: tuple[Descriptor, tuple[bytes, ...]],
    new: tuple[Descriptor, tuple[bytes, ...]],
) -> None:
    (old_parent, old_names), (new_parent, new_names) = old, new
    with naming(tree.shown(new_names)):
        tree.ops.rename(
            old_names[-1], new_names[-1], src_dir_fd=old_parent.fd, dst_dir_fd=new_parent.fd
        )


def gave_up(key: str) -> BackendUnavailableError:
    """Tell that the directories do not come to rest."""
    message = f"the directories above it changed {DECISIONS_MAX} times"
    return BackendUnavailableError(message, operation="write", key=key, hint="try again")


def put(tree: Tree, key: str, temporary: bytes) -> str | None:
    """Rename a temporary file into the key's place, durably; return the tag that it replaced.

    Raises:
        OutcomeUnknownError: it may be in its place. Everything else: it certainly is not.
    """
    path = path_of(key)
    wanted = path.plain
    for _ in range(DECISIONS_MAX):
        if needs_note(wanted):
            take_note(tree, key, wanted)
        with make_parents(tree, key, wanted) as parent:
            with tree.locked(digest_of(key)):
                names, replaced = _decide(tree, path, parent, wanted)
                lacks_note = needs_note(names) and not has_note(tree, key)
                if lacks_note or names[:-1] != wanted[:-1]:
                    wanted = names
                    continue
                if not _try_put(tree, key, temporary, parent, names):
                    continue
            with unknown_if_failing("write", key):
                tree.ops.fsync(parent.fd)
            return replaced and tag_of(replaced)
    raise gave_up(key)


def _decide(
    tree: Tree, path: KeyPath, parent: Descriptor, within: tuple[bytes, ...]
) -> tuple[tuple[bytes, ...], os.stat_result | None]:
    """Return the place to write to, and what is there; the key's lock is held."""

    def look(names: tuple[bytes, ...]) -> os.stat_result | None:
        if names[:-1] == within[:-1]:
            return tree.describe(parent.fd, names)
        directory = tree.walk(names[:-1])
        if directory is None:
            return None
        with directory:
            return tree.describe(directory.fd, names)

    plain = look(path.plain)
    if plain is not None and S_ISREG(plain.st_mode):
        return path.plain, plain
    beside = look(path.beside)
    for names, status in ((path.plain, plain), (path.beside, beside)):
        if status is not None and not (S_ISREG(status.st_mode) or S_ISDIR(status.st_mode)):
            raise IrregularError(tree.shown(names), status.st_mode)
    return (path.plain if plain is None and beside is None else path.beside), beside


def _try_put(
    tree: Tree, key: str, temporary: bytes, parent: Descriptor, names: Sequence[bytes]
) -> bool:
    """Rename; False when a directory came or went in the meantime."""
    source = tree.own().temporary.fd
    try:
        with naming(tree.shown(names)):
            tree.ops.rename(temporary, names[-1], src_dir_fd=source, dst_dir_fd=parent.fd)
    except OSError as error:
        if error.errno in _DECIDE_AGAIN:
            return False
        if is_not_done(error):
            raise
        raise unknown(error, "write", key) from error
    return True


def remove(tree: Tree, key: str) -> list[str]:
    """Delete a key's file durably, and directories left empty; return the tags removed.

    Raises:
        OutcomeUnknownError: it may be deleted. Everything else: it certainly is not.
    """
    path = path_of(key)
    removed: list[str] = []
    with tree.locked(digest_of(key)):
        # The plain file counts first: the other goes before it, lest it come to light.
        for names in (path.beside, path.plain):
            with unknown_if_failing("delete", key) if removed else nullcontext():
                tag = _try_remove(tree, key, names)
            if tag is not None:
                removed.append(tag)
        if removed and needs_note((*path.plain, *path.beside)):
            drop_note(tree, key)
    for names in {path.plain[:-1], path.beside[:-1]}:
        # An earlier delete that failed may not be durable: an absent file is synced too.
        with unknown_if_failing("delete", key), tree.nearest(names) as directory:
            tree.ops.fsync(directory.fd)
        if removed:
            _prune(tree, names)
    return removed


def _try_remove(tree: Tree, key: str, names: tuple[bytes, ...]) -> str | None:
    parent = tree.walk(names[:-1])
    if parent is None:
        return None
    with parent:
        status = tree.look(parent.fd, names)
        if status is None:
            return None
        try:
            with naming(tree.shown(names)):
                tree.ops.unlink(names[-1], dir_fd=parent.fd)
        except OSError as error:
            if is_not_done(error):
                raise
            raise unknown(error, "delete", key) from error
    return tag_of(status)


def _prune(tree: Tree, names: tuple[bytes, ...]) -> None:
    """Remove the directories that hold nothing any more; what stays behind does no harm."""
    for depth in range(len(names), 0, -1):
        try:
            parent = tree.walk(names[: depth - 1])
            if parent is None:
                return
            with parent:
                tree.ops.rmdir(names[depth - 1], dir_fd=parent.fd)
        except (OSError, IrregularError):
            return
