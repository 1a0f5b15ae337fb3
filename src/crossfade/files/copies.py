"""What comes of an attempt to copy a key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from crossfade.core.objects import Pair, Side
from crossfade.errors import BackendError

if TYPE_CHECKING:
    from crossfade.core.intents import Reason


class Copied(StrEnum):
    """What came of an attempt to copy a key."""

    CLOSED = "closed"
    SAME = "the same already"
    EXTRA = "an extra, left alone"
    DAMAGED = "damaged, marked"
    LATER = "not now"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What came of it, and both entity tags and bytes where the key was closed."""

    result: Copied
    tags: Pair[str] | None = None
    size: int = 0
    reason: Reason | None = None
    error: BackendError | None = None


def tags_in_order(authority: Side, mine: str, other: str) -> Pair[str]:
    """Return the tags of the authority and of the side across as those of source and target."""
    return Pair(mine, other) if authority is Side.SOURCE else Pair(other, mine)


def broken(error: Exception, key: str) -> BackendError:
    """Return what broke a copy off as an error of a backend, if it is not one already."""
    if isinstance(error, BackendError):
        return error
    found = BackendError(f"the copy broke off: {error}", operation="write", key=key)
    found.__cause__ = error
    return found
