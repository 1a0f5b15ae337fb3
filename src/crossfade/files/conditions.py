"""A caller's condition, judged under the lease (rule 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.core.arguments import check_text
from crossfade.errors import BackendError, ObjectNotFoundError, PreconditionError
from crossfade.files.deadlines import ask_until, share_until

if TYPE_CHECKING:
    from crossfade.core.objects import Side
    from crossfade.core.records import Operation
    from crossfade.files.leases import Held

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Entity tags without quotes; ``*`` stands for any object."""

    if_match: str | None = None
    if_none_match: str | None = None

    @classmethod
    def of(cls, if_match: str | None, if_none_match: str | None) -> Condition | None:
        """Return the condition, or None where the caller gave none.

        Raises:
            ConfigurationError: a tag that is no text.
        """
        if if_match is None and if_none_match is None:
            return None
        check_text("if_match", if_match)
        check_text("if_none_match", if_none_match)
        return cls(if_match=if_match, if_none_match=if_none_match)


async def judge(held: Held, operation: Operation, condition: Condition, deadline: float) -> None:
    """Refuse the write when its condition does not hold.

    A side after which another is asked is waited for half of the time until the deadline.

    Raises:
        PreconditionError: it does not hold.
        BackendError: a side that was current could not be asked, and the other's answer does
            not settle it.
    """
    sides = protocol.judging_sides(held.marked)
    tags: list[str | None] = []
    failure: BackendError | None = None
    for side in sides:
        try:
            last = side is sides[-1]
            until = None if last else share_until(held.engine.clock(), deadline)
            tags.append(await _tag(held, side, until))
        except BackendError as error:
            error.side = side.value
            failure = failure or error
        if tags and not _needs_other(condition, tags[0]):
            break
    if not tags:
        assert failure is not None
        raise failure
    present = [tag for tag in tags if tag is not None]
    wanted = {"if_match": condition.if_match, "if_none_match": condition.if_none_match}
    for name, tag in wanted.items():
        if tag is None:
            continue
        matches = _matches(tag, present)
        if failure is not None and present and not matches:
            # The side that did not answer may be the one whose tag it is.
            raise failure
        if matches is not (name == "if_match"):
            raise _refused(held.key, operation, f"{name}={tag!r}", present)


def _needs_other(condition: Condition, tag: str | None) -> bool:
    """Tell whether the other current side's tag can still change the judgement."""
    if tag is None:
        return False
    return any(
        wanted not in (None, ANY, tag) for wanted in (condition.if_match, condition.if_none_match)
    )


def _matches(wanted: str, present: list[str]) -> bool:
    return bool(present) if wanted == ANY else wanted in present


async def _tag(held: Held, side: Side, until: float | None) -> str | None:
    stat = held.engine.sides[side].stat(held.key)
    try:
        info = await ask_until(until, stat, operation="stat", key=held.key)
    except ObjectNotFoundError:
        return None
    return held.engine.shown(side, info).etag


def _refused(
    key: str, operation: Operation, condition: str, present: list[str]
) -> PreconditionError:
    state = f"its tag is {present[0]!r}" if present else "there is no such object"
    message, hint = f"{condition} does not hold: {state}", "nothing was changed"
    return PreconditionError(message, operation=operation.verb, key=key, hint=hint)
