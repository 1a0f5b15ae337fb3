"""A caller's condition, judged under the lease (rule 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.errors import BackendError, ObjectNotFoundError, PreconditionError

if TYPE_CHECKING:
    from crossfade.core.objects import Side
    from crossfade.files.leases import Held

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Entity tags without quotes; ``*`` stands for any object."""

    if_match: str | None = None
    if_none_match: str | None = None

    @classmethod
    def of(cls, if_match: str | None, if_none_match: str | None) -> Condition | None:
        """Return the condition, or None where the caller gave none."""
        if if_match is None and if_none_match is None:
            return None
        return cls(if_match=if_match, if_none_match=if_none_match)


async def judge(held: Held, condition: Condition) -> None:
    """Refuse the write when its condition does not hold.

    Raises:
        PreconditionError: it does not hold.
        BackendError: no side that was current could be asked.
    """
    sides = protocol.judging_sides(held.marked)
    tags: list[str | None] = []
    failure: BackendError | None = None
    for side in sides:
        try:
            tags.append(await _tag(held, side))
        except BackendError as error:
            error.side = side.value
            failure = failure or error
        if tags and not _needs_other(condition, tags[0]):
            break
    if not tags:
        assert failure is not None
        raise failure
    present = [tag for tag in tags if tag is not None]
    if condition.if_match is not None and not _matches(condition.if_match, present):
        raise _refused(held.key, "if_match", condition.if_match, present)
    if condition.if_none_match is not None and _matches(condition.if_none_match, present):
        raise _refused(held.key, "if_none_match", condition.if_none_match, present)


def _needs_other(condition: Condition, tag: str | None) -> bool:
    """Tell whether the other current side's tag can still change the judgement."""
    if tag is None:
        return False
    return any(
        wanted not in (None, ANY, tag) for wanted in (condition.if_match, condition.if_none_match)
    )


def _matches(wanted: str, present: list[str]) -> bool:
    return bool(present) if wanted == ANY else wanted in present


async def _tag(held: Held, side: Side) -> str | None:
    try:
        info = await held.engine.sides[side].stat(held.key)
    except ObjectNotFoundError:
        return None
    return held.engine.shown(side, info).etag


def _refused(key: str, name: str, wanted: str, present: list[str]) -> PreconditionError:
    state = f"its tag is {present[0]!r}" if present else "there is no such object"
    message = f"{name}={wanted!r} does not hold: {state}"
    return PreconditionError(message, operation="write", key=key, hint="nothing was written")
