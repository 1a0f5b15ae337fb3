"""What must hold between settings: sides and store apart from each other, times in order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crossfade.core.objects import RESERVED_PREFIX
from crossfade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.backends.s3.addresses import S3Address
    from crossfade.core.settings import Settings
    from crossfade.setup.sides import SideAddress, StoreAddress

_SAME = "the same place as"
_AWS = "amazonaws.com"
_PORTS = {"http": 80, "https": 443}
_HERE = "localhost"
_THIS_MACHINE = frozenset({_HERE, "127.0.0.1", "::1"})


def check_places(sides: Iterable[tuple[str, SideAddress]], store: StoreAddress) -> None:
    """Refuse sides that are or hold one another, and a store that lies in a side.

    Two migrations that share a place would write past each other's records, and a backfill into
    a directory of its own source would not end.

    Args:
        sides: every side with its field, `migrations.avatars.source`.
        store: where Crossfade's own state is.

    Raises:
        ConfigurationError: it names both.
    """
    seen: list[tuple[str, SideAddress]] = []
    for field, side in sides:
        for other_field, other in seen:
            _check_pair(field, side, other_field, other)
        _check_store(field, side, store)
        seen.append((field, side))


def _check_pair(field: str, side: SideAddress, other_field: str, other: SideAddress) -> None:
    if found := relation(side, other):
        message = f"{field} ({side.place}) is {found} {other_field} ({other.place})"
        raise ConfigurationError(message, hint="give every side a place of its own")


def relation(side: SideAddress, other: SideAddress) -> str:
    """Say how a side lies to another: `the same place as`, `inside`, `around`, or nothing."""
    if side.path is not None and other.path is not None:
        return _of_folders(_real(side.path), _real(other.path))
    if side.bucket is not None and other.bucket is not None:
        return _of_buckets(side.bucket, other.bucket)
    return _SAME if side.place == other.place else ""


def is_same(side: SideAddress, other: SideAddress) -> bool:
    """Tell whether two sides are one place."""
    return relation(side, other) == _SAME


def _of_folders(here: Path, there: Path) -> str:
    if here == there or _one_directory(here, there):
        return _SAME
    if there in here.parents:
        return "inside"
    return "around" if here in there.parents else ""


def _of_buckets(here: S3Address, there: S3Address) -> str:
    if (_server_of(here.endpoint), here.bucket) != (_server_of(there.endpoint), there.bucket):
        return ""
    if here.prefix == there.prefix:
        return _SAME
    if here.prefix.startswith(there.prefix):
        return "inside"
    return "around" if there.prefix.startswith(here.prefix) else ""


def _server_of(endpoint: str) -> str:
    """Return one spelling of a server; all of AWS is one, because a bucket's name is its own."""
    parts = urlsplit(endpoint)
    host = parts.hostname or _AWS
    if f".{host}".endswith((f".{_AWS}", f".{_AWS}.cn")):
        return _AWS
    port = parts.port or _PORTS.get(parts.scheme)
    return f"{_HERE if host in _THIS_MACHINE else host}:{port}{parts.path}"


def _check_store(field: str, side: SideAddress, store: StoreAddress) -> None:
    if side.path is None or store.path is None:
        return
    place = _real(store.path)
    root = _real(side.path)
    if root not in place.parents or root / RESERVED_PREFIX in place.parents:
        return
    message = f"store.url ({store.url}) lies inside {field} ({side.url})"
    raise ConfigurationError(message, hint="it would be moved as a file: give another place")


def _real(path: Path) -> Path:
    # Links are followed here alone, and nothing need exist: two names of one place are one.
    return Path(os.path.realpath(path))


def _one_directory(one: Path, other: Path) -> bool:
    # Two spellings that differ in case, or a second mount, are one directory all the same.
    try:
        return one.samefile(other)
    except OSError:
        return False


def check_settings(path: str, settings: Settings) -> None:
    """Refuse settings that are legal alone and not together.

    Raises:
        ConfigurationError: it names both fields and their values.
    """
    timing, limits = settings.timing, settings.limits
    if timing.copier_wait >= limits.timeout_seconds:
        message = (
            f"{path}.copier_wait_seconds is {timing.copier_wait:g} and "
            f"timeout_seconds is {limits.timeout_seconds:g}"
        )
        hint = "give a smaller wait: a call would end before it may take a key over from a copy"
        raise ConfigurationError(message, hint=hint)
    if limits.small_body_bytes > limits.body_buffer_bytes_max:
        message = (
            f"{path}.small_body_bytes is {limits.small_body_bytes:,} and "
            f"body_buffer_bytes_max is {limits.body_buffer_bytes_max:,}"
        )
        raise ConfigurationError(message, hint="give a buffer that is at least as large")
