"""A side in memory: the twin that tests and first steps use."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from crossfade.backends.bodies import BytesStream, read_whole, require_tag, resolve_range
from crossfade.backends.listing import page_size
from crossfade.core.capabilities import Capabilities
from crossfade.core.objects import Attributes, ObjectInfo, ObjectPage, check_key
from crossfade.errors import BackendError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.objects import ByteRange
    from crossfade.ports import Body

STAGED_BYTES_MIN = 1 << 20
_CAPABILITIES = Capabilities(tags_are_counters=True)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryBackend:
    """Objects in a dictionary, for one process.

    Args:
        name: what it is called in its location, ``memory://name``.
        now: gives `ObjectInfo.modified`; a simulation passes its own clock.
        staged_bytes_min: from what size on a body can be staged.
    """

    def __init__(
        self,
        name: str = "memory",
        *,
        now: Callable[[], datetime] = _utc_now,
        staged_bytes_min: int = STAGED_BYTES_MIN,
    ) -> None:
        self._name = name
        self._capabilities = replace(_CAPABILITIES, staged_bytes_min=staged_bytes_min)
        self._now = now
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}
        # Text compares by code point, which is the order of its UTF-8 bytes.
        self._keys: list[str] = []
        self._versions = 0

    @property
    def capabilities(self) -> Capabilities:
        """Everything; its tags are counters."""
        return self._capabilities

    @property
    def location(self) -> str:
        """Return ``memory://`` and the name."""
        return f"memory://{self._name}"

    async def prepare(self, *, create: bool) -> None:
        """Do nothing: memory is always there."""

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object; ObjectNotFoundError when there is none."""
        check_key(key)
        return self._find(key, "stat")[0]

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> BytesStream:
        """Begin to read an object; what is written later does not change the answer."""
        check_key(key)
        info, data = self._find(key, "read")
        require_tag(key, info.etag, if_match)
        start, count = resolve_range(key, byte_range, info.size)
        return BytesStream(info, data if count == info.size else data[start : start + count])

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        """Read and verify a body, to be put later; it has no parts."""
        check_key(key)
        data = bytes(await read_whole(key, body))
        return MemoryStaged(partial(self._put, key, data, body.sha256, attributes), key)

    async def part_bytes(self, info: ObjectInfo) -> int | None:
        """Return None: no object has parts."""
        return None

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        """Put an object whole, after its body was read and verified."""
        check_key(key)
        return self._put(key, bytes(await read_whole(key, body)), body.sha256, attributes)

    def _put(self, key: str, data: bytes, digest: str, attributes: Attributes) -> ObjectInfo:
        # The caller may go on to change its mapping.
        metadata = MappingProxyType(dict(attributes.metadata))
        self._versions += 1
        info = ObjectInfo(
            key=key,
            size=len(data),
            etag=f"v{self._versions}",
            modified=self._now(),
            attributes=replace(attributes, metadata=metadata),
            sha256=digest,
        )
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = (info, data)
        return info

    async def delete(self, key: str) -> None:
        """Delete an object; an absent one is no error."""
        check_key(key)
        if self._objects.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        """Return a page of the keys as they are now."""
        keys = self._keys
        first = bisect_right(keys, after) if after >= prefix else bisect_left(keys, prefix)
        count = page_size(limit, _CAPABILITIES.page_keys_max)
        page: list[ObjectInfo] = []
        for index in range(first, min(first + count, len(keys))):
            if not keys[index].startswith(prefix):
                return ObjectPage(objects=tuple(page), truncated=False)
            page.append(replace(self._objects[keys[index]][0], attributes=None))
        following = first + len(page)
        truncated = following < len(keys) and keys[following].startswith(prefix)
        return ObjectPage(objects=tuple(page), truncated=truncated)

    async def close(self) -> None:
        """Do nothing: the objects stay until the backend is dropped."""

    def _find(self, key: str, operation: str) -> tuple[ObjectInfo, bytes]:
        found = self._objects.get(key)
        if found is None:
            message = f"{self.location} holds no such object"
            raise ObjectNotFoundError(message, operation=operation, key=key)
        return found


class MemoryStaged:
    """Bytes in memory, until they are put or dropped."""

    def __init__(self, put: Callable[[], ObjectInfo], key: str) -> None:
        self._put: Callable[[], ObjectInfo] | None = put
        self._key = key
        self._done: ObjectInfo | None = None

    async def complete(self) -> ObjectInfo:
        """Put them, once."""
        if self._done is None:
            if self._put is None:
                message = "what was staged was dropped"
                raise BackendError(message, operation="write", key=self._key)
            self._done, self._put = self._put(), None
        return self._done

    async def drop(self) -> None:
        """Let go of the bytes."""
        self._put = None
