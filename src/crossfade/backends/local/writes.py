"""One object being written: a temporary file, made durable, then renamed into place.

Until the rename nothing of it can be seen, and an error means that nothing has changed. After
it an error means that the new object may not last: `OutcomeUnknownError`.
"""

from __future__ import annotations

import os
import time
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH
from secrets import token_hex
from stat import S_IMODE
from typing import TYPE_CHECKING

from crossfade.backends.local.names import OWN_FOLDER, path_of
from crossfade.backends.local.ops import Descriptor
from crossfade.backends.local.places import put, remove
from crossfade.backends.local.problems import naming
from crossfade.backends.local.reads import info_of
from crossfade.backends.local.sidecars import (
    drop_sidecar,
    may_have_sidecar,
    tag_of,
    time_for,
    write_all,
    write_sidecar,
)
from crossfade.backends.local.tree import digest_of
from crossfade.errors import OutcomeUnknownError

if TYPE_CHECKING:
    from crossfade.backends.bodies import BodyCheck
    from crossfade.backends.local.tree import Tree
    from crossfade.core.objects import Attributes, ObjectInfo

_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_TEMPORARY = (OWN_FOLDER, b"tmp")
_LEFT_OVER_SECONDS = 60
"""After what time a file without a lock is nobody's: its writer locks it at once."""


class Write:
    """An object on its way to its place; either finish it or discard it."""

    def __init__(self, tree: Tree, key: str, check: BodyCheck, attributes: Attributes) -> None:
        tree.verify("write", key)
        self._tree = tree
        self._key = key
        self._check = check
        self._attributes = attributes
        self._folder = tree.own().temporary
        self._name = f"{os.getpid()}-{token_hex(8)}".encode()
        with naming(tree.shown(_TEMPORARY)):
            fd = tree.ops.open(self._name, _MAKE, 0o666, dir_fd=self._folder.fd)
        self._file = Descriptor(tree.ops, fd)
        try:
            # Says to `sweep` that it is not left over, however long it takes.
            tree.ops.flock(fd, LOCK_SH)
        except BaseException:
            self.discard()
            raise

    def add(self, chunk: bytes) -> None:
        """Append a chunk of the body."""
        self._check.add(chunk)
        write_all(self._tree, self._file.fd, chunk)

    def finish(self) -> ObjectInfo:
        """Make it durable and put it in its place.

        Raises:
            IntegrityError: the body is not what was announced.
        """
        tree, key, digest = self._tree, self._key, digest_of(self._key)
        self._check.finish()
        self._keep_rights()
        status = self._stamp()
        tag = tag_of(status)
        try:
            if may_have_sidecar(status):
                write_sidecar(tree, key, digest, tag, self._attributes)
            tree.ops.fsync(self._file.fd)
            replaced = put(tree, key, self._name)
        except OutcomeUnknownError:
            raise  # It may be in its place, and then needs its attributes.
        except BaseException:
            drop_sidecar(tree, digest, tag)
            raise
        self._file.close()
        if replaced is not None:
            drop_sidecar(tree, digest, replaced)
        return info_of(key, status, self._attributes)

    def _keep_rights(self) -> None:
        """Give it the mode of the file that it replaces, and the owner where that is allowed."""
        ops, fd = self._tree.ops, self._file.fd
        before = self._tree.first(path_of(self._key), self._tree.look)
        if before is None:
            return
        own, mode = ops.fstat(fd), S_IMODE(before.st_mode)
        if (own.st_uid, own.st_gid) != (before.st_uid, before.st_gid):
            try:
                ops.chown(fd, before.st_uid, before.st_gid)
            except PermissionError:
                # A file that runs as its owner must not run as another one.
                mode &= 0o777
        if mode != S_IMODE(ops.fstat(fd).st_mode):
            ops.chmod(fd, mode)

    def _stamp(self) -> os.stat_result:
        """Set the time of change: the kernel's own clock gives one time to several versions."""
        now = time_for(self._attributes, time.time_ns())
        self._tree.ops.utime(self._file.fd, ns=(now, now))
        return self._tree.ops.fstat(self._file.fd)

    def discard(self) -> None:
        """Remove the temporary file, if it still is one."""
        try:
            self._tree.ops.unlink(self._name, dir_fd=self._folder.fd)
        except OSError:
            return
        finally:
            self._file.close()


def write_whole(
    tree: Tree, key: str, check: BodyCheck, data: bytes, attributes: Attributes
) -> ObjectInfo:
    """Write an object whose bytes are in memory."""
    write = Write(tree, key, check, attributes)
    try:
        write.add(data)
        return write.finish()
    except BaseException:
        write.discard()
        raise


def delete(tree: Tree, key: str) -> None:
    """Delete an object and its attributes."""
    tree.verify("delete", key)
    digest = digest_of(key)
    for tag in remove(tree, key):
        drop_sidecar(tree, digest, tag)


def sweep(tree: Tree) -> None:
    """Remove temporary files that a process left behind when it was killed."""
    folder = tree.own().temporary
    before = time.time() - _LEFT_OVER_SECONDS
    with tree.reopen(folder, _TEMPORARY) as own, tree.ops.scandir(own.fd) as entries:
        names = [os.fsencode(entry.name) for entry in entries]
    for name in names:
        try:
            if tree.ops.stat(name, dir_fd=folder.fd, follow_symlinks=False).st_mtime < before:
                _sweep_one(tree, folder, name)
        except FileNotFoundError:
            continue


def _sweep_one(tree: Tree, folder: Descriptor, name: bytes) -> None:
    with naming(tree.shown((*_TEMPORARY, name))):
        fd = tree.ops.open(name, os.O_RDWR | os.O_NOFOLLOW, dir_fd=folder.fd)
    with Descriptor(tree.ops, fd):
        try:
            tree.ops.flock(fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return
        tree.ops.unlink(name, dir_fd=folder.fd)
