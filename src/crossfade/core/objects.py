"""What an object is: its key, what is carried beside its bytes, and what identifies them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from crossfade.errors import InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

T = TypeVar("T")

KEY_BYTES_MAX = 1_024
EMPTY_SHA256 = sha256(b"").hexdigest()
NO_METADATA: Mapping[str, str] = MappingProxyType({})
NO_CONTENT_TYPE = "binary/octet-stream"
"""What object stores say of an object that was given no type; the two are compared as the same."""
RESERVED_PREFIX = ".crossfade/"
"""Staging keys and probes lie below it: it belongs to no range and no listing."""


class Side(StrEnum):
    """One of the two sides, for the whole life of a migration."""

    SOURCE = "source"
    TARGET = "target"

    @property
    def other(self) -> Side:
        """The side across."""
        return Side.TARGET if self is Side.SOURCE else Side.SOURCE


BOTH_SIDES = (Side.SOURCE, Side.TARGET)


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """One value for each side."""

    source: T
    target: T

    def __getitem__(self, side: Side) -> T:
        return self.source if side is Side.SOURCE else self.target

    def with_side(self, side: Side, value: T) -> Pair[T]:
        """Return a pair that differs from this one on that side."""
        return Pair(value, self.target) if side is Side.SOURCE else Pair(self.source, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What travels beside the bytes: the headers that stores keep, and the user's metadata."""

    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    expires: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)

    def kept(self, names: frozenset[str]) -> Attributes:
        """Return only what a side declares to keep (`Capabilities.attributes_kept`)."""
        if names == ATTRIBUTE_NAMES:
            return self
        dropped = {n: NO_METADATA if n == "metadata" else None for n in ATTRIBUTE_NAMES - names}
        return replace(self, **dropped)  # type: ignore[arg-type]

    def same(self, other: Attributes, names: frozenset[str]) -> bool:
        """Tell whether both are the same, as far as the sides keep them."""
        return self._plain(names) == other._plain(names)

    def _plain(self, names: frozenset[str]) -> Attributes:
        plain = self.kept(names)
        return replace(plain, content_type=None) if plain.content_type == NO_CONTENT_TYPE else plain


ATTRIBUTE_NAMES = frozenset(Attributes.__slots__)
NO_ATTRIBUTES = Attributes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a side says of an object.

    Attributes:
        size: bytes.
        etag: the side's entity tag, without quotes; it differs between sides.
        modified: when the side took it; None where the side does not say.
        attributes: None in listings, which do not carry them.
        sha256: hex digest of the bytes where the side keeps one.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = None
    attributes: Attributes | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPage:
    """One page of a listing, in key order (bytes of UTF-8); objects without attributes.

    Attributes:
        truncated: whether more keys follow the last one.
    """

    objects: tuple[ObjectInfo, ...]
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a side took: checksum, size and metadata; ``ABSENT`` after a delete."""

    sha256: str
    size: int
    attributes: Attributes = NO_ATTRIBUTES

    def same(self, other: Digest, kept: frozenset[str]) -> bool:
        """Tell whether both describe one object, as far as the sides keep attributes."""
        return (
            self.sha256 == other.sha256
            and self.size == other.size
            and self.attributes.same(other.attributes, kept)
        )


ABSENT = Digest(sha256="", size=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes ``start`` to ``end``, both inclusive; ``end`` None is to the object's end."""

    start: int
    end: int | None = None


def header_text(value: str) -> str:
    """Return a value of the metadata as it stands in a header, where a side keeps it in one.

    A header is plain ASCII. Other text is written as RFC 2047 has it, which is what AWS itself
    answers with, so that other clients show what was meant.
    """
    if value.isascii() and value.isprintable() and value == value.strip() and "=?" not in value:
        return value
    return f"=?UTF-8?B?{b64encode(value.encode()).decode()}?="


def check_key(key: str) -> None:
    """Refuse what is no legal key.

    Raises:
        InvalidKeyError: no text, empty, not valid Unicode, over 1,024 bytes, or reserved.
    """
    if not isinstance(key, str):
        message = f"a key is text, and this is {type(key).__name__}"
        raise InvalidKeyError(message, hint="give a string")
    if not key:
        raise InvalidKeyError("an empty key", hint="give a key of 1 to 1,024 bytes")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        message = f"the key {key!r} is not valid Unicode"
        raise InvalidKeyError(message, key=key, hint="keys are UTF-8 text") from error
    if size > KEY_BYTES_MAX:
        message = f"the key {key[:40]!r}… is {size:,} bytes long"
        raise InvalidKeyError(message, hint=f"the limit is {KEY_BYTES_MAX:,} bytes")
    if key.startswith(RESERVED_PREFIX):
        message = f"the key {key!r} lies below {RESERVED_PREFIX!r}"
        raise InvalidKeyError(message, key=key, hint="that prefix is kept for Crossfade itself")
