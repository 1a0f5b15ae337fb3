"""Bodies that can be read as often as needed: in memory, in a file, or kept in a temporary one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, cast

import anyio
import anyio.from_thread
import anyio.to_thread

from crossfade.core.arguments import check_body, chunk_of
from crossfade.core.objects import Digest
from crossfade.core.settings import Limits
from crossfade.errors import BackendError, IntegrityError, ObjectTooLargeError, StorageFullError

if TYPE_CHECKING:
    from crossfade.core.objects import Attributes
    from crossfade.ports import Body

Data: TypeAlias = "bytes | bytearray | memoryview | os.PathLike[str] | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]"  # noqa: E501
Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


CHUNK_BYTES = Limits().chunk_bytes
_END = object()
"""What follows the last chunk of an iterable: nothing that an iterable could yield."""


class BytesBody:
    """A body in memory."""

    __slots__ = ("_chunk_bytes", "data", "sha256", "size")

    def __init__(self, data: bytes, digest: str = "", chunk_bytes: int = CHUNK_BYTES) -> None:
        self.data = data
        self._chunk_bytes = chunk_bytes
        self.size = len(data)
        self.sha256 = digest or sha256(data).hexdigest()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it part by part; an empty one has a part too."""
        if self.size <= self._chunk_bytes:
            yield self.data
            return
        for start in range(0, self.size, self._chunk_bytes):
            yield self.data[start : start + self._chunk_bytes]


class FileBody:
    """A body in a file that stays as it is until the body is closed."""

    data = None

    def __init__(self, file: IO[bytes], size: int, digest: str, chunk_bytes: int) -> None:
        self._file = file
        self._chunk_bytes = chunk_bytes
        self.size = size
        self.sha256 = digest

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read from the start; several readers do not disturb each other."""
        offset = 0
        while chunk := await anyio.to_thread.run_sync(self._pread, offset):
            offset += len(chunk)
            yield chunk

    def _pread(self, offset: int) -> bytes:
        return os.pread(self._file.fileno(), self._chunk_bytes, offset)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class WatchedBody:
    """A body that tells a callback how much of it was read."""

    def __init__(self, body: Body, progress: Progress) -> None:
        self._body = body
        self._progress = progress
        self.size = body.size
        self.sha256 = body.sha256
        self.data = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Pass the chunks on."""
        done = 0
        async for chunk in self._body.chunks():
            yield chunk
            done += len(chunk)
            self._progress(done, self.size)
        if not self.size:
            self._progress(0, 0)


class Hasher:
    """Digests bytes that pass by."""

    def __init__(self) -> None:
        self._digest = sha256()
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._digest.update(chunk)
        self._size += len(chunk)

    def digest(self, attributes: Attributes) -> Digest:
        """Return what passed by."""
        return Digest(sha256=self._digest.hexdigest(), size=self._size, attributes=attributes)


class Intake:
    """Takes bytes of unknown number in: few stay in memory, more go to a temporary file."""

    def __init__(self, key: str, limits: Limits, bytes_max: int | None) -> None:
        self._key = key
        self._limits = limits
        self._bytes_max = bytes_max
        self._digest = sha256()
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._size = 0

    async def add(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            ObjectTooLargeError: more than were allowed.
            StorageFullError, BackendError: the temporary file cannot be written.
        """
        self._size += len(chunk)
        if self._bytes_max is not None and self._size > self._bytes_max:
            message = f"the body is over {self._bytes_max:,} bytes"
            raise ObjectTooLargeError(message, operation="write", key=self._key)
        self._digest.update(chunk)
        if self._file is None and self._size <= self._limits.small_body_bytes:
            self._parts.append(chunk)
            return
        parts, self._parts = [*self._parts, chunk], []
        await anyio.to_thread.run_sync(self._spill, parts)

    def _spill(self, parts: list[bytes]) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - the body closes it
            self._file.writelines(parts)
        except OSError as error:
            raise _not_kept(self._key, error) from error

    def drop(self) -> None:
        """Let go of what was taken in."""
        if self._file is not None:
            self._file.close()

    def body(self) -> BytesBody | FileBody:
        """Return what was taken in."""
        if self._file is None:
            data, chunk_bytes = b"".join(self._parts), self._limits.chunk_bytes
            return BytesBody(data, self._digest.hexdigest(), chunk_bytes)
        try:
            self._file.flush()
        except OSError as error:
            raise _not_kept(self._key, error) from error
        chunk_bytes = self._limits.chunk_bytes
        return FileBody(self._file, self._size, self._digest.hexdigest(), chunk_bytes)


def _not_kept(key: str, error: OSError) -> BackendError:
    """Return the error for a body that could not be kept in a temporary file."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    kind = StorageFullError if full else BackendError
    folder = f"the folder for temporary files {tempfile.gettempdir()!r}"
    message = f"the body of {key!r} cannot be kept in {folder}: {error.strerror}"
    hint = "make room there, or set TMPDIR" if full else "see to it, or set TMPDIR"
    return kind(message, key=key, hint=hint)


async def take_in(
    key: str,
    chunks: AsyncIterable[bytes],
    limits: Limits,
    size: int | None = None,
    bytes_max: int | None = None,
) -> BytesBody | FileBody:
    """Take a stream in whole, before anything moves.

    Args:
        key: for errors.
        chunks: the bytes.
        limits: from what size on they go to a temporary file.
        size: how many were announced.
        bytes_max: how many are taken; None for no limit.

    Raises:
        IntegrityError: it is not as long as announced.
        ObjectTooLargeError: it is longer than allowed.
        StorageFullError, BackendError: it cannot be kept in a temporary file.
        ConfigurationError: it is made of something else than bytes.
    """
    intake = Intake(key, limits, bytes_max)
    try:
        async for chunk in chunks:
            await intake.add(chunk_of(chunk))
        body = intake.body()
    except BaseException:
        intake.drop()
        raise
    if size is not None and size != body.size:
        close(body)
        message = f"the body is {body.size:,} bytes long, {size:,} were announced"
        hint = "nothing was written"
        raise IntegrityError(message, operation="write", key=key, hint=hint)
    return body


async def to_body(
    key: str, data: Data, limits: Limits, size: int | None = None
) -> BytesBody | FileBody:
    """Make a body of whatever a caller gave.

    Raises:
        IntegrityError: it is not as long as announced.
        FileNotFoundError, OSError: a path that cannot be read.
        ConfigurationError: something that holds no bytes.
    """
    check_body(data)
    if isinstance(data, bytes | bytearray | memoryview):
        body = BytesBody(bytes(data), chunk_bytes=limits.chunk_bytes)
        if size in (None, body.size):
            return body
        return await take_in(key, _one(body.data), limits, size)
    if isinstance(data, os.PathLike):
        path = Path(os.fsdecode(data))
        file = await anyio.to_thread.run_sync(_open, path, abandon_on_cancel=True)
        return await _of_path(key, file, limits, size)
    limit = limits.body_buffer_bytes_max
    try:
        return await take_in(key, _stream(data, limits), limits, size, bytes_max=limit)
    except ObjectTooLargeError as error:
        error.hint = "give a path instead, or raise body_buffer_bytes_max"
        raise


def _stream(data: Data, limits: Limits) -> AsyncIterable[bytes]:
    if isinstance(data, AsyncIterable):
        return data
    if hasattr(data, "read"):
        return _of_file(cast("IO[bytes]", data), limits.chunk_bytes)
    return _of_iterable(iter(cast("Iterable[bytes]", data)))


def close(body: BytesBody | FileBody) -> None:
    """Let go of a body's file, if it has one."""
    if isinstance(body, FileBody):
        body.close()


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


async def _of_path(
    key: str, file: IO[bytes], limits: Limits, size: int | None
) -> BytesBody | FileBody:
    """Small files are read into memory; larger ones are read where they are, digested first."""
    try:
        found = await anyio.to_thread.run_sync(partial(_measure, file, limits))
    except BaseException:
        file.close()
        raise
    if isinstance(found, bytes) or (size is not None and size != found[0]):
        data = found if isinstance(found, bytes) else b""
        actual = len(data) if isinstance(found, bytes) else found[0]
        file.close()
        if size is not None and size != actual:
            message = f"the file is {actual:,} bytes long, {size:,} were announced"
            hint = "nothing was written"
            raise IntegrityError(message, operation="write", key=key, hint=hint)
        return BytesBody(data, chunk_bytes=limits.chunk_bytes)
    return FileBody(file, found[0], found[1], limits.chunk_bytes)


def _measure(file: IO[bytes], limits: Limits) -> bytes | tuple[int, str]:
    data = file.read(limits.small_body_bytes + 1)
    if len(data) <= limits.small_body_bytes:
        return data
    digest, size = sha256(data), len(data)
    while chunk := file.read(limits.chunk_bytes):
        anyio.from_thread.check_cancelled()
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _of_file(file: IO[bytes], chunk_bytes: int) -> AsyncIterator[bytes]:
    read = partial(anyio.to_thread.run_sync, file.read, chunk_bytes, abandon_on_cancel=True)
    while chunk := chunk_of(await read()):
        yield chunk


async def _of_iterable(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    take = partial(anyio.to_thread.run_sync, next, chunks, _END, abandon_on_cancel=True)
    while (chunk := await take()) is not _END:
        yield chunk_of(chunk)
