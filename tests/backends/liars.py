"""Backends with one defect each, so that every check of the suite is seen to fail."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import current_time
from anyio.lowlevel import checkpoint

from crossfade.backends.memory import MemoryBackend, MemoryStaged
from crossfade.core.capabilities import Capabilities
from crossfade.core.objects import NO_ATTRIBUTES, Attributes, ObjectInfo, ObjectPage
from crossfade.errors import BackendUnavailableError, ObjectNotFoundError
from crossfade.testing.conformance import TestBody, body_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.backends.bodies import BytesStream
    from crossfade.core.objects import ByteRange
    from crossfade.ports import Body


async def bytes_of(body: Body) -> bytes:
    return b"".join([chunk async for chunk in body.chunks()])


class FlipsAByte(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        data = bytearray(await bytes_of(body))
        if len(data) > 1:
            data[-1] ^= 1
        return await super().write(key, body_of(bytes(data)), attributes)


class CutsLargeBodies(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        data = await bytes_of(body)
        return await super().write(key, body_of(data[: 1 << 20]), attributes)


class AnswersTheVersionBefore(MemoryBackend):
    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, ObjectInfo] = {}

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        if key in self._objects:
            self._before[key] = self._objects[key][0]
        return await super().write(key, body, attributes)

    async def stat(self, key: str) -> ObjectInfo:
        current = await super().stat(key)
        return self._before.get(key, current)


class FoldsSlashes(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        return await super().write(key.replace("//", "/") or key, body, attributes)


class DeletesTheFileOfAFolder(MemoryBackend):
    async def delete(self, key: str) -> None:
        await super().delete(key.rstrip("/") or key)


class DeletesWhatIsBelow(MemoryBackend):
    async def delete(self, key: str) -> None:
        for other in [k for k in self._keys if k.startswith(key)]:
            await super().delete(other)


class FailsToDeleteTheAbsent(MemoryBackend):
    async def delete(self, key: str) -> None:
        await self.stat(key)
        await super().delete(key)


class FoldsCase(MemoryBackend):
    async def stat(self, key: str) -> ObjectInfo:
        try:
            return await super().stat(key)
        except ObjectNotFoundError:
            return await super().stat(key.lower())


class SaysUnavailableForAbsent(MemoryBackend):
    async def stat(self, key: str) -> ObjectInfo:
        if key not in self._objects:
            raise BackendUnavailableError("403", operation="stat", key=key)
        return await super().stat(key)


class TakesAnyKey(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        return await super().write(
            key[:1024]
            .encode(errors="replace")[:1024]
            .decode(errors="ignore")
            .replace(".crossfade/", "")
            or "empty",
            body,
            attributes,
        )


class ClaimsAShortKey(MemoryBackend):
    """It says that it holds 20 bytes, and takes more: what else it says is not to be trusted."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(key_bytes_max=20)


class LosesMetadata(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        return await super().write(key, body, Attributes(content_type=attributes.content_type))


class KeepsMoreThanDeclared(MemoryBackend):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(attributes_kept=frozenset(("content_type",)))


class KeepsOldAttributes(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        if attributes == NO_ATTRIBUTES and key in self._objects:
            attributes = self._objects[key][0].attributes or NO_ATTRIBUTES
        return await super().write(key, body, attributes)


class OverwritesInPlace(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        data = await bytes_of(body)
        await super().write(key, body_of(data[: len(data) // 2]), attributes)
        await checkpoint()
        return await super().write(key, body, attributes)


class DeletesBeforeItOverwrites(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        await self.delete(key)
        await checkpoint()
        return await super().write(key, body, attributes)


class SwitchesAttributesLater(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        held = self._objects[key][0].attributes if key in self._objects else None
        await super().write(key, body, held or attributes)
        await checkpoint()
        return await super().write(key, body, attributes)


class IgnoresRanges(MemoryBackend):
    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> BytesStream:
        return await super().read(key, if_match=if_match)


class EndsRangesEarly(MemoryBackend):
    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> BytesStream:
        if byte_range is not None and byte_range.end:
            byte_range = replace(byte_range, end=byte_range.end - 1)
        return await super().read(key, byte_range=byte_range, if_match=if_match)


class IgnoresConditions(MemoryBackend):
    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> BytesStream:
        return await super().read(key, byte_range=byte_range)


class ListsInOrderOfFolders(MemoryBackend):
    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        page = await super().list(prefix=prefix, after=after, limit=limit)
        objects = tuple(sorted(page.objects, key=lambda info: info.key.split("/")))
        return replace(page, objects=objects)


class ListsAfterInclusively(MemoryBackend):
    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        page = await super().list(prefix=prefix, limit=limit)
        return replace(page, objects=tuple(info for info in page.objects if info.key >= after))


class NeverSaysThatMoreFollow(MemoryBackend):
    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        page = await super().list(prefix=prefix, after=after, limit=limit)
        return replace(page, truncated=False)


class ListsLate(MemoryBackend):
    """A listing shows what the one before should have shown."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = ObjectPage(objects=(), truncated=False)

    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        shown, self._shown = self._shown, await super().list()
        return replace(shown, objects=tuple(info for info in shown.objects if info.key > after))


class ListsAWhileLater(MemoryBackend):
    """A listing shows a write a while after it, as late as is declared."""

    late_seconds = 0.2
    declared_seconds = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._shown = ObjectPage(objects=(), truncated=False)
        self._until = 0.0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(listing_consistent=False, listing_lag_seconds=self.declared_seconds)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        await self._begin_lag()
        return await super().write(key, body, attributes)

    async def delete(self, key: str) -> None:
        await self._begin_lag()
        await super().delete(key)

    async def _begin_lag(self) -> None:
        self._shown = await self.list()
        self._until = current_time() + self.late_seconds

    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        if current_time() >= self._until:
            return await super().list(prefix=prefix, after=after, limit=limit)
        old = tuple(info for info in self._shown.objects if info.key > after)
        return ObjectPage(objects=old, truncated=False)


class ListsLaterThanDeclared(ListsAWhileLater):
    late_seconds = 30.0
    declared_seconds = 0.1


class ListsOtherTags(MemoryBackend):
    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        page = await super().list(prefix=prefix, after=after, limit=limit)
        return replace(page, objects=tuple(replace(info, etag="tag") for info in page.objects))


class ListsMoreThanDeclared(MemoryBackend):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(page_keys_max=5)


class IgnoresLimits(MemoryBackend):
    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        return await super().list(prefix=prefix, after=after)


class TakesAnyBody(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        return await super().write(key, body_of(await bytes_of(body)), attributes)


class BelievesTheSize(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        data = await bytes_of(body)
        honest = body_of(data)
        if len(data) != body.size:
            honest = TestBody(pieces=honest.pieces, size=body.size, sha256=body.sha256)
        return await super().write(key, honest, attributes)


class DeletesWhatItRefuses(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        try:
            return await super().write(key, body, attributes)
        except BaseException:
            await self.delete(key)
            raise


class KeepsWhatCameOfABody(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        chunks: list[bytes] = []
        try:
            async for chunk in body.chunks():
                chunks.append(chunk)  # noqa: PERF401 - what came before it broke is wanted
        except Exception:
            await super().write(key, body_of(b"".join(chunks)), attributes)
            raise
        return await super().write(key, body, attributes)


class TagsByContent(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        await super().write(key, body, attributes)
        info, data = self._objects[key]
        self._objects[key] = (replace(info, etag=body.sha256), data)
        return self._objects[key][0]


class TagsBySize(MemoryBackend):
    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        await super().write(key, body, attributes)
        info, data = self._objects[key]
        self._objects[key] = (replace(info, etag=str(body.size)), data)
        return self._objects[key][0]


class HasOneBufferForAll(MemoryBackend):
    _buffer: bytes = b""

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        self._buffer = await bytes_of(body)
        await checkpoint()
        return await super().write(key, body_of(self._buffer), attributes)


class MixesWriters(MemoryBackend):
    """The bytes of one writer, the attributes of the one before."""

    _attributes: Attributes = NO_ATTRIBUTES

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        before, self._attributes = self._attributes, attributes
        return await super().write(key, body, before)


class ReadsOn(MemoryBackend):
    """A stream follows the object to its next version."""

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> BytesStream:
        stream = await super().read(key, byte_range=byte_range, if_match=if_match)
        return FollowingStream(self, key, stream)  # type: ignore[return-value]


class FollowingStream:
    def __init__(self, backend: ReadsOn, key: str, stream: BytesStream) -> None:
        self.info = stream.info
        self._backend = backend
        self._key = key
        self._at = 0

    def __aiter__(self) -> FollowingStream:
        return self

    async def __anext__(self) -> bytes:
        _, data = self._backend._objects[self._key]
        half = len(data) // 2
        chunk = b"" if self._at >= len(data) else (b"\1" * half if self._at == 0 else data[half:])
        self._at += len(chunk)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        return


class ForgetsWhenPreparedAgain(MemoryBackend):
    async def prepare(self, *, create: bool) -> None:
        self._objects.clear()
        self._keys.clear()


class ShowsWhatIsStaged(MemoryBackend):
    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        staged = await super().stage(key, body, attributes)
        await staged.complete()
        return staged


class StagesTheBytesAlone(MemoryBackend):
    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        return await super().stage(key, body, NO_ATTRIBUTES)


class ClaimsToStage:
    """It declares what it does not have: everything else is handed on."""

    capabilities = Capabilities(staged_bytes_min=1)

    def __init__(self) -> None:
        self._inner = MemoryBackend()

    def __getattr__(self, name: str) -> object:
        if name in ("stage", "part_bytes"):
            raise AttributeError(name)
        return getattr(self._inner, name)


class KeepsWhatIsDropped(MemoryBackend):
    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        staged = await super().stage(key, body, attributes)
        staged.drop = checkpoint  # type: ignore[method-assign]
        return staged


class DropsTheObjectToo(MemoryBackend):
    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        staged, drop = await super().stage(key, body, attributes), partial(self.delete, key)
        staged.drop = drop  # type: ignore[method-assign]
        return staged


class CompletesAgain(MemoryBackend):
    """Each completion puts the bytes once more, whatever was written since."""

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        staged = await super().stage(key, body, attributes)
        staged.complete = partial(self.write, key, body, attributes)  # type: ignore[method-assign]
        return staged


class CompletesOnlyWhatStayed(MemoryBackend):
    """It takes a completion for done where somebody wrote meanwhile."""

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        staged, versions = await super().stage(key, body, attributes), self._versions
        complete = staged.complete

        async def unless_written() -> ObjectInfo:
            return await (complete() if versions == self._versions else self.stat(key))

        staged.complete = unless_written  # type: ignore[method-assign]
        return staged


class StagesAnyBody(MemoryBackend):
    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> MemoryStaged:
        return await super().stage(key, body_of(await bytes_of(body)), attributes)


class WritesNoLargeBody(MemoryBackend):
    """A body that could be staged is cut when it is written at once."""

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        least = self.capabilities.staged_bytes_min or 0
        return await super().write(key, body_of((await bytes_of(body))[:least]), attributes)


LIARS: dict[str, list[Callable[[], Any]]] = {
    "returns_the_bytes_it_took": [FlipsAByte, CutsLargeBodies],
    "reads_a_write_at_once": [AnswersTheVersionBefore],
    "holds_odd_keys_side_by_side": [FoldsSlashes, DeletesTheFileOfAFolder, ListsLate],
    "refuses_illegal_keys": [TakesAnyKey, ClaimsAShortKey],
    "keeps_attributes_as_declared": [LosesMetadata, KeepsMoreThanDeclared, KeepsOldAttributes],
    "overwrites_atomically": [
        OverwritesInPlace,
        DeletesBeforeItOverwrites,
        SwitchesAttributesLater,
    ],
    "reads_ranges": [IgnoresRanges, EndsRangesEarly],
    "reads_on_condition": [IgnoresConditions],
    "deletes_what_is_not_there": [FailsToDeleteTheAbsent, DeletesWhatIsBelow],
    "says_not_found_of_absent_keys_alone": [SaysUnavailableForAbsent, FoldsCase],
    "lists_in_byte_order_by_pages": [
        ListsInOrderOfFolders,
        ListsAfterInclusively,
        NeverSaysThatMoreFollow,
    ],
    "lists_what_stat_says": [ListsOtherTags, ListsLate, ListsLaterThanDeclared],
    "limits_pages_as_declared": [ListsMoreThanDeclared, IgnoresLimits],
    "refuses_bodies_that_differ": [TakesAnyBody, BelievesTheSize, DeletesWhatItRefuses],
    "drops_a_write_whose_body_breaks": [KeepsWhatCameOfABody, DeletesWhatItRefuses],
    "tells_versions_apart": [TagsByContent, TagsBySize],
    "serves_many_at_once": [HasOneBufferForAll],
    "lets_one_of_many_writers_win": [MixesWriters],
    "lets_go_of_streams": [ReadsOn],
    "prepares_again": [ForgetsWhenPreparedAgain],
    "shows_nothing_before_it_is_completed": [
        ShowsWhatIsStaged,
        StagesTheBytesAlone,
        ClaimsToStage,
        DropsTheObjectToo,
    ],
    "drops_what_was_staged": [KeepsWhatIsDropped, DropsTheObjectToo],
    "completes_as_a_write_of_now": [CompletesAgain, CompletesOnlyWhatStayed],
    "stages_only_what_was_announced": [StagesAnyBody, WritesNoLargeBody],
}
