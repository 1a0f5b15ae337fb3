"""A side in an object store that speaks S3: AWS, and servers like it.

A key is sent and signed as it is. A write is one request with the body's checksum, or a multipart
upload of which nothing shows before it is completed; each request is sent once, so that what
became of it is known, or known to be unknown. It needs asyncio, because aiohttp does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.backends.listing import page_size
from crossfade.backends.s3 import problems
from crossfade.backends.s3.client import Client, Failure, Request
from crossfade.backends.s3.listings import Lister
from crossfade.backends.s3.probing import Prober
from crossfade.backends.s3.reads import Reader
from crossfade.backends.s3.uploads import PART_BYTES, Uploader
from crossfade.core.objects import check_key
from crossfade.errors import BackendError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crossfade.backends.s3.addresses import S3Address
    from crossfade.backends.s3.client import Timeouts
    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import Attributes, ByteRange, ObjectInfo, ObjectPage
    from crossfade.core.probed import ProbeReport
    from crossfade.ports import Body, ObjectStream, Staged

_DONE = frozenset({200, 204})
_NOT_FOUND = 404


class S3Backend:
    """Objects in a bucket, or in a folder of it.

    Args:
        address: where it is, and how it is reached.
        environment: where credentials are looked for; the process's own by default.
        timeouts: how long a request waits.
        part_bytes: the size of a part, and of the largest body that is sent at once.
    """

    def __init__(
        self,
        address: S3Address,
        *,
        environment: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._client = Client(address, environment=environment, timeouts=timeouts)
        self._location = address.place
        self._capabilities = replace(
            address.server.capabilities_below(address.prefix), staged_bytes_min=part_bytes + 1
        )
        self._reader = Reader(self._client, self._location)
        self._lister = Lister(self._client, self._location)
        self._uploader = Uploader(self._client, self._location, part_bytes=part_bytes)

    @property
    def capabilities(self) -> Capabilities:
        """What its kind of server can do."""
        return self._capabilities

    @property
    def location(self) -> str:
        """Return ``s3://``, the bucket, its prefix and the endpoint."""
        return self._location

    async def prepare(self, *, create: bool) -> None:
        """Check that the bucket is there and may be listed; it is never made.

        Raises:
            BackendError: it is not there, elsewhere, or not for these credentials.
        """
        try:
            await self._lister.page("", "", 1)
        except BackendError as error:
            error.operation = "prepare"
            raise

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object; ObjectNotFoundError only where the store says so of the key."""
        check_key(key)
        self._require_held(key, "stat")
        return await self._reader.stat(key)

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        """Begin to read an object; what the server keeps a checksum of is checked."""
        check_key(key)
        self._require_held(key, "read")
        return await self._reader.read(key, byte_range=byte_range, if_match=if_match)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        """Put an object; a body over the size of a part goes in parts."""
        check_key(key)
        self._capabilities.require_object(key, body.size, attributes)
        return await self._uploader.write(key, body, attributes)

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> Staged:
        """Send an object in parts, all but the request that puts them together."""
        check_key(key)
        self._capabilities.require_object(key, body.size, attributes)
        return await self._uploader.stage(key, body, attributes, part_bytes=part_bytes)

    async def part_bytes(self, info: ObjectInfo) -> int | None:
        """Return the size of the parts that this version was put in, where the server tells."""
        return await self._reader.part_bytes(info)

    async def delete(self, key: str) -> None:
        """Delete an object; an absent one is no error."""
        check_key(key)
        if not self._lister.holds(key) or not await self._may_delete(key):
            return
        request = Request(method="DELETE", operation="delete", key=key, changes=True)
        try:
            answer = await self._client.ask(request)
        except Failure as failure:
            raise problems.of_failure(failure, request, self._location) from failure
        if answer.status in _DONE:
            return
        if answer.status == _NOT_FOUND and problems.code_of(answer) == "NoSuchKey":
            return
        raise problems.of_answer(answer, request, self._location)

    async def _may_delete(self, key: str) -> bool:
        """Tell whether a delete can touch nothing but the key, by looking where that is needed."""
        if self._client.address.server.deletes_absent:
            return True
        try:
            await self._reader.stat(key)
        except ObjectNotFoundError:
            return False
        except BackendError as error:
            error.operation = "delete"
            raise
        return True

    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        """Return a page of the keys as the store lists them."""
        count = page_size(limit, self._capabilities.page_keys_max)
        return await self._lister.page(prefix, after, count)

    async def probe(self) -> ProbeReport:
        """Find out by doing what the server can, where no listing of a side shows it."""
        return await Prober(self._client, self._location).run()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    def _require_held(self, key: str, operation: str) -> None:
        """Say of a key that this kind of server cannot hold that it is not there.

        Some answer with another object. Where the declaration is wrong, listings say so.
        """
        if not self._lister.holds(key):
            message = f"{self._location} can hold no such key"
            raise ObjectNotFoundError(message, operation=operation, key=key)
