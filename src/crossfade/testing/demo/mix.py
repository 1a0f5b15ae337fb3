"""What users do: drawn by chance, over keys that are used in different ways."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

HOT = "hot/"
"""A few keys that everybody reads and overwrites."""

DOCUMENTS = "users/"
"""A user's own: written, deleted and written again."""

KEPT = "kept/"
"""Written once, and read ever after."""

GONE = "gone/"
"""Written once, deleted once, and asked for ever after."""

STAYS = "stays"
"""What is in each of these folders from the start, and is never touched."""

HOT_KEYS = 12
DOCUMENTS_EACH = 2
REMEMBERED_KEYS = 400
BODY_BYTES_MIN_BITS = 5
BODY_BYTES_MAX_BITS = 15
LARGE_BODY_SHARE = 0.004
LARGE_BODY_BYTES = 1_200_000


class Act(StrEnum):
    """What a user can do."""

    GET = "get"
    HEAD = "head"
    LIST = "list"
    PUT = "put"
    CREATE = "create"
    SWAP = "swap"
    DELETE = "delete"


WEIGHTS = {
    Act.GET: 68,
    Act.HEAD: 5,
    Act.LIST: 2,
    Act.PUT: 16,
    Act.CREATE: 3,
    Act.SWAP: 2,
    Act.DELETE: 4,
}
FEW_WRITES = {
    Act.GET: 79,
    Act.HEAD: 5,
    Act.LIST: 1,
    Act.PUT: 9,
    Act.CREATE: 2,
    Act.SWAP: 1,
    Act.DELETE: 3,
}
"""For a side that takes a few hundred writes a second, and has better things to do with them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants; ``key`` is the prefix of a listing."""

    act: Act
    key: str
    user: str


class Mix:
    """Draws what comes next.

    Args:
        who: names the process, so that two never make the same key.
        files: the keys that were there before anything started.
        weights: how often each thing is done.
        flat: whether no folder below these is made or emptied.
    """

    def __init__(
        self,
        rng: Random,
        who: str,
        files: Sequence[str],
        users: int,
        weights: Mapping[Act, int] = MappingProxyType(WEIGHTS),
        *,
        flat: bool = False,
    ) -> None:
        self._rng = rng
        self._who = who
        self._files = files
        self._users = users
        self._below = "." if flat else "/"
        self._acts, self._weights = list(weights), list(weights.values())
        self._made = 0
        self._kept: list[str] = []
        self._gone: list[str] = []
        self._waning: list[str] = []

    def next(self) -> Wish:
        """Draw a user and what the user wants."""
        user = f"user-{self._rng.randrange(self._users)}"
        act = self._rng.choices(self._acts, self._weights)[0]
        return Wish(act, self._key(act, user), user)

    def _key(self, act: Act, user: str) -> str:
        match act:
            case Act.GET | Act.HEAD:
                return self._to_read(user)
            case Act.LIST:
                return self._rng.choice([HOT, f"{DOCUMENTS}{user}{self._below}"])
            case Act.PUT:
                return self._to_write(user)
            case Act.CREATE:
                return self._document(user)
            case Act.SWAP:
                return self._rng.choice([self._hot(), self._document(user)])
            case Act.DELETE:
                return self._to_delete(user)

    def create(self) -> Wish:
        """Draw a put of a key that never was."""
        return Wish(Act.PUT, self.new_key(KEPT), f"user-{self._rng.randrange(self._users)}")

    def body(self, number: int) -> bytes:
        """Make bytes that nobody else makes."""
        head = f"{self._who}/{number}\n".encode()
        if self._rng.random() < LARGE_BODY_SHARE:
            return head + self._rng.randbytes(LARGE_BODY_BYTES)
        bits = self._rng.uniform(BODY_BYTES_MIN_BITS, BODY_BYTES_MAX_BITS)
        return head + self._rng.randbytes(int(2**bits))

    def written(self, key: str) -> None:
        """Note that a key was put, so that it is read later on."""
        if key.startswith(KEPT):
            self._note(self._kept, key)
        elif key.startswith(GONE):
            self._waning.append(key)

    def new_key(self, prefix: str) -> str:
        """Name a key that never was."""
        self._made += 1
        return f"{prefix}{self._who}{self._below}{self._made}"

    def _to_read(self, user: str) -> str:
        place = self._rng.choices((HOT, DOCUMENTS, KEPT, GONE, ""), (15, 15, 15, 5, 50))[0]
        if place == KEPT:
            return self._one_of(self._kept)
        return self._one_of(self._gone) if place == GONE else self._in(place, user)

    def _to_write(self, user: str) -> str:
        place = self._rng.choices((HOT, DOCUMENTS, KEPT, GONE, ""), (20, 38, 18, 12, 12))[0]
        return self.new_key(place) if place in (KEPT, GONE) else self._in(place, user)

    def _to_delete(self, user: str) -> str:
        if self._waning and self._rng.random() < 0.5:  # noqa: PLR2004 - as often as not
            key = self._waning.pop(self._rng.randrange(len(self._waning)))
            self._note(self._gone, key)
            return key
        return self._in(self._rng.choices((HOT, DOCUMENTS, ""), (10, 80, 10))[0], user)

    def _in(self, place: str, user: str) -> str:
        if place == HOT:
            return self._hot()
        return self._document(user) if place == DOCUMENTS else self._file()

    def _file(self) -> str:
        return self._rng.choice(self._files)

    def _hot(self) -> str:
        return f"{HOT}{self._rng.randrange(HOT_KEYS)}"

    def _document(self, user: str) -> str:
        return f"{DOCUMENTS}{user}{self._below}{self._rng.randrange(DOCUMENTS_EACH)}"

    def _one_of(self, keys: list[str]) -> str:
        return self._rng.choice(keys) if keys else self._file()

    def _note(self, keys: list[str], key: str) -> None:
        keys.append(key)
        del keys[:-REMEMBERED_KEYS]
