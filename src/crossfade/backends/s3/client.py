"""Requests over HTTP: signed, bounded, each sent once, its path as the key has it.

A failure says whether anything may have reached the server (`Failure.sent`): that is what its
outcome is judged by.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from crossfade.backends.bodies import STREAM_CHUNK_BYTES
from crossfade.backends.s3.addresses import Style
from crossfade.backends.s3.credentials import CredentialSource
from crossfade.backends.s3.signing import encoded_path, encoded_query, sign
from crossfade.core.objects import EMPTY_SHA256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from crossfade.backends.s3.addresses import S3Address
    from crossfade.backends.s3.credentials import Credentials

CONNECTIONS_MAX = 64
CONNECT_SECONDS_MAX = 10.0
STALL_SECONDS_MAX = 30.0
PART_RETRY_SECONDS_MAX = 60.0
ANSWER_BYTES_MAX = 8 << 20
"""Of an answer that is read whole: a page of 1,000 keys of 1,024 bytes fits."""
_PART_SECONDS = 60.0
_BYTES_PER_SECOND_MIN = 64 << 10
_NO_HEADERS: Mapping[str, str] = {}
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a request waits.

    Attributes:
        connect_seconds: for a connection, for a free place among `CONNECTIONS_MAX` too.
        stall_seconds: for the next bytes of an answer.
        part_retry_seconds: for how long a part is sent again that did not get through: long
            enough for a server to restart.
    """

    connect_seconds: float = CONNECT_SECONDS_MAX
    stall_seconds: float = STALL_SECONDS_MAX
    part_retry_seconds: float = PART_RETRY_SECONDS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        operation: the port's verb that it is for.
        key: what it is about, without the side's prefix; None for the bucket itself.
        changes: whether an object is another one, or none, once it was carried out.
        stall_seconds: for how long the server may say nothing; None for the usual time.
    """

    method: str
    operation: str
    key: str | None
    parameters: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    body: bytes | bytearray = b""
    body_sha256: str = EMPTY_SHA256
    changes: bool = False
    stall_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Failure(Exception):  # noqa: N818 - it never leaves the package
    """A request without an answer.

    Attributes:
        sent: whether a byte of it may have left.
        hint: what to do about it.
    """

    def __init__(self, message: str, *, sent: bool, hint: str = "look at the server") -> None:
        super().__init__(message)
        self.sent = sent
        self.hint = hint


class Client:
    """Sends requests about one bucket.

    Args:
        address: where it is.
        environment: where credentials, region and AWS_CA_BUNDLE are looked for.
        timeouts: how long a request waits.
        now: the wall clock, which signatures carry.
    """

    def __init__(
        self,
        address: S3Address,
        *,
        environment: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._credentials = CredentialSource(
            profile=address.profile, file=address.credentials, environment=self._environment
        )
        self.address = address
        self.timeouts = timeouts or Timeouts()
        self._now = now
        self._region = ""
        self._origin = ""
        self._host = ""
        self._path = ""
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, request: Request) -> Answer:
        """Send a request and read its answer whole.

        Raises:
            Failure: there is no answer, or one over `ANSWER_BYTES_MAX`.
            AccessDeniedError: there are no credentials.
        """
        response = await self.send(request)
        try:
            answer = await read_whole(response)
        except BaseException:
            response.close()
            raise
        response.release()
        return answer

    async def send(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request and return its answer once that begins; the caller closes it.

        Raises:
            Failure, AccessDeniedError: as for `ask`.
        """
        credentials = self._credentials.current(request.operation)
        self._find_place()
        path = self._path
        if request.key is not None:
            path += f"/{encoded_path(self.address.prefix + request.key)}"
        query = encoded_query(request.parameters)
        headers = self._headers(request, path or "/", query, credentials)
        url = f"{self._origin}{path or '/'}" + (f"?{query}" if query else "")
        with translated():
            return await self._open_session().request(
                request.method,
                URL(url, encoded=True),
                data=_data(request.body),
                headers=headers,
                timeout=self._timeout(request),
                allow_redirects=False,
            )

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _headers(
        self, request: Request, path: str, query: str, credentials: Credentials
    ) -> dict[str, str]:
        headers = {"host": self._host, **request.headers}
        if request.method in {"PUT", "POST"}:
            headers["content-length"] = str(len(request.body))
        signed = sign(
            headers,
            method=request.method,
            path=path,
            query=query,
            payload_sha256=request.body_sha256,
            credentials=credentials,
            region=self._region,
            at=self._now(),
        )
        # Not signed: proxies change it. The bytes are wanted as they were put.
        return signed | {"accept-encoding": "identity"}

    def _find_place(self) -> None:
        """Find out region, origin, host and path, once."""
        if self._origin:
            return
        address = self.address
        self._region = address.region or self._credentials.region()
        suffix = "amazonaws.com.cn" if self._region.startswith("cn-") else "amazonaws.com"
        parts = urlsplit(address.endpoint or f"https://s3.{self._region}.{suffix}")
        host = parts.netloc.lower()
        if parts.port == _DEFAULT_PORTS[parts.scheme]:
            host = host.removesuffix(f":{parts.port}")
        virtual = address.style is Style.VIRTUAL
        self._host = f"{address.bucket}.{host}" if virtual else host
        self._path = parts.path if virtual else f"{parts.path}/{address.bucket}"
        self._origin = f"{parts.scheme}://{self._host}"

    def _timeout(self, request: Request) -> aiohttp.ClientTimeout:
        seconds = request.stall_seconds or self.timeouts.stall_seconds
        total = None
        if request.body:
            # A server that takes no more bytes stalls too, and only the total bounds it.
            total = _PART_SECONDS + seconds + len(request.body) / _BYTES_PER_SECOND_MIN
        return aiohttp.ClientTimeout(
            total=total,
            connect=self.timeouts.connect_seconds,
            sock_connect=self.timeouts.connect_seconds,
            sock_read=seconds,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            bundle = self._environment.get("AWS_CA_BUNDLE", "")
            trusted = ssl.create_default_context(cafile=bundle) if bundle else True
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=trusted),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("accept", "content-type", "user-agent"),
                read_bufsize=STREAM_CHUNK_BYTES,
                middlewares=(_send_changes_once,),
            )
        return self._session


async def read_whole(response: aiohttp.ClientResponse) -> Answer:
    """Read an answer that has begun.

    Raises:
        Failure: it ends early, or is over `ANSWER_BYTES_MAX`.
    """
    body = bytearray()
    with translated():
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                message = f"an answer of over {ANSWER_BYTES_MAX:,} bytes"
                raise Failure(message, sent=True)
    return Answer(status=response.status, headers=response.headers, body=bytes(body))


class _CutError(Exception):
    """A connection that broke while a change was on its way."""


async def _send_changes_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a PUT or DELETE again over another connection.

    It does so for every method that HTTP calls idempotent, and nobody would hear of the first
    attempt, which may still land. Only errors of its own classes set it off.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method in {"PUT", "DELETE"}:
            raise _CutError(str(error)) from error
        raise


class translated:  # noqa: N801 - it is used as `contextmanager`'s functions are
    """Raise what the libraries raise as a `Failure`; faster than a generator, per request."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, aiohttp.ClientResponseError):
            _forget_headers(error)
            message = f"an answer that is no HTTP: {error.message[:80]!r}"
            hint = "does it speak TLS? then write https:// in the endpoint"
            raise Failure(message, sent=True, hint=hint) from error
        if isinstance(error, aiohttp.ClientError | OSError | _CutError):
            raise _failure(error) from error


def _forget_headers(error: aiohttp.ClientResponseError) -> None:
    """Take the request's headers out of an error: they would stand in its `repr`."""
    sent = error.request_info
    bare = aiohttp.RequestInfo(sent.url, sent.method, CIMultiDictProxy(CIMultiDict()))
    error.request_info, error.args = bare, (bare, ())


def _failure(error: Exception) -> Failure:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        hint = "have it show one that is trusted here; AWS_CA_BUNDLE may name others to trust"
        message = f"its certificate is not trusted: {error.certificate_error}"
        return Failure(message, sent=False, hint=hint)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        hint = "does it speak plain HTTP? then write http:// in the endpoint"
        return Failure("TLS failed before anything was sent", sent=False, hint=hint)
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = error.strerror or str(error.os_error)
        hint = "look at the endpoint, and whether the server runs"
        return Failure(f"no connection: {reason}", sent=False, hint=hint)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        hint = "look at the endpoint, and whether the server runs"
        return Failure("no connection was made in time", sent=False, hint=hint)
    if isinstance(error, aiohttp.InvalidURL):
        return Failure("no URL of a server", sent=False, hint="look at the endpoint")
    if isinstance(error, TimeoutError):
        return Failure("it said nothing for too long", sent=True)
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure("the answer ended early", sent=True)
    return Failure(f"the connection broke: {error}", sent=True)


def _data(body: bytes | bytearray) -> bytes | bytearray | AsyncIterator[memoryview] | None:
    if not body:
        return None
    return body if len(body) <= STREAM_CHUNK_BYTES else _pieces(memoryview(body))


async def _pieces(view: memoryview) -> AsyncIterator[memoryview]:
    for at in range(0, len(view), STREAM_CHUNK_BYTES):
        yield view[at : at + STREAM_CHUNK_BYTES]
