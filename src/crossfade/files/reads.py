"""Get and head: look, ask, look again (rules 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

import anyio

from crossfade.core import protocol
from crossfade.core.facts import Role
from crossfade.errors import (
    BackendError,
    BackendUnavailableError,
    IntegrityError,
    InvariantError,
    ObjectNotFoundError,
)
from crossfade.files.deadlines import ask_until, let_go, share_until
from crossfade.files.retries import AgainError, is_retryable, retrying

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from crossfade.core.objects import ByteRange, ObjectInfo, Side
    from crossfade.core.records import Look
    from crossfade.files.engine import Engine
    from crossfade.ports import Backend, ObjectStream

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What a current side answered, or that it has no such object."""

    side: Side
    value: T | None
    missing: ObjectNotFoundError | None


class Question(Protocol[T]):
    """What to ask a side, and what to do with an answer that has begun."""

    operation: ClassVar[str]
    key: str

    def ask(self, backend: Backend) -> Awaitable[T]:
        """Ask a side."""

    def tag(self, answer: T) -> str:
        """Return the answer's entity tag."""

    async def drop(self, answer: T) -> None:
        """Let go of an answer that does not count."""


@dataclass(slots=True)
class Description:
    """Describe an object."""

    operation: ClassVar[str] = "stat"
    key: str

    def ask(self, backend: Backend) -> Awaitable[ObjectInfo]:
        return backend.stat(self.key)

    def tag(self, answer: ObjectInfo) -> str:
        return answer.etag

    async def drop(self, answer: ObjectInfo) -> None:
        """Do nothing: nothing is held."""


@dataclass(slots=True)
class Content:
    """Begin to read an object."""

    operation: ClassVar[str] = "read"
    key: str
    byte_range: ByteRange | None

    def ask(self, backend: Backend) -> Awaitable[ObjectStream]:
        return backend.read(self.key, byte_range=self.byte_range)

    def tag(self, answer: ObjectStream) -> str:
        return answer.info.etag

    async def drop(self, answer: ObjectStream) -> None:
        await let_go(answer)


class Reader:
    """Carries out gets and heads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def head(self, key: str, subject: str | None, timeout: float) -> ObjectInfo:
        """Describe an object as a side describes it that is current.

        Raises:
            ObjectNotFoundError: a current side said that there is none.
        """
        answered = await self.describe(key, subject, self._engine.clock() + timeout)
        return self._found(answered)

    async def describe(
        self, key: str, subject: str | None, deadline: float
    ) -> Answered[ObjectInfo]:
        """Describe an object, absent ones too."""
        question = Description(key)
        answered = await self._answer(question, subject, deadline)
        if answered.value is None:
            return answered
        info = self._engine.shown(answered.side, answered.value)
        return Answered(answered.side, info, None)

    async def get(
        self, key: str, subject: str | None, byte_range: ByteRange | None, timeout: float
    ) -> tuple[Side, ObjectStream]:
        """Begin to read an object on a side that is current.

        Raises:
            ObjectNotFoundError: a current side said that there is none.
            IntegrityError: the object is known to be damaged.
            BackendError: no side that may answer could be read.
        """
        question = Content(key, byte_range)
        answered = await self._answer(question, subject, self._engine.clock() + timeout)
        return answered.side, self._found(answered)

    def _found(self, answered: Answered[T]) -> T:
        if answered.value is None:
            assert answered.missing is not None
            answered.missing.side = answered.side.value
            raise answered.missing
        return answered.value

    async def _answer(
        self, question: Question[T], subject: str | None, deadline: float
    ) -> Answered[T]:
        """Ask until an answer counts; a side that fails is asked again with growing pauses."""
        with anyio.CancelScope(deadline=deadline):
            try:
                return await self._until_current(question, subject, deadline)
            except BackendError as error:
                if not error.retryable or self._engine.limits.attempts_max == 1:
                    raise
            return await self._again(question, subject, deadline)
        message = "no side that may answer did so before the deadline"
        raise BackendUnavailableError(message, operation=question.operation, key=question.key)

    async def _again(
        self, question: Question[T], subject: str | None, deadline: float
    ) -> Answered[T]:
        attempts = self._engine.limits.attempts_max - 1
        async for attempt in retrying(is_retryable, attempts + 1):
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise AgainError
                return await self._until_current(question, subject, deadline)
        message = f"{question.key!r} was asked for without an outcome"
        raise InvariantError(message)

    async def _until_current(
        self, question: Question[T], subject: str | None, deadline: float
    ) -> Answered[T]:
        while True:
            answered = await self._once(question, subject, deadline)
            if answered is not None:
                return answered
            self._engine.probe.reached("second look that starts over")

    async def _once(
        self, question: Question[T], subject: str | None, deadline: float
    ) -> Answered[T] | None:
        engine, key = self._engine, question.key
        before = await engine.look(key)
        looked_at = engine.clock()
        side = protocol.first_side(before, engine.route(before.migration, key=key, subject=subject))
        answered = await self._ask_either(question, before, side, deadline)
        if before.migration.completed:
            return answered
        counts = False
        try:
            after = await engine.look(key)
            counts = self._counts(question, answered, before, after, looked_at)
        finally:
            if not counts and answered.value is not None:
                await question.drop(answered.value)
        return answered if counts else None

    def _counts(
        self,
        question: Question[T],
        answered: Answered[T],
        before: Look,
        after: Look,
        looked_at: float,
    ) -> bool:
        """Tell at the second look whether an answer counts.

        Raises:
            IntegrityError: it is known to be damaged.
        """
        engine, side = self._engine, answered.side
        late = protocol.looked_too_late(engine.clock() - looked_at, engine.timing)
        if late or not protocol.still_current(after, side):
            return False
        tag = None if answered.value is None else question.tag(answered.value)
        if protocol.reads_damage(before, after, tag, side):
            raise damaged(question.key, side)
        return True

    async def _ask_either(
        self, question: Question[T], before: Look, side: Side, deadline: float
    ) -> Answered[T]:
        """Ask a side; where the other was current too, that one when the first one fails.

        It then has half of the time that is left, and of that between two looks.
        """
        engine = self._engine
        if not (engine.settings.fallback and protocol.may_fall_back(before)):
            return await self._ask(question, side, Role.SERVE)
        until = share_until(engine.clock(), deadline, engine.timing.look_max / 2)
        try:
            return await self._ask(question, side, Role.SERVE, until)
        except BackendError as error:
            try:
                return await self._ask(question, side.other, Role.FALLBACK)
            except BackendError:
                raise error from None

    async def _ask(
        self, question: Question[T], side: Side, role: Role, until: float | None = None
    ) -> Answered[T]:
        engine, since = self._engine, self._engine.clock()
        asked = question.ask(engine.sides[side])
        try:
            value = await ask_until(until, asked, operation=question.operation, key=question.key)
        except ObjectNotFoundError as missing:
            engine.observe(question.operation, side, role, None, since)
            return Answered(side, None, missing)
        except BackendError as error:
            error.side = side.value
            engine.observe(question.operation, side, role, error.code, since)
            raise
        engine.observe(question.operation, side, role, None, since)
        return Answered(side, value, None)


def damaged(key: str, side: Side) -> IntegrityError:
    """Return the error for an object that is not what its side took."""
    message = "the object is damaged: it is not what the side took"
    hint = "`crossfade key` shows both sides; `crossfade repair` decides between them"
    return IntegrityError(message, operation="read", key=key, side=side.value, hint=hint)
