"""Looking at a bucket and its objects without changing anything.

What a server does not implement, or these credentials may not see, is unknown. Some answer with
something else, such as a listing, so the document's name is looked at too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crossfade.backends.s3 import problems
from crossfade.backends.s3.bucket_rules import (
    ARCHIVES,
    acl_words,
    lifecycle,
    object_lock,
    versioning,
)
from crossfade.backends.s3.client import Client, Failure, Request
from crossfade.backends.s3.documents import DocumentError, Element, parse
from crossfade.backends.s3.headers import attributes_of, clock_ahead
from crossfade.core.objects import NO_ATTRIBUTES
from crossfade.core.surroundings import Condition, Known
from crossfade.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crossfade.backends.s3.addresses import S3Address
    from crossfade.backends.s3.client import Answer
    from crossfade.core.objects import Attributes

_OK, _NOT_FOUND = 200, 404
# Servers do not agree on the root's name.
_VERSIONING = "VersioningConfiguration GetBucketVersioningResponse"
_NOT_CARRIED = {
    "x-amz-tagging-count": "tags",
    "x-amz-storage-class": "storage class",
    "x-amz-server-side-encryption": "encryption",
    "x-amz-server-side-encryption-customer-algorithm": "encryption with a customer's key",
    "x-amz-website-redirect-location": "website redirect",
    "x-amz-object-lock-mode": "retention",
    "x-amz-object-lock-legal-hold": "legal hold",
}
"""Headers of an object that Crossfade does not carry."""
_NOTHING = {"x-amz-tagging-count": {"0"}, "x-amz-object-lock-legal-hold": {"OFF"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a HEAD of an object said.

    Attributes:
        attributes: as the server has them, whatever the side declares to keep.
        not_carried: what else it has, by name.
        archived: it has to be restored before it can be read.
    """

    attributes: Attributes = NO_ATTRIBUTES
    not_carried: Mapping[str, str] = field(default_factory=dict)
    archived: bool = False


class Inspector:
    """Asks about one bucket, or a folder of it; it sends GET and HEAD alone.

    Args:
        address: where it is.
        environment: where credentials are looked for; the process's own by default.

    Attributes:
        requests: how many were sent.
        seconds: how long they took together.
        clock_ahead_seconds: how far the server's clock is ahead; None while nobody knows.
    """

    def __init__(self, address: S3Address, *, environment: Mapping[str, str] | None = None) -> None:
        self._client = Client(address, environment=environment)
        self._location = address.place
        self.requests = 0
        self.seconds = 0.0
        self.clock_ahead_seconds: float | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def object(self, key: str) -> Looked:
        """Look at an object.

        Raises:
            BackendError: it may not be read, is not there, or there is no answer.
        """
        request = Request(method="HEAD", operation="stat", key=key)
        answer = await self._ask(request)
        if answer.status != _OK:
            raise problems.of_answer(answer, request, self._location)
        headers = answer.headers
        kept = {
            name: headers[header]
            for header, name in _NOT_CARRIED.items()
            if header in headers and headers[header] not in _NOTHING.get(header, ())
        }
        storage = headers.get("x-amz-storage-class", "")
        restored = 'ongoing-request="false"' in headers.get("x-amz-restore", "")
        archived = storage in ARCHIVES and not restored
        return Looked(attributes=attributes_of(headers), not_carried=kept, archived=archived)

    async def grants(self, key: str) -> Condition:
        """Tell whether others than its owner may do something with an object."""
        answered = await self._part("acl", "AccessControlPolicy", (), key)
        if not isinstance(answered, Element):
            return Condition(name="acl", known=Known.UNKNOWN, words=answered or "")
        words = acl_words(answered)
        return Condition(
            name="acl", known=Known.YES if words else Known.NO, words=problems.plain(words)
        )

    async def bucket(self) -> tuple[Condition, ...]:
        """Look at everything that surrounds the objects."""
        return (
            await self._of("versioning", "versioning", _VERSIONING, (), versioning),
            await self._of(
                "object_lock",
                "object-lock",
                "ObjectLockConfiguration",
                ("ObjectLockConfigurationNotFoundError",),
                object_lock,
            ),
            *await self._lifecycle(),
            await self._of(
                "cors", "cors", "CORSConfiguration", ("NoSuchCORSConfiguration",), _cors
            ),
            await self._public(),
            await self._of(
                "encryption",
                "encryption",
                "ServerSideEncryptionConfiguration",
                ("ServerSideEncryptionConfigurationNotFoundError",),
                _encryption,
            ),
        )

    async def _of(
        self, name: str, part: str, root: str, none: tuple[str, ...], read: Callable[[Element], str]
    ) -> Condition:
        answered = await self._part(part, root, none)
        if answered is None:
            return Condition(name=name, known=Known.NO)
        if isinstance(answered, str):
            return Condition(name=name, known=Known.UNKNOWN, words=answered)
        words = read(answered)
        return Condition(
            name=name, known=Known.YES if words else Known.NO, words=problems.plain(words)
        )

    async def _lifecycle(self) -> tuple[Condition, ...]:
        names = ("expires", "archives", "aborts_uploads")
        answered = await self._part(
            "lifecycle", "LifecycleConfiguration", ("NoSuchLifecycleConfiguration",)
        )
        if isinstance(answered, str):
            return tuple(
                Condition(name=name, known=Known.UNKNOWN, words=answered) for name in names
            )
        found = lifecycle(answered, self._client.address.prefix) if answered else {}
        return tuple(
            Condition(
                name=name,
                known=Known.YES if found.get(name) else Known.NO,
                words=problems.plain("; ".join(found.get(name, ()))),
            )
            for name in names
        )

    async def _public(self) -> Condition:
        """Tell whether anybody may read; what blocks that comes before what grants it."""
        block = await self._part(
            "publicAccessBlock",
            "PublicAccessBlockConfiguration",
            ("NoSuchPublicAccessBlockConfiguration",),
        )
        if isinstance(block, Element) and all(
            block.value(name) == "true" for name in ("IgnorePublicAcls", "RestrictPublicBuckets")
        ):
            return Condition(name="public", known=Known.NO, words="blocked for the whole bucket")
        policy = await self._part("policyStatus", "PolicyStatus", ("NoSuchBucketPolicy",))
        if isinstance(policy, Element) and policy.value("IsPublic").lower() == "true":
            return Condition(name="public", known=Known.YES, words="by the bucket's policy")
        acl = await self._part("acl", "AccessControlPolicy", ())
        if isinstance(acl, Element) and "everybody" in acl_words(acl):
            return Condition(name="public", known=Known.YES, words="by the bucket's ACL")
        unknown = next((part for part in (policy, acl) if isinstance(part, str)), "")
        known = Known.UNKNOWN if unknown else Known.NO
        return Condition(name="public", known=known, words=unknown)

    async def _part(
        self, part: str, root: str, none: tuple[str, ...], key: str | None = None
    ) -> Element | str | None:
        """Return a part of the bucket's settings; None where there is none; words if unknown."""
        request = Request(method="GET", operation="list", key=key, parameters=((part, ""),))
        try:
            answer = await self._ask(request)
        except BackendError as error:
            return error.message
        code = problems.code_of(answer)
        if answer.status == _NOT_FOUND and code in none:
            return None
        if answer.status != _OK:
            return f"?{part} is answered {answer.status} {code}".strip()
        try:
            found = parse(answer.body)
        except DocumentError:
            return f"?{part} is answered with no document"
        if found.name not in root.split():
            return f"?{part} is answered with {found.name[:40]!a}"
        return found

    async def _ask(self, request: Request) -> Answer:
        self.requests += 1
        before = time.time()
        try:
            answer = await self._client.ask(request)
        except Failure as failure:
            raise problems.of_failure(failure, request, self._location) from failure
        after = time.time()
        self.seconds += max(0.0, after - before)
        ahead = clock_ahead(answer.headers.get("date", ""), before, after)
        if ahead is not None:
            self.clock_ahead_seconds = ahead
        return answer


def _cors(root: Element) -> str:
    rules = list(root.all("CORSRule"))
    origins = sorted({origin.text for rule in rules for origin in rule.all("AllowedOrigin")})
    return f"{len(rules)} rules, for {', '.join(origins)[:120]}" if rules else ""


def _encryption(root: Element) -> str:
    found = {
        default.value("SSEAlgorithm")
        for rule in root.all("Rule")
        for default in rule.all("ApplyServerSideEncryptionByDefault")
    }
    return ", ".join(sorted(found))
