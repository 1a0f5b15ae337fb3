"""What the core and the movers need of the outside, as small protocols.

A backend is one side's store, a catalog keeps the records of open keys, proofs keep what a
verification pass found. Each has a memory twin that is product, and one conformance suite in
`crossfade.testing` that every implementation passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from crossfade.core.capabilities import Capabilities
    from crossfade.core.facts import Fact
    from crossfade.core.objects import Attributes, ByteRange, ObjectInfo
    from crossfade.core.probed import ProbeReport
    from crossfade.core.proofs import ProofEntry
    from crossfade.core.records import (
        Census,
        Decision,
        Interval,
        KeyRange,
        Lease,
        Look,
        MigrationRow,
        Record,
    )

T = TypeVar("T")


class Body(Protocol):
    """Bytes to be written, which can be read from the start as often as needed."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    @property
    def sha256(self) -> str:
        """Hex digest of all bytes; a backend refuses a body that turns out to differ."""

    @property
    def data(self) -> bytes | None:
        """All bytes where they are in memory, else None."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Read from the start; each chunk is at most `Limits.chunk_bytes` long."""


class ObjectStream(Protocol):
    """A response that has begun: the store has chosen the version that it returns."""

    @property
    def info(self) -> ObjectInfo:
        """The object's description, attributes included."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Read the bytes once; IntegrityError when they end early."""

    async def aclose(self) -> None:
        """Let go of the response; safe to call twice."""


class Page(Protocol):
    """One page of a listing."""

    @property
    def objects(self) -> Sequence[ObjectInfo]:
        """In key order (bytes of UTF-8), without attributes."""

    @property
    def truncated(self) -> bool:
        """Whether more keys follow the last one."""


class Backend(Protocol):
    """One side's store: a small port, everything else is a declared capability.

    Every verb raises `BackendError` subclasses alone. Anything but `OutcomeUnknownError` from
    `write` or `delete` says that the request was refused for certain. No key is normalised.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this side can do."""

    @property
    def location(self) -> str:
        """Where it is, to be shown: a URL without secrets."""

    async def prepare(self, *, create: bool) -> None:
        """Check that the side is there and, with ``create``, that it can be written."""

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object, attributes included; ObjectNotFoundError when there is none."""

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        """Begin to read an object; PreconditionError when its tag is not ``if_match``."""

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        """Put an object whole, durably, replacing what was there; never a part of it."""

    async def delete(self, key: str) -> None:
        """Delete an object durably; an absent one is no error."""

    async def list(self, *, prefix: str = "", after: str = "", limit: int | None = None) -> Page:
        """Return a page of the keys with the prefix that are greater than ``after``."""

    async def close(self) -> None:
        """Let go of connections and threads; safe to call twice."""


@runtime_checkable
class Probeable(Protocol):
    """A backend that can find out by doing what its store can."""

    async def probe(self) -> ProbeReport:
        """Try everything under `RESERVED_PREFIX`, which no listing shows, and clean up.

        Raises:
            BackendError: nothing can be written there, or the store went away.
        """


class Staged(Protocol):
    """A body that a side has taken in under a key, and of which nothing shows yet."""

    async def complete(self) -> ObjectInfo:
        """Put it into its place, as a write does, in the one request that changes anything.

        It may be sent again after an error, and then is of the same body. Once it was answered
        it changes nothing any more.

        Raises:
            OutcomeUnknownError: it may be in its place, or may yet get there.
            BackendError: refused for certain; after `drop` too.
        """

    async def drop(self) -> None:
        """Let go of it, in a bounded time and without an error; an object is never touched.

        After a completion of unknown outcome the store may keep the bytes: to take them away
        beside one that is still under way could break the object.
        """


@runtime_checkable
class Stager(Protocol):
    """What a side has beside `Backend` that declares `Capabilities.staged_bytes_min`."""

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> Staged:
        """Take a body in, so that completing it takes no time; nothing is changed.

        It repeats by itself what fails for a moment. Where it raises, or is cancelled, nothing
        of the body is left.

        Args:
            key: where it will be.
            body: of at least `Capabilities.staged_bytes_min` bytes.
            attributes: kept beside it.
            part_bytes: the size of its parts, where the side can choose it; its own if None.
        """

    async def part_bytes(self, info: ObjectInfo) -> int | None:
        """Return the size of the parts that this version was put in, where that is known."""


class Catalog(Protocol):
    """Crossfade's own state: open keys, ranges, extras, migrations and named leases.

    Each look is one snapshot; each change is one durable transaction that runs a pure decision.
    A decision may be run more than once and must not touch anything but its arguments.

    Every verb raises `StoreUnavailableError`, `StoreFullError`, `StoreReplacedError` or
    `StoreCorruptError` when the store fails; nothing of a transaction that raised has happened.
    """

    def now(self) -> float:
        """Return the catalog's clock, in seconds; it never jumps."""

    async def prepare(self, row: MigrationRow) -> MigrationRow:
        """Return the migration's row, made from ``row`` with one unsealed range if it is new.

        Raises:
            MigrationExistsError: it exists with another source, target, salt or algorithm.
        """

    async def migrations(self) -> Sequence[MigrationRow]:
        """Return every row, by name."""

    async def look(self, migration: str, key: str) -> Look:
        """Look one key up; MigrationNotFoundError when there is no such migration."""

    async def look_between(
        self, migration: str, start: str, end: str | None, limit: int | None = None
    ) -> Interval:
        """Look at ``start <= key < end``; at most ``limit`` open keys and extras, the first."""

    async def change(self, migration: str, key: str, decide: Callable[[Look], Decision[T]]) -> T:
        """Decide on one key in one transaction and return the decision's answer."""

    async def change_many(
        self, migration: str, decides: Sequence[tuple[str, Callable[[Look], Decision[T]]]]
    ) -> list[T]:
        """Decide on several keys in one transaction, each for itself."""

    async def change_row(
        self, migration: str, decide: Callable[[Census], tuple[MigrationRow, T]]
    ) -> T:
        """Decide on the migration's row, alone: no mark is under way beside it.

        A row that differs from the one looked at gets its version raised by one.
        """

    async def census(self, migration: str) -> Census:
        """Count what is open, in doubt, marked, unsealed and extra."""

    async def due(self, migration: str, limit: int) -> Sequence[tuple[str, Record]]:
        """Return open keys that recovery or the copier can work on now, longest open first.

        These are: keys whose intent's lease lapsed; and keys without an intent, without a mark,
        without doubt, whose ``next_attempt`` has come. After `complete`: keys without an intent
        and without doubt.
        """

    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        """Seal an interval in one transaction if the decision allows it, splitting ranges.

        Neighbouring sealed ranges are merged. `changed_at` of the row becomes now.

        Raises:
            StaleEpochError: ``lease`` is no longer the named lease's newest epoch.
        """

    async def unseal(self, migration: str) -> None:
        """Make the whole key space one unsealed range: the catalog is not to be trusted."""

    async def ranges(self, migration: str) -> Sequence[KeyRange]:
        """Return all ranges in key order; together they hold every key."""

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take, or renew, a named lease; None while another holder has it."""

    async def release_lease(self, lease: Lease) -> None:
        """Give a named lease back if it is still held at that epoch."""

    async def close(self) -> None:
        """Finish what was submitted and let go of the store."""


class ProofWriter(Protocol):
    """A proof being written, entry by entry in key order."""

    async def add(self, entries: Sequence[ProofEntry]) -> None:
        """Append entries whose keys are greater than all before."""

    async def commit(self) -> None:
        """Replace the migration's last proof by this one, whole and durably."""

    async def abort(self) -> None:
        """Drop what was written; the last proof stays."""


class Proofs(Protocol):
    """What the last verification pass found, key by key."""

    async def begin(self, migration: str) -> ProofWriter:
        """Begin a new proof beside the last one."""

    def read(self, migration: str) -> AsyncIterator[ProofEntry]:
        """Read the last proof in key order; nothing when there is none."""

    async def find(self, migration: str, key: str) -> ProofEntry | None:
        """Return the key's entry of the last proof."""


class Observer(Protocol):
    """Hears every fact of the data plane; it must neither fail nor wait."""

    def observe(self, fact: Fact) -> None:
        """Take note of what happened."""


@runtime_checkable
class Probe(Protocol):
    """Named points in the data plane, for simulation and for kill tests."""

    def reached(self, name: str) -> None:
        """Note that an interesting state was reached (a mark)."""

    async def point(self, name: str) -> None:
        """Stand at a point at which a process may be killed or held up."""
