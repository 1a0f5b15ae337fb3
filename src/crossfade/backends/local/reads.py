"""Objects described and read: bytes, tag and attributes of one version, or an error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from crossfade.backends.bodies import (
    STREAM_CHUNK_BYTES,
    BytesStream,
    require_tag,
    resolve_range,
)
from crossfade.backends.local.names import path_of
from crossfade.backends.local.problems import MissingError, translated
from crossfade.backends.local.sidecars import may_have_sidecar, read_sidecar, tag_of
from crossfade.backends.local.tree import digest_of
from crossfade.core.objects import NO_ATTRIBUTES, Attributes, ObjectInfo
from crossfade.errors import BackendUnavailableError, IntegrityError

if TYPE_CHECKING:
    import os

    from crossfade.backends.local.names import KeyPath
    from crossfade.backends.local.ops import Descriptor
    from crossfade.backends.local.tree import OpenFile, Tree
    from crossfade.backends.threads import Threads
    from crossfade.core.objects import ByteRange

VERSIONS_MAX = 100
"""How often a read begins anew because the object was replaced under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Bytes of an open file that are still to be read."""

    info: ObjectInfo
    descriptor: Descriptor
    start: int
    count: int


_MODIFIED_MICROSECONDS = (-62_135_596_800_000_000, 253_402_300_799_000_000)
"""The first and the last second that a date can say: a file system may keep others."""


def info_of(key: str, status: os.stat_result, attributes: Attributes | None) -> ObjectInfo:
    """Describe an object."""
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=tag_of(status),
        modified=_modified(status),
        attributes=attributes,
    )


def _modified(status: os.stat_result) -> datetime:
    first, last = _MODIFIED_MICROSECONDS
    microseconds = min(max(status.st_mtime_ns // 1_000, first), last)
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def stat(tree: Tree, key: str) -> ObjectInfo:
    """Describe an object, attributes included."""
    path = path_of(key)
    for _ in range(VERSIONS_MAX):
        status = tree.first(path, tree.look)
        if status is None:
            raise MissingError
        attributes = _attributes(tree, key, path, status)
        if attributes is not None:
            return info_of(key, status, attributes)
    raise _restless("stat", key)


def read(
    tree: Tree, key: str, byte_range: ByteRange | None, if_match: str | None
) -> BytesStream | Extent:
    """Open an object and, if it is small, read it.

    Raises:
        PreconditionError: it is another version, or has no byte in the range.
    """
    path = path_of(key)
    for _ in range(VERSIONS_MAX):
        opened = tree.first(path, tree.open_file)
        if opened is None:
            raise MissingError
        tag = tag_of(opened.status)
        require_tag(key, tag, if_match)
        start, count = resolve_range(key, byte_range, opened.status.st_size)
        attributes = _attributes(tree, key, path, opened.status)
        if attributes is not None:
            info = info_of(key, opened.status, attributes)
            if count > STREAM_CHUNK_BYTES:
                return Extent(info=info, descriptor=opened.descriptor, start=start, count=count)
            data = _read_small(tree, opened, start, count)
            if data is not None:
                return BytesStream(info, data)
        opened.descriptor.close()
    raise _restless("read", key)


def _attributes(tree: Tree, key: str, path: KeyPath, version: os.stat_result) -> Attributes | None:
    """Return a version's attributes; None when it is no longer the current one.

    Attributes go only after their version went: a version that still is there had none.
    """
    if not may_have_sidecar(version):
        return NO_ATTRIBUTES
    tag = tag_of(version)
    kept = read_sidecar(tree, key, digest_of(key), tag)
    if kept is not None:
        return kept
    if tree.base().own is None:
        return NO_ATTRIBUTES
    status = tree.first(path, tree.look)
    if status is None or tag_of(status) != tag:
        return None
    return NO_ATTRIBUTES


def _read_small(tree: Tree, opened: OpenFile, start: int, count: int) -> bytes | None:
    """Read the bytes; None when somebody wrote into the file in the meantime."""
    with opened.descriptor as file:
        data = tree.ops.pread(file.fd, count, start) if count else b""
        whole = len(data) == count and _is_unchanged(tree, file, tag_of(opened.status))
    return data if whole else None


def _is_unchanged(tree: Tree, file: Descriptor, tag: str) -> bool:
    return tag_of(tree.ops.fstat(file.fd)) == tag


def _restless(operation: str, key: str) -> BackendUnavailableError:
    message = f"the object was replaced {VERSIONS_MAX} times while it was looked at"
    return BackendUnavailableError(message, operation=operation, key=key, hint="try again")


class FileStream:
    """A response that is read from an open file, a chunk at a time."""

    def __init__(self, tree: Tree, threads: Threads, extent: Extent) -> None:
        self._tree = tree
        self._threads = threads
        self._info = extent.info
        self._file: Descriptor | None = extent.descriptor
        self._is_reading = False
        self._next = extent.start
        self._end = extent.start + extent.count

    @property
    def info(self) -> ObjectInfo:
        """The object's description, attributes included."""
        return self._info

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._next >= self._end:
            raise StopAsyncIteration
        if self._file is None:
            message = "the stream was closed before its end"
            hint = "read the object again"
            raise IntegrityError(message, operation="read", key=self._info.key, hint=hint)
        self._is_reading = True
        chunk = await self._threads.run(self._read, self._file)
        self._is_reading = False
        self._next += len(chunk)
        return chunk

    def _read(self, file: Descriptor) -> bytes:
        wanted = min(STREAM_CHUNK_BYTES, self._end - self._next)
        with translated("read", self._info.key):
            chunk = self._tree.ops.pread(file.fd, wanted, self._next)
            last = self._next + len(chunk) == self._end
            if not chunk or (last and not _is_unchanged(self._tree, file, self._info.etag)):
                message = "the file was written to while it was read"
                hint = "replace files by renaming, then read it again"
                raise IntegrityError(message, operation="read", key=self._info.key, hint=hint)
        return chunk

    async def aclose(self) -> None:
        """Let go of the file; a read under way in a thread keeps it open until it is done."""
        file, self._file = self._file, None
        if file is not None and not self._is_reading:
            file.close()
