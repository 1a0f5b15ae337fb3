"""A server that answers at once: what is left is what a client costs.

It keeps nothing. Whatever is put is taken and forgotten; whatever is asked for has as many bytes
as the number before ``.bin`` in its name says, ``users/u07/0007-4096.bin`` has 4,096; a listing
has `LISTED` keys, or one where one is asked for.

    python -m benchmarks.instant_server PORT
"""

from __future__ import annotations

import asyncio
import re
import sys

LISTED = 256
_SIZE = re.compile(rb"(\d+)\.bin")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ONE = re.compile(rb"max-keys=1(?:&|$)")
_TAG = b'"0123456789abcdef0123456789abcdef"'
_COMMON = b"ETag: " + _TAG + b"\r\nLast-Modified: Sat, 28 Nov 2026 12:00:00 GMT\r\n"
_CHUNK = bytes(1 << 20)
_OBJECT = (
    "<Contents><Key>users/u{1:02}/{0:04}-4096.bin</Key><LastModified>2026-11-28T12:00:00.000Z"
    "</LastModified><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>4096</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
_PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
    "<Prefix></Prefix><KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"
)


def _page(count: int) -> bytes:
    objects = "".join(_OBJECT.format(number, number // 16) for number in range(count))
    return _PAGE.format(count=count, objects=objects).encode()


_UPLOAD = b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>"
_COMPLETED = (
    b"<CompleteMultipartUploadResult><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag>"
    b"</CompleteMultipartUploadResult>"
)
_LISTING = _page(LISTED)
_FIRST = _page(1)


class Instant(asyncio.Protocol):
    """One connection: a head, a body that is thrown away, an answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._left = 0
        self._answer = b""
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._left:
            taken = min(self._left, len(data))
            self._left -= taken
            if self._left:
                return
            self._send()
            data = data[taken:]
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            self._read_head(bytes(self._held[:end]))
            del self._held[: end + 4]
            taken = min(self._left, len(self._held))
            del self._held[:taken]
            self._left -= taken
            if self._left:
                return
            self._send()

    def _read_head(self, head: bytes) -> None:
        method, target, _ = head.split(b" ", 2)
        found = _LENGTH.search(head)
        self._left = int(found[1]) if found else 0
        self._answer, self._size = self._answer_to(method, target)
        if b"100-continue" in head and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    @staticmethod
    def _answer_to(method: bytes, target: bytes) -> tuple[bytes, int]:
        """Return an answer's head and how many bytes follow it."""
        sized = _SIZE.search(target)
        if method == b"PUT":
            return b"HTTP/1.1 200 OK\r\n" + _COMMON + b"Content-Length: 0\r\n\r\n", 0
        if method == b"DELETE":
            return b"HTTP/1.1 204 No Content\r\n\r\n", 0
        if method == b"POST":
            document = _COMPLETED if b"uploadId=" in target else _UPLOAD
            head = f"Content-Type: application/xml\r\nContent-Length: {len(document)}\r\n\r\n"
            return b"HTTP/1.1 200 OK\r\n" + head.encode() + document, 0
        if b"list-type=2" in target:
            page = _FIRST if _ONE.search(target) else _LISTING
            head = f"Content-Type: application/xml\r\nContent-Length: {len(page)}\r\n\r\n"
            return b"HTTP/1.1 200 OK\r\n" + head.encode() + page, 0
        size = int(sized[1]) if sized else 0
        head = f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        body = 0 if method == b"HEAD" else size
        return b"HTTP/1.1 200 OK\r\n" + _COMMON + head.encode(), body

    def _send(self) -> None:
        assert self._transport is not None
        left = self._size
        self._transport.write(self._answer + _CHUNK[:left])
        left -= min(left, len(_CHUNK))
        while left:
            self._transport.write(_CHUNK[:left])
            left -= min(left, len(_CHUNK))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
