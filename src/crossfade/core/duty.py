"""When recovery or the copier can work on an open key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossfade.core.records import Record


def due_at(record: Record, *, completed: bool) -> float | None:
    """Return from when on a worker can do something for the key; None while only repair can.

    An intent is recovered once its lease lapsed. Without one the key is copied once no side is in
    doubt and its ``next_attempt`` has come, but not while it is marked. After `complete` there is
    nothing to copy: the record goes as soon as neither side is in doubt.
    """
    if record.intent is not None:
        return record.intent.lease_until
    quiet_at = max(record.doubt.source or 0.0, record.doubt.target or 0.0)
    if completed:
        return quiet_at
    return None if record.mark is not None else max(quiet_at, record.next_attempt)


def is_due(record: Record, now: float, *, completed: bool) -> bool:
    """Tell whether a worker can do something for the key now."""
    at = due_at(record, completed=completed)
    return at is not None and at <= now
