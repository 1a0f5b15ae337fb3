"""Bytes on their way in and out: what was announced must be what arrived."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, NoReturn, Self

from crossfade.errors import IntegrityError, PreconditionError

if TYPE_CHECKING:
    from crossfade.core.objects import ByteRange, ObjectInfo
    from crossfade.ports import Body

STREAM_CHUNK_BYTES = 256 << 10
"""What a stream hands out at once; also up to what size an object is read whole."""


class BodyCheck:
    """Count and digest a body while it passes, and refuse it where it differs."""

    __slots__ = ("_digest", "_expected_sha256", "_key", "_seen", "_size")

    def __init__(self, key: str, body: Body) -> None:
        self._key = key
        self._size = body.size
        self._expected_sha256 = body.sha256
        self._digest = sha256()
        self._seen = 0

    def add(self, chunk: bytes) -> None:
        """Take a chunk; IntegrityError as soon as there is more than was announced."""
        self._seen += len(chunk)
        if self._seen > self._size:
            self._refuse(f"the body has more than the announced {self._size:,} bytes")
        self._digest.update(chunk)

    def finish(self) -> None:
        """Refuse a body that ended early or whose checksum differs."""
        if self._seen != self._size:
            self._refuse(f"the body ended after {self._seen:,} of {self._size:,} bytes")
        if self._digest.hexdigest() != self._expected_sha256:
            self._refuse("the body's SHA-256 is not the announced one")

    def _refuse(self, message: str) -> NoReturn:
        hint = "nothing was written; send the body again from its start"
        raise IntegrityError(message, operation="write", key=self._key, hint=hint)


@asynccontextmanager
async def opened_chunks(body: Body) -> AsyncIterator[AsyncIterator[bytes]]:
    """Read a body from its start, and let go of it at once when the reading breaks off."""
    chunks = body.chunks()
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def read_whole(key: str, body: Body) -> bytes:
    """Read a body into memory and verify it.

    Raises:
        IntegrityError: it is longer, shorter or other than announced.
    """
    check = BodyCheck(key, body)
    if body.data is not None:
        check.add(body.data)
        check.finish()
        return body.data
    chunks: list[bytes] = []
    async with opened_chunks(body) as stream:
        async for chunk in stream:
            check.add(chunk)
            chunks.append(chunk)
    check.finish()
    return b"".join(chunks)


def resolve_range(key: str, byte_range: ByteRange | None, size: int) -> tuple[int, int]:
    """Return the offset and the count of the bytes that a range takes of an object.

    Raises:
        PreconditionError: the range takes no byte of it.
    """
    if byte_range is None:
        return 0, size
    last = size - 1 if byte_range.end is None else min(byte_range.end, size - 1)
    if not 0 <= byte_range.start <= last:
        message = f"the object's {size:,} bytes have none in the range {byte_range}"
        hint = "ask for a range that begins before the object's end"
        raise PreconditionError(message, operation="read", key=key, hint=hint)
    return byte_range.start, last - byte_range.start + 1


def require_tag(key: str, etag: str, if_match: str | None) -> None:
    """Refuse a read of another version than the caller asked for.

    Raises:
        PreconditionError: the object's tag is not ``if_match``.
    """
    if if_match is not None and if_match != etag:
        message = f"the object's tag is {etag!r}, not {if_match!r}"
        hint = "it was replaced; look at it again"
        raise PreconditionError(message, operation="read", key=key, hint=hint)


class BytesStream:
    """A response whose bytes are in memory already."""

    __slots__ = ("_data", "_info", "_next", "_size")

    def __init__(self, info: ObjectInfo, data: bytes) -> None:
        self._info = info
        self._data: bytes | None = data
        self._size = len(data)
        self._next = 0

    @property
    def info(self) -> ObjectInfo:
        """The object's description, attributes included."""
        return self._info

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        start = self._next
        if start >= self._size:
            raise StopAsyncIteration
        if self._data is None:
            message = "the stream was closed before its end"
            hint = "read the object again"
            raise IntegrityError(message, operation="read", key=self._info.key, hint=hint)
        self._next += STREAM_CHUNK_BYTES
        return self._data[start : self._next]

    async def aclose(self) -> None:
        """Let go of the bytes."""
        self._data = None
