"""A small S3 server in this process which is honest, but for the lies that a test names."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import md5, sha256
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from aiohttp import web
from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEPT = {
    *("content-type", "cache-control", "content-disposition", "content-encoding"),
    *("content-language", "expires"),
}
BUCKET = "bucket"


@dataclass
class Stored:
    """An object; ``shown`` is when listings show it, ``gone`` when they forget it."""

    data: bytes
    headers: CIMultiDict[str]
    modified: datetime
    shown: float = 0.0
    gone: float | None = None

    @property
    def tag(self) -> str:
        return f'"{md5(self.data, usedforsecurity=False).hexdigest()}"'


@dataclass
class LyingServer:
    """Objects in a dictionary.

    Attributes:
        lies: what it does otherwise than it says.
        lag: seconds after which listings show a change.
        ahead: seconds by which its clock is wrong.
    """

    lies: frozenset[str] = frozenset()
    lag: float = 0.0
    ahead: float = 0.0
    port: int = 0
    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> list[str]:
        """What is there, whatever a listing says."""
        return [key for key, stored in self.objects.items() if stored.gone is None]

    def url(self, options: str = "") -> str:
        return f"s3://{BUCKET}/?endpoint={self.endpoint}{options}"

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = request.raw_path.partition("?")[0].removeprefix(f"/{BUCKET}").removeprefix("/")
        key = self.key_of(unquote(raw))
        self.asked[request.method] += 1
        self.requests.append((request.method, request.raw_path))
        if self.asked.total() > 20 and "dies" in self.lies:
            request.transport.close() if request.transport else None
        body = await request.read()
        if not raw:
            if request.query.get("start-after") and "stalls" in self.lies:
                await asyncio.Event().wait()
            answer = self.bucket(request)
        else:
            verb = {"PUT": self.put, "DELETE": self.delete, "POST": self.post}
            answer = verb.get(request.method, self.get)(request, key, body)
        now = datetime.now(UTC) + timedelta(seconds=self.ahead)
        answer.headers["Date"] = format_datetime(now, usegmt=True)
        return answer

    def key_of(self, key: str) -> str:
        if "folds_case" in self.lies:
            key = key.lower()
        if "joins_slashes" in self.lies:
            key = key.replace("//", "/")
        return key

    def found(self, key: str) -> Stored | None:
        stored = self.objects.get(key)
        return None if stored is None or stored.gone is not None else stored

    def bucket(self, request: web.BaseRequest) -> web.Response:
        if request.query.get("list-type") != "2":
            return error(501, "NotImplemented")
        if "hides_bucket" in self.lies:
            return error(403, "AccessDenied")
        if request.query.get("start-after") and "breaks" in self.lies:
            return error(500, "InternalError")
        prefix, after = request.query.get("prefix", ""), request.query.get("start-after", "")
        now = time.monotonic()
        shown = sorted(
            key
            for key, one in self.objects.items()
            if one.shown <= now and (one.gone is None or one.gone > now)
            if key.startswith(prefix) and key > after
        )
        page = shown[: int(request.query.get("max-keys", "1000"))]
        lines = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(self.objects[key].data)}</Size>"
            f"<ETag>{escape(self.objects[key].tag)}</ETag>"
            f"<LastModified>{self.objects[key].modified.isoformat()}</LastModified></Contents>"
            for key in page
        )
        truncated = str(len(page) < len(shown)).lower()
        return web.Response(
            text=f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{truncated}"
            f"</IsTruncated>{lines}</ListBucketResult>"
        )

    def get(self, request: web.BaseRequest, key: str, _: bytes) -> web.Response:
        stored = self.found(key)
        if stored is None:
            return error(*((403, "AccessDenied") if "hides" in self.lies else (404, "NoSuchKey")))
        headers = CIMultiDict({**stored.headers, "etag": stored.tag})
        if request.headers.get("if-match", stored.tag) != stored.tag and self.honest("if_match"):
            return error(412, "PreconditionFailed")
        data = stored.data
        if "garbles" in self.lies:
            data = data.replace(b"\r\n", b"\n")
        wanted = request.headers.get("range", "").removeprefix("bytes=")
        status = 200
        if wanted and "whole" not in self.lies:
            start, end = (int(part or len(data) - 1) for part in wanted.split("-"))
            headers["content-range"] = f"bytes {start}-{end}/{len(data)}"
            shift = 0 if self.honest("shifts") else 1
            data, status = data[start + shift : end + 1 + shift], 206
        return web.Response(body=data, headers=headers, status=status)

    def put(self, request: web.BaseRequest, key: str, body: bytes) -> web.Response:
        if "partNumber" in request.query:
            self.uploads[request.query["uploadId"]] = body
            return web.Response(headers={"etag": Stored(body, CIMultiDict(), datetime.now()).tag})  # noqa: DTZ005
        refused = self.refusal(request, key, body)
        if refused is not None:
            return refused
        kept = CIMultiDict(
            (name, text)
            for name, text in request.headers.items()
            if name.lower() in KEPT or name.lower().startswith("x-amz-meta-")
            if self.honest(f"drops_{name.lower()}")
        )
        before = self.found(key)
        if before is not None and "stale" in self.lies:
            return web.Response(headers={"etag": before.tag})
        shown = 0.0 if before is not None else time.monotonic() + self.lag
        self.objects[key] = Stored(body, kept, datetime.now(UTC), shown)
        return web.Response(headers={"etag": self.objects[key].tag})

    def refusal(self, request: web.BaseRequest, key: str, body: bytes) -> web.Response | None:
        if "no_write" in self.lies:
            return error(403, "AccessDenied")
        stored = self.found(key)
        if "if-none-match" in request.headers:
            if "no_conditions" in self.lies:
                return error(501, "NotImplemented")
            if stored is not None and self.honest("create_only"):
                return error(412, "PreconditionFailed")
        wanted = request.headers.get("if-match")
        if wanted and (stored is None or stored.tag != wanted) and self.honest("swap_on_write"):
            return error(412, "PreconditionFailed")
        digest = md5(body, usedforsecurity=False).digest()
        sums = {"content-md5": digest, "x-amz-checksum-sha256": sha256(body).digest()}
        for name, data in sums.items():
            given = request.headers.get(name, "")
            if given and "no_" + name in self.lies:
                return error(400, "InvalidRequest")
            if given not in ("", b64encode(data).decode()) and self.honest(name):
                return error(400, "BadDigest")
        return None

    def delete(self, request: web.BaseRequest, key: str, _: bytes) -> web.Response:
        if "no_delete" in self.lies:
            return error(403, "AccessDenied")
        stored = self.found(key)
        wanted = request.headers.get("if-match")
        if wanted and (stored is None or stored.tag != wanted) and self.honest("swap_on_delete"):
            return error(412, "PreconditionFailed")
        if stored is not None:
            stored.gone = time.monotonic() + self.lag
        return web.Response(status=204)

    def post(self, request: web.BaseRequest, key: str, _: bytes) -> web.Response:
        if "no_parts" in self.lies:
            return error(501, "NotImplemented")
        if "uploads" in request.query:
            return web.Response(text="<R><UploadId>u</UploadId></R>")
        self.objects[key] = Stored(self.uploads["u"], CIMultiDict(), datetime.now(UTC))
        return web.Response(text="<R><ETag>t-1</ETag></R>")

    def honest(self, lie: str) -> bool:
        return lie not in self.lies


def error(status: int, code: str) -> web.Response:
    return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>")


@asynccontextmanager
async def lying(*lies: str, lag: float = 0.0, ahead: float = 0.0) -> AsyncIterator[LyingServer]:
    """Run a server that lies."""
    server = LyingServer(lies=frozenset(lies), lag=lag, ahead=ahead)
    runner = web.ServerRunner(web.Server(server.serve), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)


def stored(data: bytes) -> Stored:
    """Return an object as if it had been put."""
    return Stored(data, CIMultiDict(), datetime.now(UTC))
