"""The calls to the operating system, in one place, so that tests can make any of them fail."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class FileOps:
    """System calls; a test hands in a subclass that fails, or dies, at the n-th."""

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    write = staticmethod(os.write)
    pread = staticmethod(os.pread)
    fsync = staticmethod(os.fsync)
    utime = staticmethod(os.utime)
    chmod = staticmethod(os.chmod)
    chown = staticmethod(os.chown)
    fstat = staticmethod(os.fstat)
    stat = staticmethod(os.stat)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    mkdir = staticmethod(os.mkdir)
    rmdir = staticmethod(os.rmdir)
    flock = staticmethod(fcntl.flock)

    @staticmethod
    def scandir(fd: int) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """Read the names in an open directory."""
        return os.scandir(fd)


class Descriptor:
    """An open file or directory; it is closed at the latest when nobody refers to it.

    A call that was abandoned goes on in its thread: the thread's reference keeps the number
    from being closed, and given to another file, under its feet.
    """

    __slots__ = ("_ops", "fd")

    def __init__(self, ops: FileOps, fd: int) -> None:
        self._ops = ops
        self.fd = fd

    def close(self) -> None:
        """Close it once; what was written was synced before, so nothing is left to fail."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            try:
                self._ops.close(fd)
            except OSError:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class Borrowed(Descriptor):
    """A descriptor that is used like one's own, and stays open."""

    __slots__ = ()

    def __init__(self, owner: Descriptor) -> None:
        super().__init__(owner._ops, owner.fd)  # noqa: SLF001 - the same class

    def close(self) -> None:
        """Leave it to its owner."""
