"""Pages of keys in the order of their bytes, from ListObjectsV2."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from crossfade.backends.s3 import problems
from crossfade.backends.s3.client import Failure, Request
from crossfade.backends.s3.documents import DocumentError, parse
from crossfade.backends.s3.headers import tag_of
from crossfade.core.objects import KEY_BYTES_MAX, RESERVED_PREFIX, ObjectInfo, ObjectPage
from crossfade.errors import InvalidKeyError

if TYPE_CHECKING:
    from crossfade.backends.s3.client import Answer, Client
    from crossfade.backends.s3.documents import Element

_OK = 200
_AFTER_RESERVED = RESERVED_PREFIX + "\U0010ffff"


class Lister:
    """Lists one bucket, or a folder of it."""

    def __init__(self, client: Client, location: str) -> None:
        self._client = client
        self._location = location
        self._prefix = client.address.prefix
        self._pattern = client.address.server.capabilities.key_pattern

    def holds(self, key: str) -> bool:
        """Tell whether the server is declared to be able to hold a key."""
        return self._pattern is None or re.fullmatch(self._pattern, key, re.DOTALL) is not None

    async def page(self, prefix: str, after: str, count: int) -> ObjectPage:
        """Return the first so many keys with the prefix that are greater than ``after``.

        Raises:
            InvalidKeyError: a key of the bucket is not UTF-8, or too long.
            BackendError: the server refuses or fails, or does not list in order.
        """
        try:
            prefix.encode()
        except UnicodeEncodeError:  # Half a character: no key begins with it.
            return ObjectPage(objects=(), truncated=False)
        while True:
            listed = await self._listed(prefix, after, count)
            if listed.objects or not listed.truncated:
                return listed
            # All of it was Crossfade's own.
            after = max(after, _AFTER_RESERVED)

    async def _listed(self, prefix: str, after: str, count: int) -> ObjectPage:
        parameters = {
            "list-type": "2",
            "encoding-type": "url",
            "max-keys": str(count),
            "prefix": self._prefix + prefix,
            # Also without a key to start after: what is called as the folder itself is no key.
            "start-after": self._prefix + after,
        }
        given = tuple((name, value) for name, value in parameters.items() if value)
        request = Request(method="GET", operation="list", key=None, parameters=given)
        try:
            answer = await self._client.ask(request)
        except Failure as failure:
            raise problems.of_failure(failure, request, self._location) from failure
        if answer.status != _OK:
            raise problems.of_answer(answer, request, self._location)
        try:
            return self._page(answer, prefix, after)
        except (DocumentError, ValueError) as error:
            if isinstance(error, InvalidKeyError):
                raise
            raise problems.of_nonsense(str(error), request, self._location) from error

    def _page(self, answer: Answer, prefix: str, after: str) -> ObjectPage:
        root = parse(answer.body)
        if root.name != "ListBucketResult":
            message = f"a document {root.name[:80]!r} in place of a listing"
            raise DocumentError(message)
        encoded = root.value("EncodingType") == "url"
        own = (self._prefix + RESERVED_PREFIX).encode()
        found: list[ObjectInfo] = []
        reserved = False
        for item in root.all("Contents"):
            raw = item.value("Key")
            data = unquote_to_bytes(raw.replace("+", " ")) if encoded else raw.encode()
            if data.startswith(own) and after < _AFTER_RESERVED:
                # A probe puts keys there that are no keys of this side.
                reserved = True
                continue
            info = self._info(item, data)
            before = found[-1].key if found else after
            # Code points are in the order of their UTF-8 bytes.
            if info.key <= before or not info.key.startswith(prefix):
                message = f"a listing that is not in order at {info.key[:80]!r}"
                raise DocumentError(message)
            found.append(info)
        truncated = root.value("IsTruncated") == "true"
        if truncated and not found and not reserved:
            raise DocumentError("a page without keys which says that more keys follow")
        return ObjectPage(objects=tuple(found), truncated=truncated)

    def _info(self, item: Element, data: bytes) -> ObjectInfo:
        raw = item.value("Key")
        try:
            key = data.decode()
        except UnicodeDecodeError:
            raise self._stranger(raw) from None
        if not key.startswith(self._prefix):
            message = f"a key outside of the prefix: {key[:80]!r}"
            raise DocumentError(message)
        key = key.removeprefix(self._prefix)
        if len(key.encode()) > KEY_BYTES_MAX or (key and not self.holds(key)):
            raise self._stranger(raw)
        etag = tag_of(item.value("ETag"))
        if not etag:
            message = f"a key without an entity tag: {key[:80]!r}"
            raise DocumentError(message)
        modified = item.value("LastModified")
        return ObjectInfo(
            key=key,
            size=int(item.value("Size")),
            etag=etag,
            modified=datetime.fromisoformat(modified).astimezone(UTC) if modified else None,
        )

    def _stranger(self, raw: str) -> InvalidKeyError:
        message = (
            f"{self._location} holds {raw[:200]!r}, which is not UTF-8 of at most 1,024 bytes, or "
            "no key of such a server"
        )
        hint = "rename it or move it out of the folder; or correct server= in the URL"
        return InvalidKeyError(message, operation="list", hint=hint)
