"""Looking at some objects closely: their descriptions, their rights, how long a read takes.

The sample is drawn from all that were listed, bounded in number, bytes and time.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from crossfade.core.estimates import Timed
from crossfade.core.objects import ATTRIBUTE_NAMES, NO_ATTRIBUTES, ByteRange
from crossfade.core.surroundings import Known
from crossfade.core.tally import Unholdable
from crossfade.errors import (
    AccessDeniedError,
    BackendError,
    InvalidKeyError,
    InvalidMetadataError,
    ObjectNotFoundError,
    ObjectTooLargeError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from crossfade.control.survey.sides import SurveyedSide
    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import Attributes, ObjectInfo

AT_ONCE = 8
GRANTS_MAX = 10
READS_MAX = 64
READ_BYTES_MAX = 8 << 20
READS_BYTES_MAX = 64 << 20
READS_SECONDS_MAX = 20.0


@dataclass(slots=True)
class Sample:
    """What was seen of the objects that were looked at.

    Attributes:
        looked: how many were described.
        carried: how many have each attribute.
        lost: those of which an attribute, or what is not carried, would be lost, by its name.
        refused: those whose metadata the target does not take.
        unreadable: those that may not be read, and the first refusal.
        archived: those that have to be restored first.
        reads: how long reads took; some of large objects are of their first bytes.
        read_bytes: how much was read.
    """

    looked: int = 0
    granted: int = 0
    carried: Counter[str] = field(default_factory=Counter)
    lost: dict[str, Unholdable] = field(default_factory=dict)
    refused: Unholdable = field(default_factory=Unholdable)
    unreadable: Unholdable = field(default_factory=Unholdable)
    refusal: BackendError | None = None
    archived: Unholdable = field(default_factory=Unholdable)
    reads: list[Timed] = field(default_factory=list)
    read_bytes: int = 0


class Sampler:
    """Looks at objects of the source, for a target that keeps what it declares."""

    def __init__(self, source: SurveyedSide, target: Capabilities) -> None:
        self._source = source
        self._target = target
        self._refused: set[str] = set()
        self._archived: set[str] = set()
        self.sample = Sample()

    async def describe(self, objects: Sequence[ObjectInfo]) -> None:
        """Describe them, several at once."""
        await _each(objects, self._describe)
        if self._source.inspector is not None:
            await _each(objects[:GRANTS_MAX], self._grants)

    async def read(self, objects: Sequence[ObjectInfo]) -> None:
        """Read them, or the first bytes of the large ones, and take the time."""
        wanted, budget = [], READS_BYTES_MAX
        for info in objects[:READS_MAX]:
            size = min(info.size, READ_BYTES_MAX)
            if size <= budget and info.key not in self._archived:
                budget -= size
                wanted.append(info)
        with anyio.move_on_after(READS_SECONDS_MAX):
            await _each(wanted, self._read)

    async def _describe(self, info: ObjectInfo) -> None:
        try:
            if self._source.inspector is not None:
                looked = await self._source.inspector.object(info.key)
                attributes = looked.attributes
                for name in looked.not_carried:
                    self._lose(name, info.key)
                if looked.archived:
                    self._archived.add(info.key)
                    self.sample.archived.add(info.key)
            else:
                attributes = (await self._source.backend.stat(info.key)).attributes or NO_ATTRIBUTES
        except ObjectNotFoundError:
            return
        except BackendError as error:
            self._refuse(info.key, error)
            return
        self.sample.looked += 1
        self._attributes(info, attributes)

    def _attributes(self, info: ObjectInfo, attributes: Attributes) -> None:
        for name in ATTRIBUTE_NAMES:
            if getattr(attributes, name):
                self.sample.carried[name] += 1
                if name not in self._target.attributes_kept:
                    self._lose(name, info.key)
        try:
            self._target.require_object(info.key, info.size, attributes)
        except InvalidMetadataError as error:
            self.sample.refused.add(f"{info.key}: {error.message}")
        except (InvalidKeyError, ObjectTooLargeError):
            return  # Counted where all keys were.

    async def _grants(self, info: ObjectInfo) -> None:
        assert self._source.inspector is not None
        found = await self._source.inspector.grants(info.key)
        self.sample.granted += found.known is not Known.UNKNOWN
        if found.known is Known.YES:
            self._lose("ACL", f"{info.key} ({found.words})")

    async def _read(self, info: ObjectInfo) -> None:
        part = ByteRange(start=0, end=READ_BYTES_MAX - 1) if info.size > READ_BYTES_MAX else None
        began = time.perf_counter()
        count = 0
        try:
            stream = await self._source.backend.read(info.key, byte_range=part)
            try:
                async for chunk in stream:
                    count += len(chunk)
            finally:
                await stream.aclose()
        except ObjectNotFoundError:
            return
        except BackendError as error:
            self._refuse(info.key, error)
            return
        self.sample.reads.append(Timed(count, time.perf_counter() - began))
        self.sample.read_bytes += count

    def _refuse(self, key: str, error: BackendError) -> None:
        if key not in self._refused:
            self._refused.add(key)
            self.sample.unreadable.add(key)
        if self.sample.refusal is None or isinstance(error, AccessDeniedError):
            self.sample.refusal = error

    def _lose(self, name: str, example: str) -> None:
        self.sample.lost.setdefault(name, Unholdable()).add(example)


async def _each(
    objects: Sequence[ObjectInfo], act: Callable[[ObjectInfo], Awaitable[None]]
) -> None:
    """Do something for each, `AT_ONCE` of them at once."""
    limiter = anyio.Semaphore(AT_ONCE)

    async def one(info: ObjectInfo) -> None:
        async with limiter:
            await act(info)

    async with anyio.create_task_group() as group:
        for info in objects:
            group.start_soon(one, info)


async def absent_answer(one: SurveyedSide, key: str) -> BackendError | None:
    """Ask for a key that is not there; return what was answered in place of that."""
    try:
        await one.backend.stat(key)
    except ObjectNotFoundError:
        return None
    except BackendError as error:
        return error
    return None
