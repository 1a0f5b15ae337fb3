"""Objects on their way in: at once, or in parts of which nothing shows until they are put together.

No byte leaves that was not checked: a body is read into memory as far as one request carries it,
and only then sent. So a body that differs from what was announced is found before anything
changes, and the signature and the server's own check cover what the caller meant.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from hashlib import md5
from typing import TYPE_CHECKING

import anyio

from crossfade.backends.bodies import read_whole
from crossfade.backends.s3 import problems
from crossfade.backends.s3.addresses import Checksum
from crossfade.backends.s3.client import Failure, Request
from crossfade.backends.s3.headers import SHA256_HEADER, attribute_headers, base64_of, tag_of
from crossfade.backends.s3.parts import S3Staged, same_parts
from crossfade.core.objects import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.backends.s3.client import Answer, Client
    from crossfade.core.objects import Attributes
    from crossfade.ports import Body

PART_BYTES = 8 << 20
"""The size of a part, and of the largest body that is sent at once."""
BUFFER_BYTES_MAX = 64 << 20
"""Of bodies in memory, for all writes of a side together; so it is the largest part too."""
_OK = 200


class Budget:
    """Bytes of memory that are shared out, first come, first served."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._turn = anyio.Lock()
        self._freed = anyio.Event()

    async def take(self, count: int) -> int:
        """Wait until so many bytes are free; return how many to give back."""
        count = min(count, self._total)
        async with self._turn:
            while self._free < count:
                await self._freed.wait()
                self._freed = anyio.Event()
            self._free -= count
        return count

    def give(self, count: int) -> None:
        """Give bytes back."""
        self._free += count
        self._freed.set()

    @asynccontextmanager
    async def taken(self, count: int) -> AsyncIterator[None]:
        """Hold so many bytes."""
        held = await self.take(count)
        try:
            yield
        finally:
            self.give(held)


class Uploader:
    """Writes objects into one bucket.

    Attributes:
        budget: the memory that bodies may take.
        md5: whether bodies go with their MD5 alone.
    """

    def __init__(self, client: Client, location: str, *, part_bytes: int = PART_BYTES) -> None:
        self.client = client
        self.location = location
        self.server = client.address.server
        self.md5 = client.address.checksum is Checksum.MD5
        self.budget = Budget(BUFFER_BYTES_MAX)
        self._part_bytes = part_bytes
        self._kept = self.server.capabilities.attributes_kept

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        """Put an object whole.

        Raises:
            IntegrityError: the body is not what was announced; nothing was changed.
            OutcomeUnknownError: it may have been put, or may yet be.
            BackendError: refused for certain.
        """
        if body.size <= self._part_bytes:
            async with self.budget.taken(0 if body.data is not None else body.size):
                data = await read_whole(key, body)
                etag = await self._put(key, data, body.sha256, attributes)
            return self.info(key, body, etag, attributes, whole=True)
        staged = await self.stage(key, body, attributes)
        try:
            return await staged.complete()
        finally:
            await staged.drop()

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> S3Staged:
        """Send an object in parts, all but the request that puts them together.

        Raises:
            IntegrityError: the body is not what was announced.
            BackendError: a part was refused, or did not get through in time.
        """
        size = same_parts(body.size, part_bytes, self._part_bytes, BUFFER_BYTES_MAX)
        staged = S3Staged(self, key, body, attributes, size)
        await staged.send()
        return staged

    async def _put(self, key: str, data: bytes, digest: str, attributes: Attributes) -> str:
        request = Request(
            method="PUT",
            operation="write",
            key=key,
            headers=attribute_headers(attributes) | self.checksum(data, digest),
            body=data,
            body_sha256=digest,
            changes=True,
        )
        return self.tag(await self.ask(request), request)

    def info(
        self, key: str, body: Body, etag: str, attributes: Attributes, *, whole: bool
    ) -> ObjectInfo:
        """Describe what was put; the server keeps the checksum of one that was sent whole."""
        return ObjectInfo(
            key=key,
            size=body.size,
            etag=etag,
            attributes=attributes.kept(self._kept),
            sha256=body.sha256 if whole and not self.md5 else None,
        )

    async def ask(self, request: Request) -> Answer:
        """Send a request; an answer that is no success is an error."""
        try:
            answer = await self.client.ask(request)
        except Failure as failure:
            raise problems.of_failure(failure, request, self.location) from failure
        if answer.status != _OK:
            raise problems.of_answer(answer, request, self.location)
        return answer

    def tag(self, answer: Answer, request: Request) -> str:
        """Return the entity tag of what was sent."""
        tag = tag_of(answer.headers.get("etag", ""))
        if not tag:
            raise problems.of_nonsense("no entity tag", request, self.location)
        return tag

    def checksum(self, data: bytes | bytearray, digest: str) -> dict[str, str]:
        """Return the header by which the server checks what it takes."""
        if self.md5:
            # S3 asks for it; it protects nothing.
            return {"content-md5": base64_of(md5(data, usedforsecurity=False).hexdigest())}
        return {SHA256_HEADER: base64_of(digest)}
