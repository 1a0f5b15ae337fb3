"""What a listing adds up to, in memory that does not grow with it.

Keys come in the order of their bytes, so that all keys below a prefix come one after another: each
prefix is finished before the next begins, and only the largest ones are kept.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crossfade.errors import InvalidKeyError, ObjectTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import ObjectInfo

DEPTH_MAX = 3
PREFIXES_MAX = 10
EXAMPLES_MAX = 5
PART_BYTES = 8 << 20
"""What is larger is put in parts of this size."""
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
SIZE_CLASSES = (0, 4 * _KIB, 64 * _KIB, _MIB, 8 * _MIB, 64 * _MIB, _GIB)
"""Each class holds the sizes up to its own, in bytes; the last one of a tally what is larger."""


@dataclass(slots=True)
class Amount:
    """How many objects, and of how many bytes together."""

    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Take an object in."""
        self.objects += 1
        self.bytes += size


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixAmount:
    """What lies below a prefix."""

    prefix: str
    objects: int
    bytes: int


class _Level:
    """The largest prefixes of one depth."""

    def __init__(self) -> None:
        self.count = 0
        self._prefix = ""
        self._open = Amount()
        self._largest: list[PrefixAmount] = []

    def add(self, prefix: str, size: int) -> None:
        if prefix != self._prefix:
            self._finish()
            self._prefix, self._open = prefix, Amount()
        self._open.add(size)

    def _finish(self) -> None:
        if not self._open.objects:
            return
        self.count += 1
        full = len(self._largest) == PREFIXES_MAX
        if not full or self._open.bytes >= self._largest[-1].bytes:
            self._largest = self._with_open()

    def _with_open(self) -> list[PrefixAmount]:
        if not self._open.objects:
            return self._largest
        found = PrefixAmount(
            prefix=self._prefix, objects=self._open.objects, bytes=self._open.bytes
        )
        # Of those that are alike the first ones stay.
        return heapq.nlargest(
            PREFIXES_MAX, [*self._largest, found], key=lambda one: (one.bytes, one.objects)
        )

    def largest(self) -> tuple[int, list[PrefixAmount]]:
        return self.count + bool(self._open.objects), self._with_open()


class Tally:
    """Counts what is listed, key by key in their order."""

    def __init__(self) -> None:
        self.total = Amount()
        self.classes = [Amount() for _ in range(len(SIZE_CLASSES) + 1)]
        self.beside = Amount()
        self.largest: tuple[int, str] = (0, "")
        self.puts = 0
        self.last = ""
        self._levels = [_Level() for _ in range(DEPTH_MAX)]

    def add(self, key: str, size: int) -> None:
        """Take an object in; its key is greater than all before."""
        self.last = key
        self.total.add(size)
        if size > self.largest[0]:
            self.largest = (size, key)
        self.puts += 1 if size <= PART_BYTES else 2 - (-size // PART_BYTES)
        place = next((n for n, most in enumerate(SIZE_CLASSES) if size <= most), len(SIZE_CLASSES))
        self.classes[place].add(size)
        start = 0
        for depth, level in enumerate(self._levels):
            slash = key.find("/", start)
            if slash < 0:
                if not depth:
                    self.beside.add(size)
                return
            start = slash + 1
            level.add(key[:start], size)

    def prefixes(self) -> tuple[int, list[PrefixAmount]]:
        """Return how many prefixes there are at the first depth with several, and the largest."""
        found: tuple[int, list[PrefixAmount]] = (0, [])
        for level in self._levels:
            count, largest = level.largest()
            if not count:
                break
            found = (count, largest)
            if count > 1:
                break
        return found


@dataclass(slots=True)
class Unholdable:
    """Keys that a side cannot hold, for one reason: how many, and a few of them."""

    objects: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Take one in."""
        self.objects += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(example)


class Fitting:
    """Finds what a side is declared not to be able to hold, key by key in their order."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._above: list[str] = []
        self.keys = Unholdable()
        self.sizes = Unholdable()
        self.nested = Unholdable()

    def add(self, key: str, size: int) -> None:
        """Look at an object."""
        try:
            self._capabilities.require_object(key, size)
        except InvalidKeyError:
            self.keys.add(key)
            return
        except ObjectTooLargeError:
            self.sizes.add(f"{key} ({size:,} bytes)")
        if not self._capabilities.keys_nest:
            self._nest(key)

    def _nest(self, key: str) -> None:
        """Remember the keys below which others may still come; each begins with the one before."""
        above = self._above
        while above and not key.startswith(above[-1]):
            above.pop()
        holder = next((other for other in above if key.startswith(f"{other}/")), None)
        if holder is not None:
            self.nested.add(f"{key} below {holder}")
        above.append(key)


class Reservoir:
    """A fair sample of what comes by, however much that is.

    Args:
        most: how many are kept.
        below: returns a whole number from 0 to below the one given, by chance.
    """

    def __init__(self, most: int, below: Callable[[int], int]) -> None:
        self._most = most
        self._below = below
        self._seen = 0
        self.kept: list[ObjectInfo] = []

    def add(self, info: ObjectInfo) -> None:
        """Keep it, perhaps in another's place."""
        self._seen += 1
        if len(self.kept) < self._most:
            self.kept.append(info)
            return
        place = self._below(self._seen)
        if place < self._most:
            self.kept[place] = info
