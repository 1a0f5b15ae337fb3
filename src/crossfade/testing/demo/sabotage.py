"""A side that does one thing wrong, once, at a random moment, and tells nobody.

It aims at keys on which the wrong stays to be seen: what is overwritten before anybody looks at
it is no broken promise. Who checks knows neither the kind nor the key.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.backends.bodies import BytesStream
from crossfade.core.objects import NO_ATTRIBUTES, ObjectInfo
from crossfade.errors import BackendError
from crossfade.files.bodies import BytesBody
from crossfade.testing.demo.mix import GONE, HOT, KEPT
from crossfade.testing.demo.options import Sabotage
from crossfade.testing.demo.sides import PassingSide

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from crossfade.core.objects import Attributes, ByteRange
    from crossfade.ports import Backend, Body, ObjectStream

SHARE = 0.1
"""How likely a call that could be the one is the one."""

SETTLED_SECONDS = 2.0
"""After so long a write is surely acknowledged, so that to contradict it is wrong."""

ATTEMPTS_MAX = 10


@dataclass(slots=True)
class _Version:
    info: ObjectInfo
    data: bytes
    replaced_at: float | None = None


class SabotagedSide(PassingSide):
    """A side that does what its kind says.

    Args:
        armed: tells whether it may do it now.
        did: is told the key, for who looks at the run afterwards.
    """

    def __init__(
        self,
        inner: Backend,
        kind: Sabotage,
        armed: Callable[[], bool],
        rng: Random,
        did: Callable[[str], None],
    ) -> None:
        super().__init__(inner)
        self._kind = kind
        self._armed = armed
        self._rng = rng
        self._did = did
        self._key: str | None = None
        self._versions: dict[str, list[_Version]] = {}
        self._stale: _Version | None = None

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        if self._kind is Sabotage.STALE and self._answers_old(key):
            assert self._stale is not None
            return BytesStream(self._stale.info, self._stale.data)
        return await self.inner.read(key, byte_range=byte_range, if_match=if_match)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        if self._kind is Sabotage.LOST and (key == self._key or self._drops(key)):
            return ObjectInfo(key=key, size=body.size, etag="1-1-1", attributes=attributes)
        info = await self.inner.write(key, body, attributes)
        self._remember(key, body, info)
        if self._kind is Sabotage.CORRUPT and key.startswith(KEPT) and self._now(key):
            self.start(self._flip(key))
        return info

    async def delete(self, key: str) -> None:
        before = None
        if self._kind is Sabotage.RESURRECT and key.startswith(GONE) and self._armed():
            with suppress(BackendError):
                before = await self._whole(key)
        await self.inner.delete(key)
        if before is not None and self._now(key):
            self.start(self._keep_so(*before))

    def _drops(self, key: str) -> bool:
        return key.startswith(KEPT) and self._now(key)

    def _now(self, key: str) -> bool:
        """Tell whether this is the moment; there is only one."""
        if self._key is not None or not self._armed() or self._rng.random() > SHARE:
            return False
        self._key = key
        self._did(key)
        return True

    def _remember(self, key: str, body: Body, info: ObjectInfo) -> None:
        if self._kind is not Sabotage.STALE or not key.startswith(HOT) or body.data is None:
            return
        versions = self._versions.setdefault(key, [])
        if versions:
            versions[-1].replaced_at = time.monotonic()
        versions.append(_Version(info, body.data))
        del versions[:-8]

    def _answers_old(self, key: str) -> bool:
        """Tell whether the read is answered with an old version: from then on all of its key."""
        if self._key is not None:
            return key == self._key
        before = time.monotonic() - SETTLED_SECONDS
        for version in reversed(self._versions.get(key, [])):
            if version.replaced_at is not None and version.replaced_at < before:
                self._stale = version
                return self._now(key)
        return False

    async def _flip(self, key: str) -> None:
        info, data = await self._whole(key)
        place = self._rng.randrange(len(data))
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        await self._keep_so(info, changed)

    async def _keep_so(self, info: ObjectInfo, data: bytes) -> None:
        """Write past the facade once its own writes are over; again if one was late after all."""
        for _ in range(ATTEMPTS_MAX):
            await asyncio.sleep(SETTLED_SECONDS)
            with suppress(BackendError):
                if (await self._whole(info.key))[1] == data:
                    return
            await self.inner.write(info.key, BytesBody(data), info.attributes or NO_ATTRIBUTES)

    async def _whole(self, key: str) -> tuple[ObjectInfo, bytes]:
        stream = await self.inner.read(key)
        try:
            return stream.info, b"".join([chunk async for chunk in stream])
        finally:
            await stream.aclose()
