"""What the catalog holds: records of open keys, ranges, extras, and the migration's own row.

Times are seconds of the catalog's clock (`Catalog.now`), which never jumps; they mean nothing
outside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from crossfade.core.objects import Digest, Pair, Side

T = TypeVar("T")


class Operation(StrEnum):
    """What an intent is about to do to its key."""

    PUT = "put"
    DELETE = "delete"
    COPY = "copy"

    @property
    def verb(self) -> str:
        """What a backend calls it, and so an error's ``operation``."""
        return "delete" if self is Operation.DELETE else "write"


class MarkKind(StrEnum):
    """Why the copier leaves an open key alone."""

    DAMAGED = "damaged"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The one mutation of a key that is in flight; a lease.

    Attributes:
        token: names this intent and never repeats.
        holder: the process that holds it.
        lease_until: when it lapses.
        announced: the sides that a request of it may go to.
        opened: whether it opened the key.
        completes: the sides at which a request of it puts parts together, which may land later
            than any other.
    """

    token: str
    holder: str
    lease_until: float
    operation: Operation
    digest: Digest | None
    announced: frozenset[Side]
    opened: bool
    completes: frozenset[Side] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A finding on an open key, with both entity tags as they were found (None: absent)."""

    kind: MarkKind
    tags: Pair[str | None]
    since: float


NO_DOUBT: Pair[float | None] = Pair(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An open key: the side that answers for it, and what is under way.

    Attributes:
        doubt: until when something of unknown outcome may still show, for each side.
        paired: the key was closed in a sealed range when it opened.
        deleting: a delete was sent to the authority, and not refused for certain, since it last
            took a put for certain.
        digest: what the authority took last for certain; None when that is not known.
        attempts: failed attempts of the copier; ``next_attempt`` is when it tries again.
    """

    authority: Side
    intent: Intent | None = None
    doubt: Pair[float | None] = NO_DOUBT
    paired: bool = True
    deleting: bool = False
    digest: Digest | None = None
    mark: Mark | None = None
    since: float = 0.0
    attempts: int = 0
    next_attempt: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRange:
    """The keys from ``start`` up to, not including, ``end`` (None: no bound)."""

    start: str
    end: str | None
    sealed: bool = False

    def holds(self, key: str) -> bool:
        """Tell whether the key lies in the range."""
        return self.start <= key and (self.end is None or key < self.end)


WHOLE = KeyRange(start="", end=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The last full verification pass over all ranges.

    Attributes:
        begun_at, ended_at: the catalog's clock.
        ended_wall: seconds since 1970, to be shown.
        keys: how many were compared; ``drift`` how many differed; ``unconfirmed`` how many were
            held by writers until the pass ended.
    """

    begun_at: float
    ended_at: float
    ended_wall: float
    keys: int
    drift: int
    unconfirmed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRow:
    """The migration's own row: it is read with every look at a key.

    Attributes:
        basis_points: share of the target, 0 to 10,000.
        version: grows by one with every change that is decided on the row itself.
        known_wall: since when the catalog knows the migration, in seconds since 1970; None in a
            row of a release that did not keep it.
        begun_at: when the operator said that every writer goes through the facade.
        completing_until: new marks wait until then; None when nobody completes.
        changed_at: the last seal or repair; a proof begun before it is stale.
        halted: an emergency rollback happened since the percentage was set last.
        late_max, look_max, late_complete_max: the times of rule 6 that every process of the
            migration uses, in seconds; None in a row of a release that did not keep them.
    """

    name: str
    source: str
    target: str
    salt: str
    algorithm: str
    basis_points: int = 0
    version: int = 0
    known_wall: float | None = None
    begun_at: float | None = None
    completed: bool = False
    completing_until: float | None = None
    changed_at: float = 0.0
    proof: Proof | None = None
    halted: bool = False
    late_max: float | None = None
    look_max: float | None = None
    late_complete_max: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One snapshot of what the catalog says of a key.

    Attributes:
        sealed: whether the range that holds the key is sealed.
        extra: whether the key is noted as an extra; only looked up inside a transaction.
        verified: whether every range is sealed; only looked up inside a transaction.
        now: the catalog's clock.
    """

    key: str
    record: Record | None
    sealed: bool
    migration: MigrationRow
    now: float
    extra: bool = False
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """What a rule decided in a transaction.

    Attributes:
        record: the key's record afterwards; None closes it.
        answer: told to who asked.
        extra: True notes the key as an extra, False drops the note, None leaves it.
        repaired: whether a repair changed something, so that older proofs are stale.
    """

    record: Record | None
    answer: T
    extra: bool | None = None
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """One snapshot of the open keys and the ranges of an interval.

    Attributes:
        records: open keys in key order, with their records.
        ranges: the ranges that meet the interval, in key order, whole.
        extras: noted extras in the interval, in key order.
    """

    records: tuple[tuple[str, Record], ...]
    ranges: tuple[KeyRange, ...]
    extras: tuple[str, ...]
    migration: MigrationRow
    now: float


@dataclass(frozen=True, slots=True)
class Census:
    """One snapshot of what `complete`, `status` and the state of a migration depend on.

    Attributes:
        open_count: open keys; ``open_keys`` names at most a hundred of them.
        unsealed: ranges not sealed; ``extras`` noted extras.
        marked: keys marked damaged or drift; ``in_doubt``: with a side in doubt.
        oldest_since: the catalog time at which the oldest open key opened.
    """

    migration: MigrationRow
    now: float
    open_count: int
    open_keys: tuple[str, ...]
    unsealed: int
    sealed: int
    extras: int
    marked: int
    in_doubt: int
    oldest_since: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A named lease between processes; ``epoch`` grows with every new holder."""

    name: str
    holder: str
    epoch: int
    until: float
