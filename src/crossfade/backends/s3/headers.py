"""An object's description as headers, and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from crossfade.core.objects import (
    NO_CONTENT_TYPE,
    NO_METADATA,
    Attributes,
    ObjectInfo,
    header_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

META_PREFIX = "x-amz-meta-"
CRC32_HEADER = "x-amz-checksum-crc32"
SHA256_HEADER = "x-amz-checksum-sha256"
_SHA256_BYTES = 32
_HALF_A_SECOND = 0.5
_NAMES = {
    "cache_control": "cache-control",
    "content_disposition": "content-disposition",
    "content_encoding": "content-encoding",
    "content_language": "content-language",
    "expires": "expires",
}


def attribute_headers(attributes: Attributes) -> dict[str, str]:
    """Return the headers with which an object is put."""
    headers = {"content-type": attributes.content_type or NO_CONTENT_TYPE}
    for name, header in _NAMES.items():
        value = getattr(attributes, name)
        if value is not None:
            headers[header] = value
    for name, value in attributes.metadata.items():
        headers[META_PREFIX + name] = header_text(value)
    return headers


def attributes_of(headers: Mapping[str, str]) -> Attributes:
    """Return what the headers of an answer say is kept beside the bytes."""
    kind = headers.get("content-type")
    values = {name: _text(headers[header]) for name, header in _NAMES.items() if header in headers}
    metadata = {
        name.lower().removeprefix(META_PREFIX): _decoded(value)
        for name, value in headers.items()
        if name.lower().startswith(META_PREFIX)
    }
    return Attributes(
        content_type=None if kind in (None, NO_CONTENT_TYPE) else _text(kind),
        metadata=metadata or NO_METADATA,
        **values,
    )


def info_of(
    key: str, headers: Mapping[str, str], *, size: int, kept: frozenset[str]
) -> ObjectInfo | None:
    """Describe an object as the headers of an answer do; None where they have no entity tag."""
    etag = tag_of(headers.get("etag", ""))
    if not etag:
        return None
    return ObjectInfo(
        key=key,
        size=size,
        etag=etag,
        modified=_time(headers.get("last-modified", "")),
        attributes=attributes_of(headers).kept(kept),
        sha256=checksum_of(headers, SHA256_HEADER, _SHA256_BYTES),
    )


def clock_ahead(date: str, before: float, after: float) -> float | None:
    """Return by how many seconds a server's clock is ahead; None where it does not say.

    A ``Date`` has whole seconds, so it is right to half of one.

    Args:
        date: as the server's answer has it.
        before: when the request was sent, by the clock here, in seconds of the epoch.
        after: when it was answered.
    """
    at = _time(date)
    return None if at is None else at.timestamp() + _HALF_A_SECOND - (before + after) / 2


def tag_of(text: str) -> str:
    """Return an entity tag without its quotes."""
    return text.strip().removeprefix("W/").strip('"')


def base64_of(digest: str) -> str:
    """Return a hex digest in base64."""
    return b64encode(bytes.fromhex(digest)).decode()


def checksum_of(headers: Mapping[str, str], name: str, size: int) -> str | None:
    """Return a checksum of all bytes in hex; that of an object in parts is one of checksums."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    try:
        digest = b64decode(headers.get(name, ""), validate=True)
    except (Base64Error, ValueError):
        return None
    return digest.hex() if len(digest) == size else None


def _decoded(value: str) -> str:
    value = _text(value)
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value


def _text(value: str) -> str:
    """Return a header's text; bytes that are no UTF-8 are read as Latin-1."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="surrogateescape").decode("latin-1")
    return value


def _time(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
