"""One version of an object: its description, or its bytes as they come."""

from __future__ import annotations

import re
import zlib
from hashlib import md5, sha256
from typing import TYPE_CHECKING, NoReturn, Protocol, Self

from crossfade.backends.bodies import STREAM_CHUNK_BYTES, require_tag, resolve_range
from crossfade.backends.s3 import problems
from crossfade.backends.s3.client import Failure, Request, read_whole, translated
from crossfade.backends.s3.headers import CRC32_HEADER, checksum_of, info_of
from crossfade.core.objects import ByteRange
from crossfade.errors import (
    BackendUnavailableError,
    IntegrityError,
    PreconditionError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from crossfade.backends.s3.client import Client
    from crossfade.backends.s3.servers import Server
    from crossfade.core.objects import ObjectInfo

_OK, _PART, _NO_SUCH_RANGE = 200, 206, 416
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-(?P<end>\d+)/(?P<size>\d+)")
_CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}
_MD5 = re.compile(r"[0-9a-f]{32}")
_IN_PARTS = re.compile(r"[0-9a-f]{32}-(?P<count>[1-9]\d{0,4})")
_LOOKS_MAX = 3
_FIRST_BYTE = ByteRange(start=0, end=0)


class Reader:
    """Reads objects of one bucket."""

    def __init__(self, client: Client, location: str) -> None:
        self._client = client
        self._location = location
        self._server = client.address.server

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object.

        An answer to HEAD has no body, so it does not say whether the object or the bucket is
        not there. Whatever is no success is asked for again with GET, which does.
        """
        for _ in range(_LOOKS_MAX):
            request = Request(method="HEAD", operation="stat", key=key, headers=_CHECKSUMS)
            try:
                answer = await self._client.ask(request)
            except Failure as failure:
                raise problems.of_failure(failure, request, self._location) from failure
            if answer.status == _OK:
                size = _length(answer.headers)
                return self._info(request, answer.headers, size)
            try:
                stream = await self.read(key, byte_range=_FIRST_BYTE, operation="stat")
            except PreconditionError:
                continue  # It is there by now, and empty.
            await stream.aclose()
            return stream.info
        message = f"{self._location} denies that it is there, and then sends it"
        raise BackendUnavailableError(message, operation="stat", key=key, hint="send it again")

    async def read(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        operation: str = "read",
    ) -> S3Stream:
        """Begin to read; a server that ignores range or condition is held to both here."""
        headers = dict(_CHECKSUMS)
        if byte_range is not None:
            end = "" if byte_range.end is None else byte_range.end
            headers["range"] = f"bytes={byte_range.start}-{end}"
        if if_match is not None:
            headers["if-match"] = f'"{if_match}"'
        request = Request(method="GET", operation=operation, key=key, headers=headers)
        try:
            response = await self._client.send(request)
        except Failure as failure:
            raise problems.of_failure(failure, request, self._location) from failure
        try:
            if response.status not in {_OK, _PART}:
                await self._refuse(request, response)
            return self._stream(request, response, byte_range, if_match)
        except BaseException:
            response.close()
            raise

    async def part_bytes(self, info: ObjectInfo) -> int | None:
        """Return the size of all parts but the last, as far as the first one tells."""
        found = _IN_PARTS.fullmatch(info.etag)
        if found is None:
            return None
        request = Request(
            method="HEAD",
            operation="stat",
            key=info.key,
            parameters=(("partNumber", "1"),),
        )
        try:
            answer = await self._client.ask(request)
        except Failure:
            return None  # It is asked for nothing but an entity tag that agrees.
        size, count = _length(answer.headers), int(found["count"])
        # Servers that do not know the parameter answer with the whole object.
        if answer.status not in {_OK, _PART} or not 0 < size <= info.size:
            return None
        return size if -(-info.size // size) == count else None

    def _stream(
        self,
        request: Request,
        response: aiohttp.ClientResponse,
        byte_range: ByteRange | None,
        if_match: str | None,
    ) -> S3Stream:
        length = _length(response.headers)
        start, size = 0, length
        # Some answer a range with 200, some of them with all bytes: what is said of it counts.
        part = "content-range" in response.headers or response.status == _PART
        if part:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            start, size = (int(found["start"]), int(found["size"])) if found else (-1, -1)
        info = self._info(request, response.headers, size)
        require_tag(info.key, info.etag, if_match)
        wanted, count = resolve_range(info.key, byte_range, info.size)
        if part and (start, length) != (wanted, count):
            message = f"{self._location} sends other bytes than it was asked for"
            hint = "look at what stands before the server"
            raise IntegrityError(message, operation=request.operation, key=info.key, hint=hint)
        check = None if count < size else _check_of(response.headers, info, self._server)
        return S3Stream(
            response, info, request, self._location, skip=wanted - start, count=count, check=check
        )

    def _info(self, request: Request, headers: Mapping[str, str], size: int) -> ObjectInfo:
        kept = self._server.capabilities.attributes_kept
        info = info_of(request.key or "", headers, size=size, kept=kept)
        if info is None or size < 0:
            what = "no size" if size < 0 else "no entity tag"
            raise problems.of_nonsense(f"an object with {what}", request, self._location)
        return info

    async def _refuse(self, request: Request, response: aiohttp.ClientResponse) -> None:
        """Raise what an answer without an object means."""
        try:
            answer = await read_whole(response)
        except Failure as failure:
            raise problems.of_failure(failure, request, self._location) from failure
        raise problems.of_answer(answer, request, self._location)


def _length(headers: Mapping[str, str]) -> int:
    """Return how many bytes an answer says that it has; -1 where it does not say."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() else -1


class _Check:
    """A checksum of a whole object, as the server has kept it, and of what comes."""

    def __init__(self, expected: str, digest: _Digest) -> None:
        self._expected = expected
        self._digest = digest

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._digest.update(chunk)

    def holds(self) -> bool:
        """Tell whether all bytes are those that the server took."""
        return self._digest.hexdigest() == self._expected


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def _check_of(headers: Mapping[str, str], info: ObjectInfo, server: Server) -> _Check | None:
    """Return what the bytes of a whole object can be checked with, the strongest of it."""
    if info.sha256 is not None:
        return _Check(info.sha256, sha256())
    crc32 = checksum_of(headers, CRC32_HEADER, 4)
    if crc32 is not None:
        return _Check(crc32, _Crc32())
    if server.tags_are_md5 and _MD5.fullmatch(info.etag):
        # The server's own choice; it is there to notice accidents.
        return _Check(info.etag, md5(usedforsecurity=False))
    return None


class S3Stream:
    """An answer that has begun, of one version."""

    __slots__ = ("_check", "_info", "_left", "_location", "_request", "_response", "_skip")

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        info: ObjectInfo,
        request: Request,
        location: str,
        *,
        skip: int,
        count: int,
        check: _Check | None,
    ) -> None:
        self._response = response
        self._info = info
        self._request = request
        self._location = location
        self._skip = skip
        self._left = count
        self._check = check

    @property
    def info(self) -> ObjectInfo:
        """The object's description, attributes included."""
        return self._info

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while self._left:
            chunk = await self._next()
            if self._skip:
                self._skip, chunk = max(0, self._skip - len(chunk)), chunk[self._skip :]
            chunk = chunk[: self._left]
            self._left -= len(chunk)
            if self._check is not None:
                self._check.add(chunk)
            if chunk:
                return chunk
        if self._check is not None and not self._check.holds():
            self._fail("the bytes are not those of the checksum that the server keeps")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let go of the connection; one with bytes left on it is cut."""
        self._left, self._check = 0, None
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    async def _next(self) -> bytes:
        try:
            with translated():
                chunk = await self._response.content.read(STREAM_CHUNK_BYTES)
        except Failure as failure:
            if isinstance(failure.__cause__, TimeoutError):
                raise problems.of_failure(failure, self._request, self._location) from failure
            self._fail("the object ended early", failure)
        if not chunk:
            self._fail("the object ended early")
        return chunk

    def _fail(self, message: str, cause: Exception | None = None) -> NoReturn:
        raise IntegrityError(
            f"{self._location}: {message}",
            operation=self._request.operation,
            key=self._info.key,
            hint="read it again",
        ) from cause
