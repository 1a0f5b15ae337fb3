"""Attributes, kept in small files beside the data, one for each version of an object.

The name of a version's file is made of the key's digest and of the version's tag: inode, time of
change in nanoseconds, and size. It is made durable before the data is renamed into place, so the
rename switches bytes and attributes at once. A reader takes the file that fits the descriptor
that it reads from; there is none for a file without attributes, or that came from elsewhere.
A version with attributes has an odd time and one without an even one, which saves the look.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from crossfade.backends.local.names import OWN_FOLDER
from crossfade.backends.local.ops import Descriptor
from crossfade.backends.local.problems import naming
from crossfade.core.objects import NO_ATTRIBUTES, NO_METADATA, Attributes
from crossfade.errors import BackendError, IntegrityError, InvalidMetadataError

if TYPE_CHECKING:
    from crossfade.backends.local.tree import Tree

_BYTES_MAX = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class _Sidecar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file holds; key and tag are there for whoever has to repair a directory by hand."""

    key: str
    tag: str
    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    expires: str | None = None
    metadata: dict[str, str] = {}


_decoder = msgspec.json.Decoder(_Sidecar)


def tag_of(status: os.stat_result) -> str:
    """Return the entity tag of a version."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def time_for(attributes: Attributes, now: int) -> int:
    """Return the nanoseconds to set for a version: odd when attributes are kept for it."""
    return now | 1 if attributes != NO_ATTRIBUTES else now & ~1


def may_have_sidecar(status: os.stat_result) -> bool:
    """Tell whether attributes may be kept for a version."""
    return status.st_mtime_ns % 2 == 1


def _place(digest: str, tag: str) -> tuple[bytes, bytes]:
    return digest[:2].encode(), f"{digest[2:]}.{tag}".encode()


def write_sidecar(tree: Tree, key: str, digest: str, tag: str, attributes: Attributes) -> None:
    """Keep a version's attributes durably, before the version is put into place.

    Raises:
        InvalidMetadataError: they are too large.
        BackendError: they are not text.
    """
    names = [name for name in Attributes.__slots__ if name != "metadata"]
    fields = {name: getattr(attributes, name) for name in names}
    sidecar = _Sidecar(key=key, tag=tag, metadata=dict(attributes.metadata), **fields)
    try:
        data = msgspec.json.encode(sidecar)
    except UnicodeEncodeError as error:
        message = "the attributes are not valid Unicode"
        raise BackendError(message, operation="write", key=key, hint="correct them") from error
    if len(data) > _BYTES_MAX:
        message = f"the attributes take {len(data):,} bytes"
        hint = f"the limit is {_BYTES_MAX:,}"
        raise InvalidMetadataError(message, operation="write", key=key, hint=hint)
    folder, name = _place(digest, tag)
    with fan_out(tree, folder) as parent:
        with naming(tree.shown((OWN_FOLDER, b"meta", folder, name))):
            fd = tree.ops.open(name, _MAKE, 0o600, dir_fd=parent.fd)
        with Descriptor(tree.ops, fd):
            write_all(tree, fd, data)
            tree.ops.fsync(fd)
        tree.ops.fsync(parent.fd)


def fan_out(tree: Tree, folder: bytes) -> Descriptor:
    """Open one of the folders over which attributes and notes spread, made if need be."""
    meta = tree.own().meta.fd
    path = (OWN_FOLDER, b"meta", folder)
    entered = tree.enter(meta, folder, path)
    if entered is None:
        tree.make_folder(meta, path, 0o700)
        entered = tree.enter(meta, folder, path)
    if entered is None:
        raise FileNotFoundError(2, "no such folder", tree.shown(path))
    return entered


def write_all(tree: Tree, fd: int, data: bytes) -> None:
    """Write all bytes, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[tree.ops.write(fd, view) :]


def read_sidecar(tree: Tree, key: str, digest: str, tag: str) -> Attributes | None:
    """Return a version's attributes; None when none are kept for it.

    Raises:
        IntegrityError: they are damaged.
    """
    own = tree.base().own
    if own is None:
        return None
    folder, name = _place(digest, tag)
    path = folder + b"/" + name
    shown = tree.shown((OWN_FOLDER, b"meta", path))
    try:
        with naming(shown):
            fd = tree.ops.open(path, _READ, dir_fd=own.meta.fd)
    except FileNotFoundError:
        return None
    with Descriptor(tree.ops, fd):
        data = tree.ops.pread(fd, _BYTES_MAX + 1, 0)
    try:
        sidecar = _decoder.decode(data)
    except msgspec.DecodeError:
        sidecar = None
    if sidecar is None or sidecar.tag != tag or sidecar.key != key:
        message = f"the attributes kept in {shown!r} are damaged"
        raise IntegrityError(message, key=key, hint="write the object again from a good copy")
    return Attributes(
        **{name: getattr(sidecar, name) for name in Attributes.__slots__ if name != "metadata"},
        metadata=sidecar.metadata or NO_METADATA,
    )


def drop_sidecar(tree: Tree, digest: str, tag: str) -> None:
    """Remove what was kept for a version that is no more; a rest left behind fits no other."""
    own = tree.base().own
    if own is None:
        return
    folder, name = _place(digest, tag)
    try:
        tree.ops.unlink(folder + b"/" + name, dir_fd=own.meta.fd)
    except OSError:
        return
