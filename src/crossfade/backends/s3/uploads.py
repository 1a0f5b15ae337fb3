"""Objects on their way in: at once, or in parts of which nothing shows until they are put together.

No byte leaves that was not checked: a body is read into memory as far as one request carries it,
and only then sent. So a body that differs from what was announced is found before anything
changes, and the signature and the server's own check cover what the caller meant.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from hashlib import md5, sha256
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import anyio

from crossfade.backends.bodies import BodyCheck, opened_chunks, read_whole
from crossfade.backends.s3 import problems
from crossfade.backends.s3.addresses import Checksum
from crossfade.backends.s3.client import Failure, Request
from crossfade.backends.s3.documents import DocumentError, parse
from crossfade.backends.s3.headers import SHA256_HEADER, attribute_headers, base64_of, tag_of
from crossfade.backends.s3.reads import Reader
from crossfade.backends.s3.servers import PARTS_MAX
from crossfade.core.objects import ObjectInfo
from crossfade.errors import BackendError, OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskGroup

    from crossfade.backends.s3.client import Answer, Client
    from crossfade.core.objects import Attributes
    from crossfade.ports import Body

PART_BYTES = 8 << 20
"""The size of a part, and of the largest body that is sent at once."""
PARTS_AT_ONCE_MAX = 4
BUFFER_BYTES_MAX = 64 << 20
"""Of bodies in memory, for all writes of a side together; one part may be larger."""
_MIB = 1 << 20
_OK = 200
_COMPLETE_STALL_SECONDS = 120.0
_ABORT_SECONDS_MAX = 5.0


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
    """Writes objects into one bucket."""

    def __init__(self, client: Client, location: str, *, part_bytes: int = PART_BYTES) -> None:
        self._client = client
        self._location = location
        self._part_bytes = part_bytes
        self._kept = client.address.server.capabilities.attributes_kept
        self._md5 = client.address.checksum is Checksum.MD5
        self.budget = Budget(BUFFER_BYTES_MAX)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        """Put an object whole.

        Raises:
            IntegrityError: the body is not what was announced; nothing was changed.
            OutcomeUnknownError: it may have been put, or may yet be.
            BackendError: refused for certain.
        """
        if body.size <= self._part_bytes:
            async with self.budget.taken(0 if body.data is not None else body.size):
                etag = await self._put(key, await read_whole(key, body), body.sha256, attributes)
            parts = False
        else:
            etag = await self._put_in_parts(key, body, attributes)
            if self._client.address.server.tags_are_md5:
                etag = await self._tag_kept(key, etag)
            parts = True
        return ObjectInfo(
            key=key,
            size=body.size,
            etag=etag,
            attributes=attributes.kept(self._kept),
            sha256=None if parts or self._md5 else body.sha256,
        )

    async def _put(self, key: str, data: bytes, digest: str, attributes: Attributes) -> str:
        request = Request(
            method="PUT",
            operation="write",
            key=key,
            headers=attribute_headers(attributes) | self._checksum(data, digest),
            body=data,
            body_sha256=digest,
            changes=True,
        )
        return self._tag(await self._ask(request), request)

    async def _put_in_parts(self, key: str, body: Body, attributes: Attributes) -> str:
        upload = await self._begin(key, attributes)
        parts = _Parts(self, key, upload)
        try:
            document = await parts.send(body, part_size(body.size, self._part_bytes))
        except BaseException:
            await self._abort(key, upload)
            raise
        return await self._complete(key, upload, document)

    async def _tag_kept(self, key: str, said: str) -> str:
        """Return the tag that the object has, where that is not what its completion said."""
        try:
            return (await Reader(self._client, self._location).stat(key)).etag
        except BackendError:
            return said

    async def _begin(self, key: str, attributes: Attributes) -> str:
        headers = attribute_headers(attributes)
        if not self._md5:
            headers["x-amz-checksum-algorithm"] = "SHA256"
        request = Request(
            method="POST",
            operation="write",
            key=key,
            parameters=(("uploads", ""),),
            headers=headers,
        )
        answer = await self._ask(request)
        try:
            root = parse(answer.body)
        except DocumentError as error:
            raise problems.of_nonsense(str(error), request, self._location) from error
        # Servers do not agree on the root's name.
        if root.name == "Error" or not root.value("UploadId"):
            raise problems.of_nonsense("no name for an upload", request, self._location)
        return root.value("UploadId")

    async def send_part(self, key: str, upload: str, number: int, data: bytearray) -> str:
        """Send one part, which nobody sees yet; return its line of the final document."""
        digest = sha256(data).hexdigest()
        request = Request(
            method="PUT",
            operation="write",
            key=key,
            parameters=(("partNumber", str(number)), ("uploadId", upload)),
            headers=self._checksum(data, digest),
            body=data,
            body_sha256=digest,
        )
        tag = self._tag(await self._ask(request), request)
        kept = "" if self._md5 else f"<ChecksumSHA256>{base64_of(digest)}</ChecksumSHA256>"
        return (
            f"<Part><PartNumber>{number}</PartNumber>"
            f"<ETag>&quot;{escape(tag)}&quot;</ETag>{kept}</Part>"
        )

    async def _complete(self, key: str, upload: str, document: bytes) -> str:
        request = Request(
            method="POST",
            operation="write",
            key=key,
            parameters=(("uploadId", upload),),
            headers={"content-type": "application/xml"},
            body=document,
            body_sha256=sha256(document).hexdigest(),
            changes=True,
            stall_seconds=_COMPLETE_STALL_SECONDS,
        )
        try:
            answer = await self._ask(request)
        except BackendError as error:
            if not isinstance(error, OutcomeUnknownError):
                await self._abort(key, upload)
            raise
        try:
            root = parse(answer.body)
        except DocumentError as error:
            raise problems.of_nonsense(str(error), request, self._location) from error
        tag = tag_of(root.value("ETag"))
        if root.name == "Error" or not tag:
            # AWS says 200 before it knows, and then an error in the body.
            raise problems.of_answer(answer, request, self._location)
        return tag

    async def _abort(self, key: str, upload: str) -> None:
        """Drop the parts, in a bounded time, whatever became of the caller."""
        request = Request(
            method="DELETE", operation="write", key=key, parameters=(("uploadId", upload),)
        )
        with anyio.move_on_after(_ABORT_SECONDS_MAX, shield=True):
            try:
                await self._client.ask(request)
            except (Failure, BackendError):
                return

    async def _ask(self, request: Request) -> Answer:
        try:
            answer = await self._client.ask(request)
        except Failure as failure:
            raise problems.of_failure(failure, request, self._location) from failure
        if answer.status != _OK:
            raise problems.of_answer(answer, request, self._location)
        return answer

    def _tag(self, answer: Answer, request: Request) -> str:
        tag = tag_of(answer.headers.get("etag", ""))
        if not tag:
            raise problems.of_nonsense("no entity tag", request, self._location)
        return tag

    def _checksum(self, data: bytes | bytearray, digest: str) -> dict[str, str]:
        if self._md5:
            # S3 asks for it; it protects nothing.
            return {"content-md5": base64_of(md5(data, usedforsecurity=False).hexdigest())}
        return {SHA256_HEADER: base64_of(digest)}


def part_size(size: int, part_bytes: int) -> int:
    """Return how large the parts of an object are: whole MiB, and never too many parts."""
    needed = -(-size // PARTS_MAX)
    return max(part_bytes, -(-needed // _MIB) * _MIB)


class _Parts:
    """The parts of one upload: read in order, sent a few at once."""

    def __init__(self, uploader: Uploader, key: str, upload: str) -> None:
        self._uploader = uploader
        self._key = key
        self._upload = upload
        self._lines: dict[int, str] = {}
        self._begun = 0
        self._error: Exception | None = None
        self._places = anyio.Semaphore(PARTS_AT_ONCE_MAX)

    async def send(self, body: Body, size: int) -> bytes:
        """Send everything; return the document that puts the parts together.

        Raises:
            BackendError: of the first part that was refused; or what reading the body raised.
        """
        async with anyio.create_task_group() as group:
            try:
                async with opened_chunks(body) as chunks:
                    await self._cut(group, chunks, BodyCheck(self._key, body), size)
            except Exception as error:  # noqa: BLE001 - it is raised below, out of the group
                self._fail(group, error)
        if self._error is not None:
            raise self._error
        lines = "".join(self._lines[number] for number in sorted(self._lines))
        return f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()

    async def _cut(
        self, group: TaskGroup, chunks: AsyncIterator[bytes], check: BodyCheck, size: int
    ) -> None:
        """Cut a body into parts of one size; the last one waits until all of it was checked."""
        budget = self._uploader.budget
        part, held = bytearray(), 0
        try:
            async for chunk in chunks:
                check.add(chunk)
                rest = memoryview(chunk)
                while rest:
                    if len(part) == size:
                        await self._start(group, part, held)
                        part, held = bytearray(), 0
                    held = held or await budget.take(size)
                    room = size - len(part)
                    part += rest[:room]
                    rest = rest[room:]
            check.finish()
            await self._start(group, part, held)
            held = 0
        finally:
            budget.give(held)

    async def _start(self, group: TaskGroup, part: bytearray, held: int) -> None:
        await self._places.acquire()
        self._begun += 1
        group.start_soon(self._send, group, self._begun, part, held)

    async def _send(self, group: TaskGroup, number: int, part: bytearray, held: int) -> None:
        try:
            line = await self._uploader.send_part(self._key, self._upload, number, part)
            self._lines[number] = line
        except BackendError as error:
            self._fail(group, error)
        finally:
            self._places.release()
            self._uploader.budget.give(held)

    def _fail(self, group: TaskGroup, error: Exception) -> None:
        self._error = self._error or error
        group.cancel_scope.cancel()
