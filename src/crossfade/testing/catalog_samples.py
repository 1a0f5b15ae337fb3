"""What the checks of catalogs share: rows, keys, records, and a clock that stands still."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from crossfade.core.objects import ABSENT, Attributes, Digest, Pair, Side
from crossfade.core.records import (
    Decision,
    Intent,
    Look,
    Mark,
    MarkKind,
    MigrationRow,
    Operation,
    Record,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from crossfade.ports import Catalog

    CatalogCheck: TypeAlias = Callable[[Catalog, "ManualClock"], Awaitable[None]]

T = TypeVar("T")

NAME = "avatars"
ROW = MigrationRow(name=NAME, source="memory://a", target="memory://b", salt="s", algorithm="1")
OTHER = replace(ROW, name="banners", source="memory://c")

HARD_KEYS = (
    "\0",
    "\0a",
    " ",
    "%2F",
    "..",
    "A",
    "a",
    "a\0",
    "a\0b",
    "a b+c%20d",
    "a/b",
    "a//b",
    "folder",
    "folder/",
    "tab\there",
    "x" * 1_024,
    "e\u0301",
    "\u00e9",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\U00010000",
    "ü/日本.txt",
)
"""Keys that a catalog mixes up, cuts off or sorts wrongly when it treats them as mere text."""

RICH = Record(
    authority=Side.TARGET,
    intent=Intent(
        token="t-1",  # noqa: S106 - names an intent
        holder="h-1",
        lease_until=1_030.5,
        operation=Operation.PUT,
        digest=Digest(
            sha256="ab" * 32,
            size=7,
            attributes=Attributes(content_type="text/plain", metadata={"é": "ü", "": "empty"}),
        ),
        announced=frozenset((Side.SOURCE, Side.TARGET)),
        opened=True,
        completes=frozenset((Side.TARGET,)),
    ),
    doubt=Pair(None, 1_150.25),
    paired=False,
    deleting=True,
    digest=ABSENT,
    mark=Mark(kind=MarkKind.DAMAGED, tags=Pair('"x"', None), since=999.0),
    since=998.0,
    attempts=3,
    next_attempt=1_001.0,
)
"""A record in which nothing is at its default."""


class ManualClock:
    """A clock that only moves when it is told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


async def put(catalog: Catalog, key: str, record: Record | None, *, migration: str = NAME) -> Look:
    """Store a record for a key and return the look that the decision was given."""

    def decide(look: Look) -> Decision[Look]:
        return Decision(record, look)

    return await catalog.change(migration, key, decide)


async def note(catalog: Catalog, key: str, *, extra: bool | None) -> bool:
    """Note or drop an extra, leave the record, and return whether it was noted before."""

    def decide(look: Look) -> Decision[bool]:
        return Decision(look.record, look.extra, extra=extra)

    return await catalog.change(NAME, key, decide)


async def refused(call: Awaitable[T], *errors: type[BaseException]) -> bool:
    """Tell whether the call raises one of the errors."""
    try:
        await call
    except errors:
        return True
    return False


def keys_of(records: Sequence[tuple[str, Record]]) -> list[str]:
    """Return the keys alone."""
    return [key for key, _ in records]
