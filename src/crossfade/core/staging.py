"""Large bodies: where they are staged before a mark, and what must hold under the lease."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.core import protocol
from crossfade.core.intents import Reason, Wait
from crossfade.core.objects import Side
from crossfade.core.records import Decision
from crossfade.core.settings import Mirror

if TYPE_CHECKING:
    from crossfade.core.intents import Ask, Marked
    from crossfade.core.objects import ObjectInfo
    from crossfade.core.records import Look


def sides_to_stage(look: Look, ask: Ask) -> tuple[Side, ...]:
    """Return the sides that a mark would send to now, the primary first.

    While nothing may be sent to any side there is none: the mark waits for one.
    """
    record = look.record
    primary = protocol.choose_primary(look, record, ask.routed)
    if primary is None:
        return ()
    free = record is None or protocol.sendable(record, primary.other, look.now)
    if ask.mirror is Mirror.ASYNC or look.migration.completed or not free:
        return (primary,)
    return (primary, primary.other)


def may_fall_back(look: Look, primary: Side) -> bool:
    """Tell whether a write that its primary does not take may go to the other side now."""
    if look.migration.completed:
        return False
    return look.record is None or protocol.sendable(look.record, primary.other, look.now)


def copied_from(look: Look, *, backfill: bool) -> Side | Wait:
    """Return the side that a copy would be read from now, or why there is none.

    It is read without a lease, so that nothing is promised; `copy_stands` is asked under it.
    """
    record = look.record
    if look.migration.completed:
        return Wait(reason=Reason.NOTHING)
    if record is None:
        if look.sealed or not backfill:
            return Wait(reason=Reason.NOTHING)
        return Side.SOURCE
    if record.intent is not None:
        return Wait(reason=Reason.LEASE, seconds=max(0.0, record.intent.lease_until - look.now))
    return protocol.copy_refusal(look) or record.authority


def copy_stands(
    marked: Marked, side: Side, read: ObjectInfo, found: ObjectInfo | None, kept: frozenset[str]
) -> bool:
    """Rule 7: what a copier read before it marked the key counts only if it is still there.

    Args:
        marked: the copier's intent.
        side: the side that was read.
        read: what it held then.
        found: what it holds under the lease.
        kept: the attributes that it declares to keep.
    """
    return marked.authority is side and found is not None and same_version(read, found, kept)


def same_version(read: ObjectInfo, found: ObjectInfo, kept: frozenset[str]) -> bool:
    """Tell whether a side says the same of an object: tag, size, headers and metadata."""
    if (read.etag, read.size) != (found.etag, found.size):
        return False
    if read.attributes is None or found.attributes is None:
        return read.attributes is found.attributes
    return read.attributes.same(found.attributes, kept)


def put_back(look: Look, token: str) -> Decision[bool]:
    """End a copier's own intent, of which nothing was sent, and leave the key as it was."""
    record = look.record
    if record is None or not protocol.is_own(record, token):
        return Decision(record, answer=False)
    return Decision(replace(record, intent=None), answer=True)


def put_off(look: Look, seconds: float) -> Decision[None]:
    """Keep other copiers from a free key while one reads it; writers do not care."""
    record = look.record
    if record is None or record.intent is not None:
        return Decision(record, answer=None)
    until = max(record.next_attempt, look.now + seconds)
    return Decision(replace(record, next_attempt=until), answer=None)
