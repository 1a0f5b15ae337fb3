"""What writers and copiers ask of a key, what they are told, and what became of their requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from crossfade.core.objects import Pair, Side
from crossfade.core.settings import Mirror

if TYPE_CHECKING:
    from crossfade.core.objects import Digest
    from crossfade.core.records import Operation


class Outcome(StrEnum):
    """What became of one side's request of an intent, retries included."""

    NOT_SENT = "not sent"
    OK = "ok"
    REFUSED = "refused for certain"
    UNKNOWN = "unknown"
    OK_AFTER_UNKNOWN = "ok after an attempt of unknown outcome"

    @property
    def taken(self) -> bool:
        """Whether the side took the write for certain."""
        return self in (Outcome.OK, Outcome.OK_AFTER_UNKNOWN)


NOTHING_SENT = Pair(Outcome.NOT_SENT, Outcome.NOT_SENT)


class Reason(StrEnum):
    """Why a writer or a copier has to wait."""

    LEASE = "another writer holds the key"
    COPIER = "the key is being copied"
    DOUBT = "something of unknown outcome may still show"
    COMPLETING = "the migration is being completed"
    MARKED = "the key is marked; repair decides"
    NOTHING = "there is nothing to do"
    CHANGED = "it changed while it was copied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a writer or copier asks for when it marks a key.

    Attributes:
        routed: the side that routing picked.
        conditional: whether the caller gave a condition.
        waited: seconds that this writer has waited for a copier.
        completes: the sides at which the body goes in parts, which a request then puts together.
    """

    token: str
    holder: str
    operation: Operation
    digest: Digest | None
    routed: Side = Side.SOURCE
    mirror: Mirror = Mirror.ASYNC
    conditional: bool = False
    waited: float = 0.0
    completes: frozenset[Side] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not now: why, and in how many seconds that may be over at the latest (0: any moment).

    Attributes:
        sides: those that are waited for, where the reason is doubt.
    """

    reason: Reason
    seconds: float = 0.0
    sides: tuple[Side, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The key is the holder's.

    Attributes:
        authority: the record's authority at the mark.
        primary: the side to send to first.
        both_current: both sides were current until this intent marked the key.
        digest: what the authority took last for certain.
        deleting, sealed, completed: as they were at the mark.
        mirror: when the other side is to be written; never `AUTO`.
        other_free: the side across was out of doubt at the mark, so that it may be asked too.
        took_over: the intent of a living copier was ended for this one.
    """

    token: str
    authority: Side
    primary: Side
    announced: frozenset[Side]
    both_current: bool
    digest: Digest | None
    deleting: bool
    sealed: bool
    completed: bool
    mirror: Mirror = Mirror.ASYNC
    other_free: bool = False
    took_over: bool = False
