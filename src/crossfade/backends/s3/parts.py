"""An object on its way in part by part: nothing of it shows before its parts are put together.

Parts change nothing, so each is sent again by itself until it got through; an upload that the
server forgot is begun again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import anyio
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from crossfade.backends.bodies import BodyCheck, opened_chunks
from crossfade.backends.s3 import problems
from crossfade.backends.s3.client import Failure, Request
from crossfade.backends.s3.documents import DocumentError, parse
from crossfade.backends.s3.headers import attribute_headers, base64_of, tag_of
from crossfade.backends.s3.problems import UploadForgottenError
from crossfade.backends.s3.reads import Reader
from crossfade.backends.s3.servers import PART_BYTES_MIN, PARTS_MAX
from crossfade.errors import BackendError, OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskGroup
    from tenacity.stop import stop_base

    from crossfade.backends.s3.client import Answer
    from crossfade.backends.s3.uploads import Uploader
    from crossfade.core.objects import Attributes, ObjectInfo
    from crossfade.ports import Body

PARTS_AT_ONCE_MAX = 4
BEGIN_ATTEMPTS_MAX = 3
RESTARTS_MAX = 3
"""How often an upload is begun again that the server forgot."""
_MIB = 1 << 20
_COMPLETE_STALL_SECONDS = 120.0
_ABORT_SECONDS_MAX = 5.0
_WAIT_INITIAL_SECONDS = 0.1
_WAIT_SECONDS_MAX = 5.0


def part_size(size: int, part_bytes: int) -> int:
    """Return how large the parts of an object are: whole MiB, and never too many parts."""
    needed = -(-size // PARTS_MAX)
    return part_bytes if part_bytes >= needed else -(-needed // _MIB) * _MIB


def same_parts(size: int, wanted: int | None, own: int, most: int) -> int:
    """Return the size of the parts of a copy: that of its original where a side may choose it.

    Args:
        size: of the whole object.
        wanted: the size of the original's parts, if it has any.
        own: what is taken where the original has none, or other ones than can be sent.
        most: the largest part that is sent.
    """
    if wanted is None or not min(own, PART_BYTES_MIN) <= wanted <= most:
        wanted = own
    return part_size(size, wanted)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, BackendError) and error.retryable


def _retrying(stop: stop_base) -> AsyncRetrying:
    """Return the attempts of a request that changes nothing."""
    return AsyncRetrying(
        retry=retry_if_exception(_is_passing),
        stop=stop,
        wait=wait_exponential(multiplier=_WAIT_INITIAL_SECONDS, max=_WAIT_SECONDS_MAX)
        + wait_random(0, _WAIT_INITIAL_SECONDS),
        sleep=anyio.sleep,
        reraise=True,
    )


class S3Staged:
    """One object in parts at the server, and the document that puts them together."""

    def __init__(
        self, uploader: Uploader, key: str, body: Body, attributes: Attributes, part_bytes: int
    ) -> None:
        self._uploader = uploader
        self._key = key
        self._body = body
        self._attributes = attributes
        self._part_bytes = part_bytes
        self._upload = ""
        self._document = b""
        self._unsure = False
        self._done: ObjectInfo | None = None

    async def send(self) -> None:
        """Send everything, from the start again where the server forgot what it had.

        Raises:
            IntegrityError: the body is not what was announced.
            BackendError: a part was refused, or did not get through in time.
        """
        for number in range(1, RESTARTS_MAX + 1):
            try:
                await self._send_once()
            except UploadForgottenError:
                if number == RESTARTS_MAX:
                    raise
            else:
                return

    async def complete(self) -> ObjectInfo:
        """Put the parts together.

        An upload that the server forgot is sent again, unless an answer went missing before: then
        it may be forgotten because it is done.
        """
        if self._done is not None:
            return self._done
        if not self._upload:
            message = "what was staged was dropped"
            raise BackendError(message, operation="write", key=self._key)
        unsure, self._unsure = self._unsure, True
        try:
            etag = await self._complete_once()
        except UploadForgottenError:
            self._unsure = unsure
            if unsure:
                raise
            await self.send()
            self._unsure = True
            etag = await self._complete_once()
        except BackendError as error:
            self._unsure = unsure or isinstance(error, OutcomeUnknownError)
            raise
        if self._uploader.server.tags_are_md5:
            etag = await self._tag_kept(etag)
        self._done = self._uploader.info(self._key, self._body, etag, self._attributes, whole=False)
        return self._done

    async def drop(self) -> None:
        """Let go of the parts; after a completion of unknown outcome the server keeps them.

        There are servers on which an abort beside a completion breaks the object.
        """
        upload, self._upload = self._upload, ""
        if upload and self._done is None and not self._unsure:
            await self._abort(upload)

    async def _send_once(self) -> None:
        upload = self._upload = await self._begin()
        try:
            self._document = await _Parts(self, upload).send(self._body, self._part_bytes)
        except BaseException:
            self._upload = ""
            await self._abort(upload)
            raise

    async def _begin(self) -> str:
        headers = attribute_headers(self._attributes)
        if not self._uploader.md5:
            headers["x-amz-checksum-algorithm"] = "SHA256"
        request = Request(
            method="POST",
            operation="write",
            key=self._key,
            parameters=(("uploads", ""),),
            headers=headers,
        )
        uploader = self._uploader
        again = _retrying(stop_after_attempt(BEGIN_ATTEMPTS_MAX))
        answer: Answer = await again(uploader.ask, request)
        try:
            root = parse(answer.body)
        except DocumentError as error:
            raise problems.of_nonsense(str(error), request, uploader.location) from error
        # Servers do not agree on the root's name.
        if root.name == "Error" or not root.value("UploadId"):
            raise problems.of_nonsense("no name for an upload", request, uploader.location)
        return root.value("UploadId")

    async def send_part(self, upload: str, number: int, data: bytearray) -> str:
        """Send one part, which nobody sees yet; return its line of the final document."""
        uploader = self._uploader
        digest = sha256(data).hexdigest()
        request = Request(
            method="PUT",
            operation="write",
            key=self._key,
            parameters=(("partNumber", str(number)), ("uploadId", upload)),
            headers=uploader.checksum(data, digest),
            body=data,
            body_sha256=digest,
        )
        again = _retrying(stop_after_delay(uploader.client.timeouts.part_retry_seconds))
        tag = uploader.tag(await again(uploader.ask, request), request)
        kept = "" if uploader.md5 else f"<ChecksumSHA256>{base64_of(digest)}</ChecksumSHA256>"
        return (
            f"<Part><PartNumber>{number}</PartNumber>"
            f"<ETag>&quot;{escape(tag)}&quot;</ETag>{kept}</Part>"
        )

    async def _complete_once(self) -> str:
        request = Request(
            method="POST",
            operation="write",
            key=self._key,
            parameters=(("uploadId", self._upload),),
            headers={"content-type": "application/xml"},
            body=self._document,
            body_sha256=sha256(self._document).hexdigest(),
            changes=True,
            stall_seconds=_COMPLETE_STALL_SECONDS,
        )
        answer = await self._uploader.ask(request)
        try:
            root = parse(answer.body)
        except DocumentError as error:
            raise problems.of_nonsense(str(error), request, self._uploader.location) from error
        tag = tag_of(root.value("ETag"))
        if root.name == "Error" or not tag:
            # AWS says 200 before it knows, and then an error in the body.
            raise problems.of_answer(answer, request, self._uploader.location)
        return tag

    async def _tag_kept(self, said: str) -> str:
        """Return the tag that the object has, where that is not what its completion said."""
        uploader = self._uploader
        try:
            return (await Reader(uploader.client, uploader.location).stat(self._key)).etag
        except BackendError:
            return said

    async def _abort(self, upload: str) -> None:
        """Drop the parts, in a bounded time, whatever became of the caller."""
        request = Request(
            method="DELETE", operation="write", key=self._key, parameters=(("uploadId", upload),)
        )
        with anyio.move_on_after(_ABORT_SECONDS_MAX, shield=True):
            try:
                await self._uploader.client.ask(request)
            except (Failure, BackendError):
                return


class _Parts:
    """The parts of one upload: read in order, sent a few at once."""

    def __init__(self, staged: S3Staged, upload: str) -> None:
        self._staged = staged
        self._key = staged._key  # noqa: SLF001 - one thing in two classes
        self._budget = staged._uploader.budget  # noqa: SLF001 - one thing in two classes
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
        part, held = bytearray(), 0
        try:
            async for chunk in chunks:
                check.add(chunk)
                rest = memoryview(chunk)
                while rest:
                    if len(part) == size:
                        await self._start(group, part, held)
                        part, held = bytearray(), 0
                    held = held or await self._budget.take(size)
                    room = size - len(part)
                    part += rest[:room]
                    rest = rest[room:]
            check.finish()
            await self._start(group, part, held)
            held = 0
        finally:
            self._budget.give(held)

    async def _start(self, group: TaskGroup, part: bytearray, held: int) -> None:
        await self._places.acquire()
        self._begun += 1
        group.start_soon(self._send, group, self._begun, part, held)

    async def _send(self, group: TaskGroup, number: int, part: bytearray, held: int) -> None:
        try:
            self._lines[number] = await self._staged.send_part(self._upload, number, part)
        except BackendError as error:
            self._fail(group, error)
        finally:
            self._places.release()
            self._budget.give(held)

    def _fail(self, group: TaskGroup, error: Exception) -> None:
        self._error = self._error or error
        group.cancel_scope.cancel()
