"""A file system below SQLite that remembers every write, and can be cut off at any of them.

After a cut a disk holds of each file what was synced, and of what came later any part, in any
order, a sector at a time. The layer has no shared memory, so a connection needs
``locking_mode = EXCLUSIVE``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from typing_extensions import Buffer

SECTOR_BYTES = 512


@dataclass(frozen=True)
class Event:
    """Something that reached the disk's driver, or that somebody was told.

    Attributes:
        kind: `write`, `truncate`, `sync`, `delete`, or `told`.
        offset: of a write; the size of a truncation; the number that was told.
    """

    kind: str
    name: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """All that happened, in order."""

    events: list[Event] = field(default_factory=list)

    def tell(self, number: int) -> None:
        """Note that somebody was told that this much is durable."""
        self.events.append(Event("told", offset=number))

    def after_cut(self, cut: int, chance: Random) -> dict[str, bytes]:
        """Return what the files hold if the power fails before event ``cut``."""
        files: dict[str, list[Event]] = {}
        synced: dict[str, bytes] = {}
        for event in self.events[:cut]:
            if event.kind == "sync":
                synced[event.name] = _apply(synced.get(event.name, b""), files.pop(event.name, []))
            elif event.kind == "delete":
                synced.pop(event.name, None)
                files.pop(event.name, None)
            elif event.kind != "told":
                files.setdefault(event.name, []).append(event)
        for name, events in files.items():
            synced[name] = _apply(synced.get(name, b""), _survivors(events, chance))
        return synced


class RecordingFile(apsw.VFSFile):
    """A file whose changes are noted before they are made."""

    def __init__(
        self, disk: Disk, below: str, filename: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__(below, filename, flags)
        given = filename.filename() if isinstance(filename, apsw.URIFilename) else filename
        self._name = Path(given or "").name
        self._disk = disk

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.events.append(Event("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.events.append(Event("truncate", self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.events.append(Event("sync", self._name))
        super().xSync(flags)


class RecordingFiles(apsw.VFS):
    """The default file system, with every change noted."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._below = apsw.vfs_names()[0]
        super().__init__("recording", self._below, makedefault=True)

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> RecordingFile:
        return RecordingFile(self._disk, self._below, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        self._disk.events.append(Event("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


@contextmanager
def recorded() -> Iterator[Disk]:
    """Note what every connection that is opened inside does to the disk."""
    disk = Disk()
    files = RecordingFiles(disk)

    def exclusive(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")

    apsw.connection_hooks.append(exclusive)
    try:
        yield disk
    finally:
        apsw.connection_hooks.remove(exclusive)
        files.unregister()


def _survivors(events: list[Event], chance: Random) -> list[Event]:
    """Return what of unsynced changes reached the disk: some, torn, in any order."""
    kept = []
    for event in events:
        if event.kind != "write":
            kept += [event] * chance.randrange(2)
            continue
        for start in range(0, len(event.data), SECTOR_BYTES):
            part = event.data[start : start + SECTOR_BYTES]
            kept += [Event("write", event.name, event.offset + start, part)] * chance.randrange(2)
    chance.shuffle(kept)
    return kept


def _apply(content: bytes, events: list[Event]) -> bytes:
    data = bytearray(content)
    for event in events:
        if event.kind == "truncate":
            del data[event.offset :]
            continue
        if len(data) < event.offset:
            data.extend(bytes(event.offset - len(data)))
        data[event.offset : event.offset + len(event.data)] = event.data
    return bytes(data)
