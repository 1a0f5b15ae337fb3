"""Connections to the catalog's file, and what SQLite's errors mean to a caller.

The file is in WAL mode: readers never wait for the writer, nor it for them, and each SELECT sees
one snapshot. ``synchronous = FULL``: a commit has reached the disk when it returns. SQLite moves
the log into the file by itself after every thousand pages (its default), at the end of a commit
and so on the writer's thread; as no look outlasts one call, nothing keeps the log from starting
over.
"""

from __future__ import annotations

import errno
import os
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import apsw

from crossfade.errors import (
    ConfigurationError,
    InvariantError,
    StoreCorruptError,
    StoreFullError,
    StoreReplacedError,
    StoreUnavailableError,
)
from crossfade.stores.encoding import UndecodableError
from crossfade.stores.folders import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SQLITE_VERSION_MIN = (3, 51, 3)
"""Before it two connections that write or checkpoint at once could corrupt a file in WAL mode."""

LOG_BYTES_MAX = 16 << 20
"""To what size the log is cut back once it starts over after a burst."""

READER_WAIT_SECONDS = 1.0
"""A look stands on the event loop: it waits for a file being recovered, but not for long."""

ROOM_BYTES_MIN = 64 << 10
"""With less room on its disk an I/O error is one of room: the -shm takes half of it at once."""

_PAUSE_SECONDS_MAX = 0.005

SQLITE_FAILURES = (apsw.Error, UndecodableError)
"""What `translated` is for: SQLite's own errors, and bytes that are not what was stored."""

_CORRUPT_HINT = (
    "stop every process, keep a copy, and move the file away with its -wal and -shm; the migration "
    "then starts over with every range unsealed, so say first which side leads, and verify"
)


_REPLACED_HINT = (
    "stop every process that uses it and put the file back with its -wal and -shm; where it is "
    "lost, say first which side leads (docs/concepts.md, 'When the catalog is lost'), then start "
    "them again"
)


class CatalogFile:
    """Tells whether a path still leads to the file that was opened, and its log to the same log.

    SQLite would go on with a file that has no name any more, while other processes begin a new
    one under its name. Once lost it stays lost: what was written meanwhile is not known.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._identity: tuple[int, int] | None = None
        self._log_identity: tuple[int, int] | None = None
        self._bytes = 0
        self._lost = False

    def opened(self, identity: tuple[int, int]) -> None:
        """Note the file that was opened; its log is there by now."""
        self._identity = identity
        log = self._log.stat()
        self._log_identity = log.st_dev, log.st_ino

    def is_same(self, *, log: bool = False) -> bool:
        """Tell whether it still is; ``log`` looks at the log too."""
        if self._identity is None or self._lost:
            return not self._lost
        known = self._bytes  # Read first: another thread may find the file grown meanwhile.
        try:
            found = os.stat(self._path)  # noqa: PTH116 - with each look, and twice as fast
            same = (found.st_dev, found.st_ino) == self._identity and found.st_size >= known
            # In WAL mode the file only grows: a shorter one was written to past SQLite.
            self._bytes = max(self._bytes, found.st_size)
            if same and log:
                found = self._log.stat()
                same = (found.st_dev, found.st_ino) == self._log_identity
        except FileNotFoundError:
            same = False
        self._lost = not same
        return same

    def error(self) -> StoreReplacedError:
        """Return what to raise once it is another."""
        message = (
            f"the catalog {str(self._path)!r} was removed, replaced or cut off while it was open; "
            "nothing is read or written any more"
        )
        return StoreReplacedError(message, hint=_REPLACED_HINT)

    def require(self, *, log: bool = False) -> None:
        """Refuse to go on with another file.

        Raises:
            StoreReplacedError: it was removed, replaced or cut off.
        """
        if not self.is_same(log=log):
            raise self.error()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the catalog is, and how long a transaction waits for another process's."""

    path: Path
    busy_seconds: float
    file: CatalogFile = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", CatalogFile(self.path))


def refuse_old_sqlite(version: str) -> None:
    """Refuse a library whose write-ahead log is not safe with two connections.

    Raises:
        ConfigurationError: it is older than `SQLITE_VERSION_MIN`.
    """
    if tuple(int(part) for part in version.split(".")[:3]) < SQLITE_VERSION_MIN:
        needed = ".".join(map(str, SQLITE_VERSION_MIN))
        hint = f"install apsw {needed} or later from its wheel, which brings its own"
        message = f"SQLite {version} can corrupt a file that two connections write"
        raise ConfigurationError(message, hint=hint)


def create_file(path: Path) -> tuple[int, int]:
    """Create the file, and the folder that it lies in, for this user alone.

    Returns:
        The file's device and inode.

    Raises:
        StoreUnavailableError: the folder above is missing, or one of them cannot be written.
    """
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(path.parent.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        message = f"the catalog {str(path)!r} cannot be opened: {error.strerror}"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreFullError(message, hint="free space on its disk") from error
        hint = "create the folder above it, or give this user the right to write there"
        raise StoreUnavailableError(message, hint=hint) from error
    return status.st_dev, status.st_ino


def open_writing(place: Place) -> apsw.Connection:
    """Open the one connection of this process that writes; the file exists."""
    connection = _open(place, place.busy_seconds)
    _use_log(connection, place)
    connection.execute("PRAGMA synchronous = FULL")
    # Only macOS tells apart what the drive has taken and what it will keep.
    connection.execute("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
    return connection


def open_reading(place: Place) -> apsw.Connection:
    """Open a connection for looks; it stays on the thread that opened it."""
    connection = _open(place, min(place.busy_seconds, READER_WAIT_SECONDS))
    connection.execute("PRAGMA query_only = ON")
    return connection


def translated(error: Exception, place: Place) -> Exception:
    """Return what to raise for an error of SQLite, or of the bytes that it kept."""
    if isinstance(error, SQLITE_FAILURES) and not place.file.is_same():
        return place.file.error()
    path = str(place.path)
    match error:
        case apsw.BusyError() | apsw.LockedError():
            message = f"the catalog {path!r} was locked for {place.busy_seconds:g} s"
            hint = "another process holds a transaction open; find it, or try again"
            return StoreUnavailableError(message, hint=hint)
        case apsw.FullError() | apsw.IOError() if _is_full(place, error):
            message = f"no room left for the catalog {path!r}"
            return StoreFullError(message, hint="free space on its disk")
        case apsw.CorruptError() | apsw.NotADBError() | apsw.SQLError() | UndecodableError():
            message = f"the catalog {path!r} is damaged ({error})"
            return StoreCorruptError(message, hint=_CORRUPT_HINT)
        case (
            apsw.CantOpenError()
            | apsw.IOError()
            | apsw.NoMemError()
            | apsw.PermissionsError()
            | apsw.ReadOnlyError()
        ):
            message = f"the catalog {path!r} cannot be read or written ({error})"
            hint = "look at its disk, and at the rights on the file, its folder, -wal and -shm"
            return StoreUnavailableError(message, hint=hint)
        case apsw.Error():
            return InvariantError(f"SQLite refused a statement on {path!r} ({error})")
        case _:
            return error


def _is_full(place: Place, error: Exception) -> bool:
    """Tell whether there is no room: for the -shm SQLite calls that an I/O error."""
    if isinstance(error, apsw.FullError):
        return True
    try:
        found = os.statvfs(place.path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < ROOM_BYTES_MIN


def _open(place: Place, busy_seconds: float) -> apsw.Connection:
    connection = apsw.Connection(str(place.path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_handler(_patience(busy_seconds))
    # Without it SQLite plans a statement anew whenever a bound of a range of keys changes, which
    # makes a look three times as dear.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection


def _use_log(connection: apsw.Connection, place: Place) -> None:
    """Switch to WAL mode: where two processes do so at once SQLite asks no busy handler."""
    wait = _patience(place.busy_seconds)
    times = 0
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except apsw.BusyError:
            if not wait(times):
                raise
            times += 1
        else:
            return


def _patience(seconds: float) -> Callable[[int], bool]:
    """Return a busy handler that asks again every few milliseconds.

    SQLite's own waits up to 100 ms between two tries: beside a process that commits without a
    pause it would hardly ever get its turn.
    """
    started = 0.0

    def wait(times: int) -> bool:
        nonlocal started
        now = time.monotonic()
        if times == 0:
            started = now
        if now - started >= seconds:
            return False
        pause = min(0.0005 * (times + 1), _PAUSE_SECONDS_MAX)
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - only keeps two from marching in step
        return True

    return wait
