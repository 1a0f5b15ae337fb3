"""What a probe asks of a server: requests below a prefix that belongs to no listing, counted.

They go past the side's own checks, because what a server does with what it should not get is just
what a probe wants to see.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from crossfade.backends.s3 import problems
from crossfade.backends.s3.client import Failure, Request
from crossfade.backends.s3.documents import DocumentError, parse
from crossfade.core.objects import RESERVED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crossfade.backends.s3.client import Answer, Client

PROBE_PREFIX = f"{RESERVED_PREFIX}probe/"
OK = frozenset({200, 201, 204})
_NONE: Mapping[str, str] = {}
_VERBS = {"PUT": "write", "POST": "write", "DELETE": "delete", "GET": "read", "HEAD": "stat"}


_CHANGES = frozenset({"PUT", "POST", "DELETE"})


class UnreadableListingError(Exception):
    """A listing that is no document, as of a server that does not encode keys."""


@dataclass(slots=True)
class Asker:
    """Sends a probe's requests.

    Attributes:
        folder: what every key is put behind, below `PROBE_PREFIX`.
        written: keys that may be there.
        versions: what a bucket keeps of them, and of their deletes, where it keeps versions.
    """

    client: Client
    location: str
    folder: str
    requests: int = 0
    written: set[str] = field(default_factory=set)
    versions: set[tuple[str, str]] = field(default_factory=set)

    async def send(
        self,
        method: str,
        name: str,
        *,
        headers: Mapping[str, str] = _NONE,
        body: bytes = b"",
        parameters: tuple[tuple[str, str], ...] = (),
    ) -> Answer:
        """Send a request about a key of the probe's own.

        Raises:
            Failure: there is no answer.
        """
        if method == "PUT":
            self.written.add(name)
        request = self.request(method, self.folder + name, headers, body, parameters)
        self.requests += 1
        answer = await self.client.ask(request)
        version = answer.headers.get("x-amz-version-id", "null")
        if method in _CHANGES and version != "null" and not _has_version(parameters):
            self.versions.add((name, version))
        return answer

    async def purge(self) -> int:
        """Remove the versions that a bucket keeps; return how many could not be removed."""
        left = 0
        for name, version in sorted(self.versions):
            try:
                answer = await self.send("DELETE", name, parameters=(("versionId", version),))
            except Failure:
                left += 1
                continue
            left += answer.status not in OK
        return left

    async def ask(
        self,
        method: str,
        name: str,
        *,
        headers: Mapping[str, str] = _NONE,
        body: bytes = b"",
        parameters: tuple[tuple[str, str], ...] = (),
    ) -> Answer:
        """Send a request that has to be answered.

        Raises:
            BackendError: there is no answer.
        """
        try:
            return await self.send(method, name, headers=headers, body=body, parameters=parameters)
        except Failure as failure:
            request = self.request(method, self.folder + name, headers, body, parameters)
            raise problems.of_failure(failure, request, self.location) from failure

    async def put(self, name: str, body: bytes, headers: Mapping[str, str] = _NONE) -> str:
        """Put an object, which has to succeed; return its entity tag in its quotes.

        Raises:
            BackendError: it was refused, or there is no answer.
        """
        answer = await self.ask("PUT", name, body=body, headers=headers)
        if answer.status not in OK:
            request = self.request("PUT", self.folder + name, headers, body, ())
            raise problems.of_answer(answer, request, self.location)
        return answer.headers.get("etag", "")

    async def delete(self, name: str) -> None:
        """Delete an object, which has to succeed.

        Raises:
            BackendError: it was refused, or there is no answer.
        """
        answer = await self.ask("DELETE", name)
        if answer.status not in OK:
            request = self.request("DELETE", self.folder + name)
            raise problems.of_answer(answer, request, self.location)

    async def get(self, name: str) -> bytes | None:
        """Return an object's bytes; None where the answer has none."""
        answer = await self.ask("GET", name)
        return answer.body if answer.status in OK else None

    async def listed(self, folder: str) -> dict[str, str]:
        """Return up to a page of keys below a folder, each with the time at which it was put.

        Raises:
            UnreadableListingError: it is no document.
            BackendError: it is refused, or there is no answer.
        """
        prefix = self.client.address.prefix
        parameters = (
            ("list-type", "2"),
            ("encoding-type", "url"),
            ("max-keys", "1000"),
            ("prefix", prefix + folder),
        )
        request = Request(method="GET", operation="list", key=None, parameters=parameters)
        self.requests += 1
        try:
            answer = await self.client.ask(request)
        except Failure as failure:
            raise problems.of_failure(failure, request, self.location) from failure
        if answer.status not in OK:
            raise problems.of_answer(answer, request, self.location)
        try:
            root = parse(answer.body)
        except DocumentError as error:
            raise UnreadableListingError(str(error)) from error
        encoded = root.value("EncodingType") == "url"
        found = {}
        for item in root.all("Contents"):
            raw = item.value("Key")
            data = unquote_to_bytes(raw.replace("+", " ")) if encoded else raw.encode()
            key = data.decode(errors="replace").removeprefix(prefix)
            if key.startswith(folder):
                found[key.removeprefix(folder)] = item.value("LastModified")
        return found

    def request(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] = _NONE,
        body: bytes = b"",
        parameters: tuple[tuple[str, str], ...] = (),
    ) -> Request:
        """Return a request about a key, which is sent as it is."""
        return Request(
            method=method,
            operation=_VERBS[method],
            key=key,
            headers=headers,
            body=body,
            body_sha256=sha256(body).hexdigest(),
            parameters=parameters,
        )


def _has_version(parameters: tuple[tuple[str, str], ...]) -> bool:
    return any(name == "versionId" for name, _ in parameters)


def said(answer: Answer) -> str:
    """Return an answer's status, and its error's name where it has one."""
    return " ".join(part for part in (str(answer.status), problems.code_of(answer)) if part)
