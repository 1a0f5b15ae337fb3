"""How a key is spelled as a path below a directory, and back.

A key's segments are its parts between slashes. Nearly all of them are spelled as they are, so
that a file that was there before is found under its plain name. A segment is *escaped* when it
cannot be a file's name (empty, ``.``, ``..``, with NUL, over 255 bytes), when it would be the
top folder that Crossfade keeps for itself, or when it begins like an escape:

===========  =====================================================================
``%~-text``  an escaped segment; in the text ``%`` is ``%25`` and NUL is ``%00``
``%~+text``  a folder: the text goes on in the names in it, for segments over 252 bytes
``%~=text``  a *file* whose plain name is taken by a directory: ``a`` beside ``a/b``
===========  =====================================================================

Each segment has exactly one spelling of the first kind and one of the last, and each spelling
one segment: whatever else begins with ``%~`` is refused by `spelled`. What is spelled so and was
not written by Crossfade is refused in listings (`notes`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

OWN_FOLDER = b".crossfade"
INTRODUCER = b"%~"
GOES_ON = b"%~+"
ESCAPED = b"%~-"
BESIDE = b"%~="
NAME_BYTES_MAX = 255
_TEXT_BYTES_MAX = NAME_BYTES_MAX - len(ESCAPED)
_HEAD_BITS, _CONTINUES = 0b1100_0000, 0b1000_0000  # of a byte within a UTF-8 character
_NOT_A_NAME = frozenset((b"", b".", b".."))
# Nearly no key has any of these; one that has none is spelled as it is.
_UNUSUAL = re.compile(rb"\A[/.]|//|/\.|/\Z|%~|\0")
_ESCAPE = re.compile(rb"%(25|00)")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPath:
    """Where a key's file is: under its plain name or, beside a directory of it, the other."""

    plain: tuple[bytes, ...]
    beside: tuple[bytes, ...]


class Spelling(NamedTuple):
    """What a name, or a chain of them, stands for."""

    segment: str
    beside: bool


def path_of(key: str) -> KeyPath:
    """Spell a key."""
    data = key.encode()
    if len(data) + 2 * data.count(b"%") <= _TEXT_BYTES_MAX and not _UNUSUAL.search(data):
        plain = tuple(data.split(b"/"))
        return KeyPath(plain=plain, beside=(*plain[:-1], BESIDE + plain[-1].replace(b"%", b"%25")))
    *above, last = data.split(b"/")
    parents = _folders(above)
    return KeyPath(
        plain=(*parents, *_names(last, top=not above)),
        beside=(*parents, *_pieces(_escape(last), BESIDE)),
    )


def folder_of(prefix: str) -> tuple[bytes, ...]:
    """Spell the directory that holds the keys that begin with a prefix ending in a slash."""
    return _folders(prefix.encode().split(b"/")[:-1])


def key_at(key: str, depth: int) -> str | None:
    """Return the key whose plain path is the first ``depth`` names of this key's.

    None when those names end within a segment: no key is spelled so.
    """
    segments = key.encode().split(b"/")
    for count, segment in enumerate(segments, 1):
        depth -= len(_names(segment, top=count == 1))
        if depth <= 0:
            return b"/".join(segments[:count]).decode() if depth == 0 else None
    return None


def spelled(names: Sequence[bytes], *, top: bool) -> Spelling:
    """Read a segment back from its names.

    Raises:
        ValueError: it is not how the segment would be spelled, or not UTF-8.
    """
    beside = names[-1].startswith(BESIDE)
    if len(names) == 1 and not names[0].startswith(INTRODUCER):
        segment = names[0]
    else:
        text = b"".join(name[len(ESCAPED) :] for name in names)
        segment = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)
    expected = _pieces(_escape(segment), BESIDE) if beside else _names(segment, top=top)
    if list(names) != expected:
        message = f"{names!r} is not the spelling of a key"
        raise ValueError(message)
    return Spelling(segment=segment.decode(), beside=beside)


def _folders(segments: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(
        name for index, segment in enumerate(segments) for name in _names(segment, top=index == 0)
    )


def _names(segment: bytes, *, top: bool) -> list[bytes]:
    plain = (
        len(segment) <= NAME_BYTES_MAX
        and segment not in _NOT_A_NAME
        and not segment.startswith(INTRODUCER)
        and b"\0" not in segment
        and not (top and segment == OWN_FOLDER)
    )
    return [segment] if plain else _pieces(_escape(segment), ESCAPED)


def _escape(segment: bytes) -> bytes:
    return segment.replace(b"%", b"%25").replace(b"\0", b"%00")


def _pieces(text: bytes, marker: bytes) -> list[bytes]:
    names: list[bytes] = []
    while len(text) > _TEXT_BYTES_MAX:
        cut = _cut(text)
        names.append(GOES_ON + text[:cut])
        text = text[cut:]
    names.append(marker + text)
    return names


def _cut(text: bytes) -> int:
    """Return where to cut so that neither a character nor an escape is torn apart."""
    cut = _TEXT_BYTES_MAX
    while text[cut] & _HEAD_BITS == _CONTINUES:
        cut -= 1
    percent = text.rfind(b"%", cut - 2, cut)
    return cut if percent < 0 else percent
