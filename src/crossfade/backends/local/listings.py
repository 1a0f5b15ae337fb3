"""Keys in the order of their bytes, read afresh from the directories for each page.

A directory's keys follow each other where its name with a slash stands in the order, its file
where its name stands: ``a`` < ``a.txt`` < ``a/b`` < ``a0``. Names that a long segment is spread
over are put together first. What is held in memory are the names of the directories on the way
to one key.

Anything that is no object and no directory of objects is an error that names it: a listing that
left it out in silence would let a migration complete without it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from crossfade.backends.local.names import (
    BESIDE,
    GOES_ON,
    OWN_FOLDER,
    folder_of,
    path_of,
    spelled,
)
from crossfade.backends.local.notes import is_strange, needs_note, strange
from crossfade.backends.local.problems import IrregularError, denial
from crossfade.backends.local.reads import info_of
from crossfade.core.objects import KEY_BYTES_MAX, ObjectPage
from crossfade.errors import BackendError, InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from crossfade.backends.local.ops import Descriptor
    from crossfade.backends.local.tree import Tree
    from crossfade.core.objects import ObjectInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which keys a page may hold.

    Attributes:
        on_refused: hears of what is no object and goes on; None lets it be an error.
    """

    prefix: str = ""
    after: str = ""
    on_refused: Callable[[BackendError], None] | None = None

    def has_key(self, key: str) -> bool:
        """Tell whether a key is wanted."""
        return key > self.after and key.startswith(self.prefix)

    def has_below(self, folder: str) -> bool:
        """Tell whether keys that begin with a folder, which ends in a slash, may be wanted."""
        if folder <= self.after and not self.after.startswith(folder):
            return False
        return folder.startswith(self.prefix) or self.prefix.startswith(folder)


class Entry(NamedTuple):
    """A segment of a directory, with a slash at its end where it is itself a directory."""

    segment: str
    is_folder: bool
    names: tuple[bytes, ...]


@dataclass(slots=True, kw_only=True)
class Level:
    """A directory that is being gone through."""

    directory: Descriptor
    folder: str
    names: tuple[bytes, ...]
    entries: Iterator[Entry]


def page(tree: Tree, prefix: str, after: str, count: int) -> ObjectPage:
    """Return the first so many keys that are wanted.

    Raises:
        InvalidKeyError: a file's name does not spell a key.
    """
    try:
        prefix.encode()
    except UnicodeEncodeError:  # Half a character: no key begins with it.
        return ObjectPage(objects=(), truncated=False)
    found: list[ObjectInfo] = []
    walk = objects(tree, Wanted(prefix=prefix, after=after))
    try:
        for key, status in walk:
            if len(found) == count:
                return ObjectPage(objects=tuple(found), truncated=True)
            found.append(info_of(key, status, None))
    finally:
        walk.close()
        tree.verify("list", "")
    return ObjectPage(objects=tuple(found), truncated=False)


def objects(tree: Tree, wanted: Wanted) -> Generator[tuple[str, os.stat_result], None, None]:
    """Yield the wanted keys in their order, each with what the system says of its file."""
    folder = wanted.prefix[: wanted.prefix.rfind("/") + 1]
    names = folder_of(folder)
    directory = tree.walk(names)
    if directory is None:
        return
    levels = [_level(tree, wanted, directory, folder, names)]
    before = None
    try:
        while levels:
            level = levels[-1]
            entry = next(level.entries, None)
            if entry is None:
                levels.pop().directory.close()
            elif entry.is_folder:
                names = (*level.names, *entry.names)
                below = tree.walk(names)
                if below is not None:
                    folder = level.folder + entry.segment
                    levels.append(_level(tree, wanted, below, folder, names))
            else:
                key, status = level.folder + entry.segment, _status(tree, level, entry)
                if status is not None and key != before:
                    before = key
                    yield key, status
    finally:
        for level in levels:
            level.directory.close()


def _level(
    tree: Tree, wanted: Wanted, directory: Descriptor, folder: str, names: tuple[bytes, ...]
) -> Level:
    kind = _Scan if wanted.on_refused is None else _TolerantScan
    scan = kind(tree=tree, wanted=wanted, folder=folder, names=names)
    with tree.moving(exclusive=False):
        entries = sorted(scan.entries(directory, ()))
    return Level(directory=directory, folder=folder, names=names, entries=iter(entries))


def _status(tree: Tree, level: Level, entry: Entry) -> os.stat_result | None:
    """Describe a file; None when it is gone. It may have moved since its name was read."""
    status = None
    if len(entry.names) == 1 and not entry.names[0].startswith(BESIDE):
        status = tree.look(level.directory.fd, (*level.names, *entry.names))
    if status is None:
        status = tree.first(path_of(level.folder + entry.segment), tree.look)
    return status


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """One reading of the names in a directory, and in those over which long names spread."""

    tree: Tree
    wanted: Wanted
    folder: str
    names: tuple[bytes, ...]

    def entries(self, directory: Descriptor, chain: tuple[bytes, ...]) -> Iterator[Entry]:
        """Find the wanted files, and the directories that may hold some."""
        for item in self._items(directory, chain):
            names = (*chain, os.fsencode(item.name))
            if names == (OWN_FOLDER,) and not self.names:
                continue
            if not names[-1].startswith(GOES_ON):
                entry = self._entry(item, names, directory)
                if entry is not None:
                    yield entry
                continue
            if not item.is_dir(follow_symlinks=False):
                self._refuse(self._stranger(names))
                continue
            below = self.tree.enter(directory.fd, names[-1], (*self.names, *names))
            if below is not None:
                with below:
                    yield from self.entries(below, names)

    def _items(self, directory: Descriptor, chain: tuple[bytes, ...]) -> Iterator[os.DirEntry[str]]:
        path = (*self.names, *chain)
        try:
            with self.tree.reopen(directory, path) as own, self.tree.ops.scandir(own.fd) as found:
                yield from found
        except FileNotFoundError:  # The directory was removed: it was empty.
            return

    def _entry(
        self, item: os.DirEntry[str], names: tuple[bytes, ...], directory: Descriptor
    ) -> Entry | None:
        segment, beside = item.name, False
        # Nearly every name is its own spelling; there may be millions of them.
        if len(names) > 1 or not segment.isascii() or segment.startswith("%~"):
            try:
                segment, beside = spelled(names, top=not self.names)
            except ValueError as error:
                raise self._stranger(names) from error
        key = self.folder + segment
        if item.is_dir(follow_symlinks=False):
            if beside:
                raise self._stranger(names)
            if not self.wanted.has_below(key + "/"):
                return None
            return Entry(segment=segment + "/", is_folder=True, names=names)
        if not self.wanted.has_key(key):
            return None
        if not item.is_file(follow_symlinks=False):
            # Raises for what is no file; there may be one by now.
            self.tree.look(directory.fd, (*self.names, *names))
        if len(key.encode()) > KEY_BYTES_MAX:
            raise self._stranger(names)
        self._require_own(directory, names, key)
        return Entry(segment=segment, is_folder=False, names=names)

    def _require_own(self, directory: Descriptor, names: tuple[bytes, ...], key: str) -> None:
        """Refuse a name of Crossfade's own that it did not give."""
        path = (*self.names, *names)
        if not needs_note(path):
            return
        if is_strange(self.tree, key, lambda: self.tree.look(directory.fd, path) is not None):
            raise strange(self.tree, path, "list", key)

    def _refuse(self, error: BackendError) -> None:
        """Let what is no object end the listing."""
        raise error

    def _stranger(self, names: tuple[bytes, ...]) -> InvalidKeyError:
        path = self.tree.shown((*self.names, *names))
        message = f"the name of {path!r} stands for no key of UTF-8 and at most 1,024 bytes"
        hint = "rename it or move it away; names that begin with '%~' are Crossfade's own"
        return InvalidKeyError(message, operation="list", hint=hint)


class _TolerantScan(_Scan):
    """A reading that passes over what is no object, and tells of it."""

    def _entry(
        self, item: os.DirEntry[str], names: tuple[bytes, ...], directory: Descriptor
    ) -> Entry | None:
        try:
            return super()._entry(item, names, directory)
        except IrregularError as error:
            self._refuse(denial(error, "list", ""))
        except BackendError as error:
            self._refuse(error)
        return None

    def _refuse(self, error: BackendError) -> None:
        if self.wanted.on_refused is not None:
            self.wanted.on_refused(error)
