"""The directory itself: opened once, walked name by name, and noticed when it goes away.

Every path is walked from the root's descriptor with one `openat` a name that follows no
symbolic link, so nothing that somebody plants while a path is walked leads out of the root.

An unmounted volume leaves an empty directory behind, in which nothing is found. So "not found"
counts only while the root's path still leads to the directory that was opened, and while the
folder ``.crossfade`` in it, made by ``prepare(create=True)``, is still the same one.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, LOCK_SH
from hashlib import sha256
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, TypeVar

from crossfade.backends.local.names import OWN_FOLDER
from crossfade.backends.local.ops import Borrowed, Descriptor, FileOps
from crossfade.backends.local.problems import ABSENT, IrregularError, naming
from crossfade.errors import BackendUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from crossfade.backends.local.names import KeyPath

T = TypeVar("T")

# Searching needs no right to read a directory; where the system has no O_PATH, reading is asked.
_SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_FOLDERS = (b"meta", b"tmp", b"locks")
_MOVES = b"moves"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFolder:
    """The folder ``.crossfade`` and what is in it."""

    identity: tuple[int, int]
    folder: Descriptor
    meta: Descriptor
    temporary: Descriptor
    locks: Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The root as it was found."""

    identity: tuple[int, int]
    root: Descriptor
    own: OwnFolder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A regular file and what it was when it was opened."""

    descriptor: Descriptor
    status: os.stat_result


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Return what tells one inode from all others."""
    return status.st_dev, status.st_ino


def digest_of(key: str) -> str:
    """Return the name under which a key's locks and attributes are kept."""
    return sha256(key.encode()).hexdigest()


class Tree:
    """A root directory, by descriptors."""

    def __init__(self, root: Path, ops: FileOps, *, known: bool) -> None:
        self.ops = ops
        self.root = root
        self._known = known
        self._opened: Opened | None = None
        self._opening = threading.Lock()

    def open(self, *, create: bool) -> None:
        """Open the root, and its own folder where it is there or is to be made.

        Raises:
            BackendUnavailableError: there is no such directory, or what Crossfade put into it
                before is gone.
        """
        with self._opening:
            before = self._opened
            if before is None or not self._is_there(before):
                known = self._known or (before is not None and before.own is not None)
                self._opened = self._open_root(known=known)
        if create:
            self.own()

    def base(self) -> Opened:
        """Return what is open; without its own folder look whether another process made it."""
        opened = self._opened
        if opened is None:
            self.open(create=False)
        return (
            opened if opened is not None and opened.own is not None else self._add_own(create=False)
        )

    def own(self) -> OwnFolder:
        """Return the own folder, and make it where it is not."""
        own = self.base().own or self._add_own(create=True).own
        if own is None:
            raise FileNotFoundError(errno.ENOENT, "", self.shown((OWN_FOLDER,)))
        return own

    def _add_own(self, *, create: bool) -> Opened:
        with self._opening:
            opened = self._opened
            if opened is None:
                raise FileNotFoundError(errno.ENOENT, "", os.fspath(self.root))
            if opened.own is None:
                own = self._open_own(opened.root.fd, create=create)
                opened = replace(opened, own=own)
                self._opened = opened
            return opened

    def close(self) -> None:
        """Let go of the descriptors; what still runs keeps its own references."""
        with self._opening:
            self._opened = None

    def verify(self, operation: str, key: str) -> None:
        """Refuse to conclude anything while the root is not the one that was opened.

        Raises:
            BackendUnavailableError: it was unmounted, moved, deleted or replaced.
        """
        if not self._is_there(self.base()):
            message = f"{os.fspath(self.root)!r} is no longer the directory that was opened"
            hint = "mount it again, then prepare the side anew"
            raise BackendUnavailableError(message, operation=operation, key=key, hint=hint)

    def _is_there(self, opened: Opened) -> bool:
        try:
            if identity_of(self.ops.stat(self.root)) != opened.identity:
                return False
            if opened.own is None:
                return True
            with naming(self.shown((OWN_FOLDER,))):
                status = self.ops.stat(OWN_FOLDER, dir_fd=opened.root.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in ABSENT:
                return False
            raise
        return identity_of(status) == opened.own.identity

    def _open_root(self, *, known: bool) -> Opened:
        path = os.fspath(self.root)
        try:
            root = Descriptor(self.ops, self.ops.open(path, os.O_RDONLY | os.O_DIRECTORY))
        except OSError as error:
            if error.errno not in ABSENT:
                raise
            raise _no_directory(path, error) from error
        with naming(self.shown((OWN_FOLDER,))):
            strange = known and not self._mode(root.fd, OWN_FOLDER)
        if strange:
            message = f"{path!r} is not the directory of before: it has no .crossfade"
            hint = "mount the volume; if files were restored there, make that folder, then verify"
            raise BackendUnavailableError(message, operation="prepare", hint=hint)
        return Opened(identity=identity_of(self.ops.fstat(root.fd)), root=root, own=None)

    def _open_own(self, root: int, *, create: bool) -> OwnFolder | None:
        """Open the own folder; None when it, or what has to be in it, is not there."""
        try:
            if create:
                self.make_folder(root, (OWN_FOLDER,), 0o700)
            folder = self._folder(root, (OWN_FOLDER,))
            if create:
                for name in _FOLDERS:
                    self.make_folder(folder.fd, (OWN_FOLDER, name), 0o700)
                self._lock_file(folder.fd, _MOVES)
            parts = [self._folder(folder.fd, (OWN_FOLDER, name)) for name in _FOLDERS]
        except FileNotFoundError:
            return None
        meta, temporary, locks = parts
        return OwnFolder(
            identity=identity_of(self.ops.fstat(folder.fd)),
            folder=folder,
            meta=meta,
            temporary=temporary,
            locks=locks,
        )

    def _folder(self, parent: int, path: Sequence[bytes]) -> Descriptor:
        try:
            with naming(self.shown(path)):
                return Descriptor(self.ops, self.ops.open(path[-1], _DIRECTORY, dir_fd=parent))
        except NotADirectoryError:
            raise IrregularError(self.shown(path), self._mode(parent, path[-1])) from None

    def make_folder(self, parent: int, path: Sequence[bytes], mode: int) -> bool:
        """Make a directory durably; False when the name is taken already."""
        try:
            with naming(self.shown(path)):
                self.ops.mkdir(path[-1], mode, dir_fd=parent)
        except FileExistsError:
            return False
        # Who only finds it made may sync what he puts into it before this is done; file systems
        # with a journal write the two in the order in which they were made.
        self.ops.fsync(parent)
        return True

    def enter(self, parent: int, name: bytes, path: Sequence[bytes]) -> Descriptor | None:
        """Open a directory to read and sync it; None when there is none of that name."""
        return self._enter(parent, name, path, _DIRECTORY)

    def _enter(
        self, parent: int, name: bytes, path: Sequence[bytes], flags: int
    ) -> Descriptor | None:
        try:
            return Descriptor(self.ops, self.ops.open(name, flags, dir_fd=parent))
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            mode = self._mode(parent, name)
            if S_ISREG(mode) or S_ISDIR(mode) or not mode:
                return None
            raise IrregularError(self.shown(path), mode) from None
        except OSError as error:
            error.filename = self.shown(path)
            raise

    def walk(self, names: Sequence[bytes]) -> Descriptor | None:
        """Open the directory at the end of the names; None when a name leads to none."""
        current: Descriptor = Borrowed(self.base().root)
        for depth, name in enumerate(names, 1):
            with current:
                following = self._enter(current.fd, name, names[:depth], _SEARCH)
            if following is None:
                return None
            current = following
        return current

    def reopen(self, directory: Descriptor, path: Sequence[bytes]) -> Descriptor:
        """Open a directory anew: descriptors that are shared share a place in its names, too."""
        with naming(self.shown(path)):
            return Descriptor(self.ops, self.ops.open(b".", _DIRECTORY, dir_fd=directory.fd))

    def nearest(self, names: Sequence[bytes]) -> Descriptor:
        """Open the deepest directory on the way to the end of the names."""
        current: Descriptor = Borrowed(self.base().root)
        for depth, name in enumerate(names, 1):
            following = self._enter(current.fd, name, names[:depth], _DIRECTORY)
            if following is None:
                break
            current.close()
            current = following
        return current

    def first(self, path: KeyPath, look: Callable[[int, tuple[bytes, ...]], T | None]) -> T | None:
        """Look at a key's plain file, then at the one beside a directory of that name.

        A file only ever moves from the first place to the second (`places`): one that is there
        all the time is found by one of the two looks.
        """
        for names in (path.plain, path.beside):
            parent = self.walk(names[:-1])
            if parent is not None:
                with parent:
                    found = look(parent.fd, names)
                    if found is None and names is path.plain and are_siblings(path):
                        return look(parent.fd, path.beside)
                if found is not None:
                    return found
            elif are_siblings(path):
                return None
        return None

    def look(self, parent: int, names: tuple[bytes, ...]) -> os.stat_result | None:
        """Describe a regular file; None where there is a directory or nothing."""
        status = self.describe(parent, names)
        return None if status is None else self._regular(status, names)

    def describe(self, parent: int, names: tuple[bytes, ...]) -> os.stat_result | None:
        """Describe whatever has the last of the names; None where there is nothing."""
        try:
            return self.ops.stat(names[-1], dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            error.filename = self.shown(names)
            raise

    def open_file(self, parent: int, names: tuple[bytes, ...]) -> OpenFile | None:
        """Open a regular file; None where there is a directory or nothing."""
        try:
            descriptor = Descriptor(self.ops, self.ops.open(names[-1], _FILE, dir_fd=parent))
        except FileNotFoundError:
            return None
        except OSError as error:
            mode = self._mode(parent, names[-1])
            if mode and not S_ISREG(mode):
                raise IrregularError(self.shown(names), mode) from None
            error.filename = self.shown(names)
            raise
        status = self._regular(self.ops.fstat(descriptor.fd), names)
        return None if status is None else OpenFile(descriptor=descriptor, status=status)

    def _regular(self, status: os.stat_result, names: tuple[bytes, ...]) -> os.stat_result | None:
        if S_ISREG(status.st_mode):
            return status
        if S_ISDIR(status.st_mode):
            return None
        raise IrregularError(self.shown(names), status.st_mode)

    def _mode(self, parent: int, name: bytes) -> int:
        try:
            return self.ops.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0

    @contextmanager
    def locked(self, digest: str) -> Iterator[None]:
        """Hold the lock under which a key's file is put, moved or deleted.

        Keys share 256 locks; nobody takes a second one while he holds one.
        """
        name = digest[:2].encode()
        with self._lock_file(self.own().locks.fd, name) as lock:
            self.ops.flock(lock.fd, LOCK_EX)
            yield

    @contextmanager
    def moving(self, *, exclusive: bool) -> Iterator[None]:
        """Keep files from moving while a directory is read; hold it alone to move one."""
        own = self.base().own
        if own is None:  # Nobody who moves files has been here.
            yield
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW
        with naming(self.shown((OWN_FOLDER, _MOVES))):
            fd = self.ops.open(_MOVES, flags, dir_fd=own.folder.fd)
        with Descriptor(self.ops, fd) as lock:
            self.ops.flock(lock.fd, LOCK_EX if exclusive else LOCK_SH)
            yield

    def _lock_file(self, parent: int, name: bytes) -> Descriptor:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        where = (name,) if name == _MOVES else (b"locks", name)
        with naming(self.shown((OWN_FOLDER, *where))):
            return Descriptor(self.ops, self.ops.open(name, flags, 0o600, dir_fd=parent))

    def shown(self, names: Sequence[bytes]) -> str:
        """Return the path to be shown in a message."""
        return os.path.join(os.fspath(self.root), *map(os.fsdecode, names))  # noqa: PTH118


def _no_directory(path: str, error: OSError) -> BackendUnavailableError:
    if error.errno == errno.ENOTDIR:
        message, hint = f"{path!r} is no directory", "give the directory that holds the files"
    else:
        message = f"there is no directory {path!r}"
        hint = f"mount it, or correct its path; a new target is made with: mkdir -p {path!r}"
    return BackendUnavailableError(message, operation="prepare", hint=hint)


def are_siblings(path: KeyPath) -> bool:
    """Tell whether both places of a key are in one directory; long names have their own."""
    return path.plain[:-1] == path.beside[:-1]
