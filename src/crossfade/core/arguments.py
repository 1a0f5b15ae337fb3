"""What a caller may give beside key and body; the rest is refused before anything moves."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterable, Iterable, Mapping

from crossfade.core.objects import NO_METADATA, Attributes, ByteRange
from crossfade.errors import ConfigurationError

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header can carry: every control character but the tab."""
_BODY_HINT = "give bytes, a pathlib.Path, a binary file, or an (async) iterable of bytes"


def check_text(name: str, value: object) -> None:
    """Refuse what is given for text and is none; None stands for not given.

    Raises:
        ConfigurationError: no string, or one that is not valid Unicode.
    """
    if value is None:
        return
    if not isinstance(value, str):
        message = f"{name} is {type(value).__name__}, not text"
        raise ConfigurationError(message, hint="give a string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            message = f"{name} is not valid Unicode: {value[:80]!r}"
            raise ConfigurationError(message, hint="correct it") from error


def plain(text: str) -> str:
    """Return text of a class of its own, such as a template's, as a string that can be stored."""
    return text if type(text) is str else str.__str__(text)


def new_attributes(metadata: object = None, **headers: str | None) -> Attributes:
    """Make an object's attributes of what a caller gave.

    Raises:
        ConfigurationError: it names what is not text, or what no header can carry.
    """
    given = {name: text for name, text in headers.items() if text is not None}
    checked = {name: _header(name, text) for name, text in given.items()}
    return Attributes(metadata=_metadata(metadata), **checked)


def _header(name: str, value: object) -> str:
    check_text(name, value)
    assert isinstance(value, str)
    if _CONTROL.search(value):
        message = f"{name} holds a line break or another control character: {value[:80]!r}"
        raise ConfigurationError(message, hint="leave it out, or encode it")
    return plain(value)


def _metadata(metadata: object) -> Mapping[str, str]:
    if metadata is None:
        return NO_METADATA
    if not isinstance(metadata, Mapping):
        message = f"metadata is {type(metadata).__name__}, not a mapping"
        raise ConfigurationError(message, hint="give names and values, such as {'user': '42'}")
    found: dict[str, str] = {}
    for name, value in metadata.items():
        if name in ("", None):
            message = "a name in metadata is empty"
            raise ConfigurationError(message, hint="give every value a name")
        if value is None:
            message = f"metadata[{name!r}] is None"
            raise ConfigurationError(message, hint="leave the name out, or give an empty string")
        found[_header("a name in metadata", name)] = _header(f"metadata[{name!r}]", value)
    return found or NO_METADATA


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no number of seconds to wait; None stands for not given.

    Raises:
        ConfigurationError: no number, none above 0, or no end to it.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{name} is {type(value).__name__}, not a number"
        raise ConfigurationError(message, hint="give seconds")
    if not 0 < value < math.inf:
        raise ConfigurationError(
            f"{name} is {value}", hint="give seconds above 0, as many as it may"
        )


def check_range(value: object) -> None:
    """Refuse what is no range of bytes; None stands for not given.

    Raises:
        ConfigurationError: no `ByteRange`, or one that holds no byte of any object.
    """
    if value is None:
        return
    if not isinstance(value, ByteRange):
        message = f"range is {type(value).__name__}, not a ByteRange"
        raise ConfigurationError(message, hint="give ByteRange(start=0, end=4): five bytes")
    last = value.start if value.end is None else value.end
    for name, number in (("start", value.start), ("end", last)):
        if isinstance(number, bool) or not isinstance(number, int):
            message = f"range.{name} is {type(number).__name__}, not a number"
            raise ConfigurationError(message, hint="give a whole number of bytes from 0 on")
    if not 0 <= value.start <= last:
        message = f"range goes from {value.start} to {value.end}"
        hint = "start is 0 or more, end is the last byte, at or behind it"
        raise ConfigurationError(message, hint=hint)


def check_body(data: object) -> None:
    """Refuse what holds no bytes, or looks like it and may be meant otherwise.

    Raises:
        ConfigurationError: text, a mapping, or nothing that bytes come from.
    """
    if isinstance(data, str):
        message = "the body is text (str), which is neither taken for bytes nor for a path"
        hint = "give text.encode(), or pathlib.Path(...) to put the file of that name"
        raise ConfigurationError(message, hint=hint)
    sources = isinstance(data, AsyncIterable | Iterable) or any(
        hasattr(data, name) for name in ("__fspath__", "read")
    )
    if isinstance(data, Mapping | range) or not sources:
        message = f"the body is {type(data).__name__}, which holds no bytes"
        raise ConfigurationError(message, hint=_BODY_HINT)


def chunk_of(chunk: object) -> bytes:
    """Return a chunk of a body.

    Raises:
        ConfigurationError: it is no bytes.
    """
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    kind = type(chunk).__name__
    message = f"the body is made of {kind}, not of bytes; nothing was written"
    hint = "open the file with 'rb', or encode the text" if kind == "str" else _BODY_HINT
    raise ConfigurationError(message, hint=hint)


def check_size(size: object) -> None:
    """Refuse what is no number of bytes; None stands for not given.

    Raises:
        ConfigurationError: no whole number, or below 0.
    """
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        message = f"size is {size!r}, not a number of bytes"
        raise ConfigurationError(message, hint="give a whole number from 0 on")


def check_callable(name: str, value: object) -> None:
    """Refuse what cannot be called; None stands for not given.

    Raises:
        ConfigurationError: it is no function.
    """
    if value is not None and not callable(value):
        message = f"{name} is {type(value).__name__}, not a function"
        raise ConfigurationError(message, hint="give a function, or leave it out")
