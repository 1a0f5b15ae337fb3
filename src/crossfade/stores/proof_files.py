"""Proofs as files: a sorted, compressed file for each migration, replaced whole by the next pass.

A file is a line that names the format, blocks of about a thousand entries in key order, and an
index of the blocks' first keys with where they lie; the last bytes say where the index is. So a
key is found by reading one block, and neither writing nor reading holds more than one (and the
index: about a megabyte for ten million keys).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import tempfile
import zlib
from bisect import bisect_right
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from anyio.to_thread import run_sync
from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, Encoder

from crossfade.core.catalogs import refuse_disorder
from crossfade.core.proofs import ProofEntry
from crossfade.errors import StoreCorruptError, StoreFullError, StoreUnavailableError
from crossfade.stores.folders import sync_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

BLOCK_ENTRIES = 1_000
"""Entries in a block: what `find` decompresses, and what a pass keeps in memory."""

COMPRESSION_LEVEL = 6

_FORMAT = b"crossfade proof 1\n"
_END = struct.Struct(">QII8s")
"""Of the index: where it begins, how long it is, its checksum; then what tells a whole file."""
_END_MARK = b"endproof"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")


class _Entry(Struct, array_like=True):
    key: str
    source_tag: str
    target_tag: str
    sha256: str
    size: int
    proved_at: float


class _Block(Struct, array_like=True):
    first_key: str
    offset: int
    length: int


_encoder = Encoder()
_entries_decoder = Decoder(list[_Entry])
_index_decoder = Decoder(list[_Block])


def file_name(migration: str) -> str:
    """Return a name that is legal, and another for each migration, on every file system."""
    return "".join(chr(b) if b in _PLAIN else f"%{b:02x}" for b in migration.encode()) + ".proof"


class FileProofs:
    """`Proofs` in a folder, which is created when the first proof is begun."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    async def begin(self, migration: str) -> FileProofWriter:
        """Begin a new proof beside the last one."""
        path = self._folder / file_name(migration)
        return await run_sync(FileProofWriter, path)

    async def read(self, migration: str) -> AsyncIterator[ProofEntry]:
        """Read the last proof in key order; one that replaces it meanwhile is not seen."""
        path = self._folder / file_name(migration)
        reader = await run_sync(open_proof, path)
        if reader is None:
            return
        with reader.file:
            for block in reader.blocks:
                for entry in await run_sync(reader.read_block, block):
                    yield entry

    async def find(self, migration: str, key: str) -> ProofEntry | None:
        """Return the key's entry of the last proof."""
        return await run_sync(_find, self._folder / file_name(migration), key)


class FileProofWriter:
    """A proof being written to a file of its own, which takes the last one's place at the end.

    The file is locked while its writer lives: what a killed one left behind is removed by the next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[ProofEntry] = []
        self._last_key = ""
        self._blocks: list[_Block] = []
        with _translated(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_abandoned(path)
            descriptor, self._temporary = _make_locked(path)
            self._file = os.fdopen(descriptor, "wb")
            self._file.write(_FORMAT)

    async def add(self, entries: Sequence[ProofEntry]) -> None:
        """Append entries whose keys are greater than all before."""
        refuse_disorder(self._last_key, entries)
        if entries:
            self._last_key = entries[-1].key
        self._waiting.extend(entries)
        while len(self._waiting) >= BLOCK_ENTRIES:
            block, self._waiting = self._waiting[:BLOCK_ENTRIES], self._waiting[BLOCK_ENTRIES:]
            await run_sync(self._write, block)

    async def commit(self) -> None:
        """Replace the migration's last proof by this one, whole and durably."""
        await run_sync(self._finish)

    async def abort(self) -> None:
        """Drop what was written; the last proof stays."""
        await run_sync(self._drop)

    def _write(self, entries: Sequence[ProofEntry]) -> None:
        rows = [
            _Entry(e.key, e.source_tag, e.target_tag, e.sha256, e.size, e.proved_at)
            for e in entries
        ]
        data = zlib.compress(_encoder.encode(rows), COMPRESSION_LEVEL)
        with _translated(self._path):
            self._blocks.append(_Block(entries[0].key, self._file.tell(), len(data)))
            self._file.write(data)

    def _finish(self) -> None:
        if self._waiting:
            self._write(self._waiting)
        index = _encoder.encode(self._blocks)
        with _translated(self._path):
            end = _END.pack(self._file.tell(), len(index), zlib.crc32(index), _END_MARK)
            self._file.write(index + end)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._temporary.replace(self._path)
            self._file.close()
            sync_folder(self._path.parent)

    def _drop(self) -> None:
        with _translated(self._path):
            self._temporary.unlink(missing_ok=True)
            # What is still buffered belongs nowhere, and may not even fit.
            with suppress(OSError):
                self._file.close()


@dataclass(slots=True)
class ProofReader:
    """An open proof and its index."""

    path: Path
    file: BinaryIO
    blocks: list[_Block] = field(default_factory=list)

    def read_index(self) -> None:
        """Read where the blocks are; StoreCorruptError when the file is not whole."""
        with _translated(self.path):
            size = os.fstat(self.file.fileno()).st_size
            if size < len(_FORMAT) + _END.size or self._at(0, len(_FORMAT)) != _FORMAT:
                raise self.damaged("it is no proof, or its beginning is missing")
            end = self._at(size - _END.size, _END.size)
            offset, length, checksum, mark = _END.unpack(end)
            if mark != _END_MARK or offset + length + _END.size != size:
                raise self.damaged("its end is missing")
            index = self._at(offset, length)
        if zlib.crc32(index) != checksum:
            raise self.damaged("its index is not what was written")
        try:
            self.blocks = _index_decoder.decode(index)
        except DecodeError as error:
            raise self.damaged("its index cannot be read") from error

    def read_block(self, block: _Block) -> list[ProofEntry]:
        """Read one block's entries; StoreCorruptError when it is not what was written."""
        with _translated(self.path):
            data = self._at(block.offset, block.length)
        try:
            rows = _entries_decoder.decode(zlib.decompress(data))
        except (zlib.error, DecodeError) as error:
            raise self.damaged(f"the block from {block.first_key!r} on cannot be read") from error
        return [
            ProofEntry(
                key=row.key,
                source_tag=row.source_tag,
                target_tag=row.target_tag,
                sha256=row.sha256,
                size=row.size,
                proved_at=row.proved_at,
            )
            for row in rows
        ]

    def damaged(self, why: str) -> StoreCorruptError:
        """Return the error for a file that is not what was written."""
        message = f"the proof {str(self.path)!r} is damaged: {why}"
        return StoreCorruptError(
            message, hint="move it away and verify again, which writes it anew"
        )

    def _at(self, offset: int, length: int) -> bytes:
        """Read without moving the file's position: threads may share the file."""
        return os.pread(self.file.fileno(), length, offset)


def open_proof(path: Path) -> ProofReader | None:
    """Open a proof and read its index; None when there is none."""
    with _translated(path):
        try:
            reader = ProofReader(path, path.open("rb"))
        except FileNotFoundError:
            return None
    try:
        reader.read_index()
    except BaseException:
        reader.file.close()
        raise
    return reader


def _find(path: Path, key: str) -> ProofEntry | None:
    reader = open_proof(path)
    if reader is None:
        return None
    with reader.file:
        index = bisect_right(reader.blocks, key, key=lambda block: block.first_key) - 1
        if index < 0:
            return None
        entries = reader.read_block(reader.blocks[index])
    place = bisect_right(entries, key, key=lambda entry: entry.key) - 1
    return entries[place] if entries[place].key == key else None


def _make_locked(path: Path) -> tuple[int, Path]:
    """Make a file beside the proof and lock it; again, if it was taken for abandoned before."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Remove what killed writers of this proof left; a living one holds the lock of its own."""
    for name in path.parent.glob(f"{path.name}.*"):
        with suppress(OSError), name.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name.unlink()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one of the store that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            message = f"no room left for the proof {str(path)!r}"
            raise StoreFullError(message, hint="free space on its disk") from error
        message = f"the proof {str(path)!r} cannot be read or written: {error.strerror}"
        raise StoreUnavailableError(message, hint="look at its folder's rights") from error
