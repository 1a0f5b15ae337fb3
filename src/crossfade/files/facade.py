"""The facade: what an application calls instead of its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from crossfade.core.arguments import (
    check_body,
    check_callable,
    check_range,
    check_seconds,
    check_size,
    check_text,
    new_attributes,
    plain,
)
from crossfade.core.objects import ABSENT, Attributes, Digest, check_key
from crossfade.core.records import Operation
from crossfade.errors import BackendUnavailableError, ConfigurationError
from crossfade.files import bodies
from crossfade.files.backfill import Backfill
from crossfade.files.bodies import WatchedBody
from crossfade.files.conditions import Condition
from crossfade.files.copier import Copier
from crossfade.files.deadlines import let_go
from crossfade.files.listings import Lister
from crossfade.files.reads import Reader
from crossfade.files.recovery import Recovery
from crossfade.files.repair import Repair
from crossfade.files.requests import Mutation
from crossfade.files.verification import Verification
from crossfade.files.writes import Write, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from crossfade.core.objects import ByteRange, ObjectInfo, Side
    from crossfade.files.backfill_report import OnProgress
    from crossfade.files.bodies import Data, Progress
    from crossfade.files.engine import Engine
    from crossfade.files.verification import VerificationReport
    from crossfade.ports import ObjectStream

LEAST_SECONDS = 0.001
"""What is left at least of a copy's deadline for its put, which then says that it has passed."""


class ObjectReader:
    """An object that is being read; an asynchronous context manager.

    Attributes:
        info: its description, attributes included.
        side: the side that answers.
    """

    def __init__(self, info: ObjectInfo, side: Side, stream: ObjectStream) -> None:
        self.info = info
        self.side = side
        self._stream = stream
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._closed:
            message = f"the object {self.info.key!r} was closed"
            raise ConfigurationError(message, hint="read it before, or get it again")
        return self._stream.__aiter__()

    async def read(self) -> bytes:
        """Read all that is left.

        Raises:
            ConfigurationError: the object was closed.
        """
        return b"".join([chunk async for chunk in self])

    async def aclose(self) -> None:
        """Let go of the object; safe to call twice."""
        self._closed = True
        await let_go(self._stream)


class _Intake:
    """What a caller gave to be put: bytes in some form, their number, and who is told."""

    __slots__ = ("data", "progress", "size")

    def __init__(self, data: Data, size: int | None, progress: Progress | None) -> None:
        check_body(data)
        check_size(size)
        check_callable("progress", progress)
        self.data = data
        self.size = size
        self.progress = progress


class Files:
    """One migration's files; every call goes to a side that may answer."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.copier = Copier(engine)
        self.recovery = Recovery(engine, self.copier)
        self._reader = Reader(engine)
        self._writer = Writer(engine, self.copier)
        self._lister = Lister(engine, self._reader)

    async def put(  # noqa: D417 - the six headers are described together
        self,
        key: str,
        data: Data,
        *,
        subject: str | None = None,
        content_type: str | None = None,
        cache_control: str | None = None,
        content_disposition: str | None = None,
        content_encoding: str | None = None,
        content_language: str | None = None,
        expires: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        size: int | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Put an object whole; once this returns it is durable and every reader sees it.

        The six headers from ``content_type`` on are kept as they are given.

        Args:
            key: 1 to 1,024 bytes of UTF-8, kept as it is.
            data: bytes, a `pathlib.Path`, a binary file, or an (async) iterable of bytes. Text is
                refused: it could be meant as a path or as a body.
            subject: the user, or other unit, that routing sticks to.
            metadata: the user's own names and values, as text.
            if_match: the entity tag that the object must have; ``*`` for any object.
            if_none_match: a tag that it must not have; ``*``: it must be absent.
            size: the bytes that are announced; fewer or more are refused.
            progress: called with bytes done and bytes in all, for each side that is written.
            timeout: seconds for everything, from taking the body in on; 60 where not given. Where
                another side may be asked, the first one gets at most half of them.

        Raises:
            InvalidKeyError, ConfigurationError: an argument that is refused; nothing moved.
            PreconditionError: a condition does not hold; nothing was written.
            OutcomeUnknownError: it may have been written, or may yet be.
            BackendError: no side took it, and none may yet.
            LeaseHeldError, KeyInDoubtError: another writer, or doubt, to the deadline.
        """
        attributes = new_attributes(
            metadata,
            content_type=content_type,
            cache_control=cache_control,
            content_disposition=content_disposition,
            content_encoding=content_encoding,
            content_language=content_language,
            expires=expires,
        )
        condition = Condition.of(if_match, if_none_match)
        intake = _Intake(data, size, progress)
        return await self._put(
            key, intake, attributes, subject=subject, condition=condition, timeout=timeout
        )

    async def _put(
        self,
        key: str,
        intake: _Intake,
        attributes: Attributes,
        *,
        subject: str | None,
        condition: Condition | None,
        timeout: float | None,
    ) -> ObjectInfo:
        key = _checked(key, subject)
        deadline = self._deadline(timeout)
        body = await self._take_in(key, intake, deadline)
        mutation = Mutation(
            key=key,
            operation=Operation.PUT,
            body=WatchedBody(body, intake.progress) if intake.progress else body,
            attributes=attributes,
        )
        write = Write(
            mutation=mutation,
            digest=Digest(sha256=body.sha256, size=body.size, attributes=attributes),
            subject=subject,
            condition=condition,
            deadline=deadline,
            close=lambda: bodies.close(body),
        )
        info = await self._writer.write(write)
        assert info is not None
        return info

    async def _take_in(
        self, key: str, intake: _Intake, deadline: float
    ) -> bodies.BytesBody | bodies.FileBody:
        """Take the body in whole, before anything moves."""
        limits, since = self.engine.limits, self.engine.clock()
        if isinstance(intake.data, bytes):
            return await bodies.to_body(key, intake.data, limits, intake.size)
        with anyio.CancelScope(deadline=deadline):
            return await bodies.to_body(key, intake.data, limits, intake.size)
        message = f"the body did not arrive within {deadline - since:.3g} s; nothing was written"
        hint = "give a longer timeout=, or a body that is there already"
        raise BackendUnavailableError(message, operation="write", key=key, hint=hint)

    async def get(
        self,
        key: str,
        *,
        subject: str | None = None,
        range: ByteRange | None = None,  # noqa: A002 - the name that stores give it
        timeout: float | None = None,
    ) -> ObjectReader:
        """Begin to read an object.

        Args:
            key: the object's key.
            subject: the user, or other unit, that routing sticks to.
            range: the bytes that are wanted; all where not given.
            timeout: seconds until the response must have begun; 60 where not given. Where another
                side may be asked, the first one gets at most half of them.

        Raises:
            ObjectNotFoundError: a side that may answer said that there is none.
            IntegrityError: the object is known to be damaged.
            BackendError: no side that may answer could be read.
        """
        key = _checked(key, subject)
        check_range(range)
        side, stream = await self._reader.get(key, subject, range, self._timeout(timeout))
        return ObjectReader(self.engine.shown(side, stream.info), side, stream)

    async def head(
        self, key: str, *, subject: str | None = None, timeout: float | None = None
    ) -> ObjectInfo:
        """Describe an object, attributes included.

        Raises:
            ObjectNotFoundError: a side that may answer said that there is none.
        """
        key = _checked(key, subject)
        return await self._reader.head(key, subject, self._timeout(timeout))

    async def delete(
        self,
        key: str,
        *,
        subject: str | None = None,
        if_match: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Delete an object; once this returns it stays deleted. An absent one is no error.

        Raises:
            PreconditionError: ``if_match`` does not hold; nothing was deleted.
            OutcomeUnknownError: it may have been deleted, or may yet be.
            BackendError: no side took it, and none may yet.
        """
        key = _checked(key, subject)
        condition = Condition.of(if_match, None)
        mutation = Mutation(key=key, operation=Operation.DELETE, body=None, attributes=Attributes())
        write = Write(
            mutation=mutation,
            digest=ABSENT,
            subject=subject,
            condition=condition,
            deadline=self._deadline(timeout),
        )
        await self._writer.write(write)

    async def copy(
        self,
        source_key: str,
        target_key: str,
        *,
        subject: str | None = None,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Copy an object with its attributes: a read and a write.

        Raises:
            ObjectNotFoundError: there is nothing to copy.
        """
        deadline = self._deadline(timeout)
        async with await self.get(source_key, subject=subject, timeout=timeout) as obj:
            found = obj.info.attributes or Attributes()
            return await self.put(
                target_key,
                obj,
                subject=subject,
                content_type=found.content_type,
                cache_control=found.cache_control,
                content_disposition=found.content_disposition,
                content_encoding=found.content_encoding,
                content_language=found.content_language,
                expires=found.expires,
                metadata=found.metadata,
                size=obj.info.size,
                timeout=max(LEAST_SECONDS, deadline - self.engine.clock()),
            )

    def list(
        self,
        prefix: str = "",
        *,
        after: str = "",
        subject: str | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[ObjectInfo]:
        """Yield the objects with the prefix, after that key, in the byte order of UTF-8.

        Each page is current when it is yielded; ``timeout`` is in seconds for each page.
        """
        for name, text in (("prefix", prefix), ("after", after)):
            if text is None:
                raise ConfigurationError(f"{name} is None", hint="leave it out, or give a string")
            check_text(name, text)
        check_text("subject", subject)
        return self._lister.objects(prefix, after, subject, self._timeout(timeout))

    def backfill(self, *, on_progress: OnProgress | None = None) -> Backfill:
        """Prepare a run of backfill."""
        return Backfill(self.engine, self.copier, on_progress=on_progress)

    def verification(
        self, *, on_progress: Callable[[VerificationReport], None] | None = None
    ) -> Verification:
        """Prepare a verification pass."""
        return Verification(self.engine, on_progress=on_progress)

    def repair(self) -> Repair:
        """Prepare a repair."""
        return Repair(self.engine, self.copier)

    def _deadline(self, timeout: float | None) -> float:
        return self.engine.clock() + self._timeout(timeout)

    def _timeout(self, timeout: float | None) -> float:
        check_seconds("timeout", timeout)
        return self.engine.limits.timeout_seconds if timeout is None else timeout


def _checked(key: str, subject: str | None) -> str:
    check_key(key)
    check_text("subject", subject)
    return plain(key)
