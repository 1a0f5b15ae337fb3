"""Sides and stores from their URLs: parsed without touching them, opened when they are wanted.

| URL | what |
|---|---|
| ``local:///srv/files`` | a directory; what follows ``local://`` is its path, letter by letter |
| ``local:./files``, ``local:../files`` | a directory relative to the configuration's folder |
| ``memory://name`` | memory; one name is one side within a process |
| ``s3://bucket/prefix?endpoint=https://host&region=name`` | a bucket, or a folder of it |
| ``sqlite:///file``, ``sqlite:////srv/file`` | a catalog, relative to that folder or absolute |
| ``memory://`` | a catalog that ends with the process |

No URL carries a user name or password: what looks like one is refused and never shown.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.errors import (
    ConfigurationError,
    MissingExtraError,
    StoreUnavailableError,
    UnknownBackendError,
)
from crossfade.setup.refusals import shown

if TYPE_CHECKING:
    from crossfade.backends.memory import MemoryBackend
    from crossfade.backends.s3.addresses import S3Address
    from crossfade.ports import Backend, Catalog, Proofs

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
_MEMORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_EXTRAS = {
    "supabase": "supabase",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "azure": "azure",
}
_STORE_EXTRAS = {"postgres": "postgres", "postgresql": "postgres"}
_SIDES_KNOWN = (
    "this release knows local:///absolute/dir, local:./dir, memory://name and "
    "s3://bucket/prefix?endpoint=https://host"
)
_STORES_KNOWN = "this release knows sqlite:///file, sqlite:////absolute/file and memory://"

_memory_sides: dict[str, MemoryBackend] = {}
_memory_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideAddress:
    """Where a side is.

    Attributes:
        url: in its one spelling, with everything that is needed to open it.
        place: what and where it is, without how it is reached: the catalog keeps it and refuses
            another.
        path: a local side's directory; None for others.
        name: a memory side's name.
        bucket: an object store's bucket, and how it is reached.
    """

    scheme: str
    url: str
    place: str
    path: Path | None = None
    name: str = ""
    bucket: S3Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAddress:
    """Where Crossfade keeps its own state; ``path`` is None for memory."""

    scheme: str
    url: str
    path: Path | None = None

    @property
    def proofs_folder(self) -> Path | None:
        """Where proofs are kept: beside the catalog, under its name."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.proofs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An opened store: the catalog and its proofs."""

    catalog: Catalog
    proofs: Proofs


def parse_side(url: str, *, folder: Path, field: str = "the side") -> SideAddress:
    """Return where a URL points to; nothing is opened or looked at.

    Args:
        url: as it stands in the configuration.
        folder: what a relative path is relative to.
        field: what to call it in an error.

    Raises:
        UnknownBackendError: a kind of side that this release does not have.
        ConfigurationError: a URL that is not written as its kind wants it.
    """
    scheme, rest = _split(url, field, _SIDES_KNOWN)
    if scheme == "local":
        path = _local_path(url, rest, folder, field)
        return SideAddress(scheme=scheme, url=f"local://{path}", place=f"local://{path}", path=path)
    if scheme == "memory":
        name = rest.removeprefix("//")
        if not rest.startswith("//") or not _MEMORY_NAME.fullmatch(name):
            message = f"{field} is {shown(url)}, a memory side without a proper name"
            raise ConfigurationError(message, hint="write memory://name: letters, digits, . _ -")
        place = f"memory://{name}"
        return SideAddress(scheme=scheme, url=place, place=place, name=name)
    if scheme == "s3":
        from crossfade.backends.s3.addresses import parse

        bucket = parse(url, folder=_absolute(folder), field=field)
        return SideAddress(scheme=scheme, url=bucket.url, place=bucket.place, bucket=bucket)
    raise _unknown_kind(f"{field} is {shown(url)}", scheme, _EXTRAS, _SIDES_KNOWN)


def open_side(
    url: str, *, folder: Path | None = None, field: str = "the side", known: bool = False
) -> Backend:
    """Return the backend of a side; `Backend.prepare` then checks that it is there.

    One memory name is one backend within a process, for as long as the process lives. A directory
    that is ``known`` is not believed without what Crossfade put into it: an empty mount point
    would pass for a side without objects.

    Raises:
        UnknownBackendError, ConfigurationError: as `parse_side` raises them.
        MissingExtraError: its kind needs a package that is not installed.
    """
    address = parse_side(url, folder=folder or Path.cwd(), field=field)
    if address.path is not None:
        from crossfade.backends.local import LocalBackend

        return LocalBackend(address.path, known=known)
    if address.bucket is not None:
        return _open_bucket(address.bucket, field)
    from crossfade.backends.memory import MemoryBackend

    with _memory_lock:
        if address.name not in _memory_sides:
            _memory_sides[address.name] = MemoryBackend(address.name)
        return _memory_sides[address.name]


def _open_bucket(bucket: S3Address, field: str) -> Backend:
    try:
        from crossfade.backends.s3.backend import S3Backend
    except ModuleNotFoundError as error:
        message = f"{field} is a bucket, and {error.name} is not installed"
        hint = "install the s3 extra: pip install 'crossfade[s3]'"
        raise MissingExtraError(message, hint=hint) from error
    return S3Backend(bucket)


def forget_memory_sides() -> None:
    """Let go of every memory side: who opens one of their names next finds it empty."""
    with _memory_lock:
        _memory_sides.clear()


def parse_store(url: str, *, folder: Path, field: str = "store.url") -> StoreAddress:
    """Return where a store is; nothing is opened or looked at.

    Raises:
        ConfigurationError: a kind of store that this release does not have, or a URL that is not
            written as its kind wants it.
    """
    scheme, rest = _split(url, field, _STORES_KNOWN)
    if scheme == "memory":
        if rest != "//":
            message = f"{field} is {shown(url)}, a memory store with a name"
            raise ConfigurationError(message, hint="write memory:// alone")
        return StoreAddress(scheme=scheme, url="memory://")
    if scheme == "sqlite":
        if not rest.startswith("///") or not rest.strip("/") or rest.endswith("/") or "?" in rest:
            message = f"{field} is {shown(url)}, which does not name a file and nothing more"
            hint = "write sqlite:///file (beside the configuration) or sqlite:////absolute/file"
            raise ConfigurationError(message, hint=hint)
        _refuse_unusable(rest, field)
        path = _absolute(folder) / rest.removeprefix("///")
        return StoreAddress(scheme=scheme, url=f"sqlite:///{path}", path=path)
    raise _unknown_kind(f"{field} is {shown(url)}", scheme, _STORE_EXTRAS, _STORES_KNOWN)


def open_store(
    url: str, *, folder: Path | None = None, doubt_seconds: float | None = None
) -> Store:
    """Open the catalog and its proofs; the folder of a file is made, for its owner alone.

    Args:
        url: as it stands in the configuration.
        folder: what a relative file is relative to; the working directory by default.
        doubt_seconds: the longest that a doubt can last (`Configuration.doubt_seconds`).

    Raises:
        ConfigurationError: as `parse_store` raises it.
        StoreUnavailableError: the folder cannot be made.
    """
    address = parse_store(url, folder=folder or Path.cwd())
    if address.path is None or address.proofs_folder is None:
        from crossfade.stores.memory import MemoryCatalog, MemoryProofs

        return Store(catalog=MemoryCatalog(), proofs=MemoryProofs())
    from crossfade.stores.proof_files import FileProofs
    from crossfade.stores.sqlite import DOUBT_SECONDS, SqliteCatalog

    make_private_folder(address.path.parent)
    doubt = DOUBT_SECONDS if doubt_seconds is None else doubt_seconds
    catalog = SqliteCatalog(address.path, doubt_seconds=doubt)
    return Store(catalog=catalog, proofs=FileProofs(address.proofs_folder))


def make_private_folder(folder: Path) -> None:
    """Make a folder that its owner alone may enter; one that is there is left as it is.

    Raises:
        StoreUnavailableError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        message = f"the folder {folder} for Crossfade's state cannot be made: {error.strerror}"
        hint = "make it, or name another place in [store] url"
        raise StoreUnavailableError(message, hint=hint) from error


def _split(url: str, field: str, known: str) -> tuple[str, str]:
    match = _SCHEME.fullmatch(url)
    if match is None:
        message = f"{field} is {shown(url)}, which is no URL"
        raise ConfigurationError(message, hint=known)
    scheme, rest = match["scheme"], match["rest"]
    # Up to the next slash only: a directory's name may hold an @, a host before it may not.
    authority = rest[2:].partition("/")[0] if rest.startswith("//") else ""
    if "@" in authority:
        message = f"{field} is {scheme}:…, a URL with a user name or password in it (not shown)"
        raise ConfigurationError(message, hint="take it out: credentials do not belong in URLs")
    return scheme, rest


def _local_path(url: str, rest: str, folder: Path, field: str) -> Path:
    _refuse_unusable(rest, field)
    if rest.startswith("///"):
        return Path("/" + rest.lstrip("/"))
    if rest in {".", ".."} or rest.startswith(("./", "../")):
        return _absolute(folder) / rest
    if rest.startswith("//"):
        message = f"{field} is {shown(url)}, with a host, or with two slashes instead of three"
        raise ConfigurationError(message, hint="write local:///absolute/dir")
    message = f"{field} is {shown(url)}, which does not say what it is relative to"
    hint = "write local:./dir (beside the configuration) or local:///absolute/dir"
    raise ConfigurationError(message, hint=hint)


def _refuse_unusable(text: str, field: str) -> None:
    try:
        usable = b"\0" not in text.encode()
    except UnicodeEncodeError:
        usable = False
    if not usable:
        message = f"{field} holds a NUL character or is not valid Unicode"
        raise ConfigurationError(message, hint="give a path that every system can hold")


def _absolute(folder: Path) -> Path:
    # Not resolved: a deployment's link ("current") must stay the name that the catalog keeps.
    return Path(os.path.abspath(folder))  # noqa: PTH100


def _unknown_kind(
    found: str, scheme: str, extras: dict[str, str], known: str
) -> UnknownBackendError:
    if scheme in extras:
        message = f"{found}, which comes with the {extras[scheme]} extra of a later release"
        return UnknownBackendError(message, hint=known)
    return UnknownBackendError(f"{found}, of a kind that is unknown", hint=known)
