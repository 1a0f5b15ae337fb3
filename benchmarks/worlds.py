"""What is measured: migrations with sealed ranges, and the same kind of sides without Crossfade."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio

import crossfade
from crossfade.backends.local import LocalBackend
from crossfade.backends.memory import MemoryBackend
from crossfade.core.objects import NO_ATTRIBUTES, Pair
from crossfade.core.settings import Mirror
from crossfade.files.bodies import BytesBody
from crossfade.setup.sides import forget_memory_sides, open_side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from crossfade.files.facade import Files
    from crossfade.ports import Backend

MIRRORS = (Mirror.ASYNC, Mirror.SYNC, Mirror.PARALLEL)
PERCENTAGE = 50
DRAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Sides of one kind.

    Attributes:
        files: a migration for each way to mirror, all with sealed ranges and at 50 %.
        plain: both sides of a service that does without Crossfade.
        urls: theirs, where they have some.
        body: what is written.
    """

    kind: str
    opened: crossfade.Crossfade
    files: dict[Mirror, Files]
    plain: Pair[Backend]
    body: bytes
    urls: tuple[str, str] = ("", "")

    async def drain(self, mirror: Mirror) -> None:
        """Wait until every mirror under way is done."""
        if not await self.files[mirror].engine.background.drain(DRAIN_SECONDS):
            message = f"mirrors were not done after {DRAIN_SECONDS:.0f} s"
            raise TimeoutError(message)

    async def put_with(self, mirror: Mirror, key: str) -> None:
        await self.files[mirror].put(key, self.body)

    async def get_with(self, mirror: Mirror, key: str) -> None:
        async with await self.files[mirror].get(key) as obj:
            await obj.read()

    async def get_alone(self, key: str) -> None:
        stream = await self.plain.source.read(key)
        try:
            b"".join([chunk async for chunk in stream])
        finally:
            await stream.aclose()

    async def list_with(self, mirror: Mirror) -> None:
        """List everything through Crossfade."""
        async for _ in self.files[mirror].list():
            pass

    async def list_alone(self) -> None:
        """List everything that one side holds."""
        page = await self.plain.source.list()
        while page.truncated:
            page = await self.plain.source.list(after=page.objects[-1].key)

    async def put_in_turn(self, key: str) -> None:
        """Write one side, then the other."""
        body = BytesBody(self.body)
        await self.plain.source.write(key, body, NO_ATTRIBUTES)
        await self.plain.target.write(key, body, NO_ATTRIBUTES)

    async def put_at_once(self, key: str) -> None:
        """Write both sides at the same time."""
        body = BytesBody(self.body)
        async with anyio.create_task_group() as group:
            group.start_soon(self.plain.target.write, key, body, NO_ATTRIBUTES)
            await self.plain.source.write(key, body, NO_ATTRIBUTES)


@asynccontextmanager
async def memory_world(body: bytes, keys: Sequence[str]) -> AsyncIterator[World]:
    """Sides and catalog in memory."""
    forget_memory_sides()
    sides = {mirror: (f"memory://{mirror}-a", f"memory://{mirror}-b") for mirror in MIRRORS}
    plain: Pair[Backend] = Pair(MemoryBackend("plain-a"), MemoryBackend("plain-b"))
    async with _world("memory", _raw("memory://", sides), plain, body, keys) as world:
        yield world
    forget_memory_sides()


@asynccontextmanager
async def directory_world(folder: Path, body: bytes, keys: Sequence[str]) -> AsyncIterator[World]:
    """Directories and the catalog in one file, all on one file system."""
    places = {name: folder / name for name in ("plain", *MIRRORS)}
    for place in places.values():
        for side in ("a", "b"):
            (place / side).mkdir(parents=True)
    sides = {m: (f"local://{places[m] / 'a'}", f"local://{places[m] / 'b'}") for m in MIRRORS}
    raw = _raw(f"sqlite:///{folder / 'state' / 'catalog.db'}", sides)
    plain = Pair(LocalBackend(places["plain"] / "a"), LocalBackend(places["plain"] / "b"))
    for backend in (plain.source, plain.target):
        await backend.prepare(create=True)
    async with _world("directories", raw, plain, body, keys) as world:
        yield world
    for backend in (plain.source, plain.target):
        await backend.close()


@asynccontextmanager
async def bucket_world(
    kind: str, folder: Path, url: Callable[[str], str], body: bytes, keys: Sequence[str]
) -> AsyncIterator[World]:
    """Buckets of one server, and the catalog in one file.

    Args:
        kind: what to call the server.
        folder: for the catalog.
        url: the URL of a side in a new bucket, from a name for it.
        body: what is written.
        keys: what is there from the start, under `body`.
    """
    sides = {mirror: (url(f"{mirror}-a"), url(f"{mirror}-b")) for mirror in MIRRORS}
    urls = (url("plain-a"), url("plain-b"))
    plain = Pair(open_side(urls[0]), open_side(urls[1]))
    raw = _raw(f"sqlite:///{folder / 'catalog.db'}", sides)
    try:
        async with _world(kind, raw, plain, body, keys) as world:
            yield replace(world, urls=urls)
    finally:
        await plain.source.close()
        await plain.target.close()


def _raw(store: str, sides: dict[Mirror, tuple[str, str]]) -> dict[str, Any]:
    migrations = {
        str(mirror): {
            "enabled": True,
            "source": source,
            "target": target,
            "mirror": str(mirror),
            "percentage": PERCENTAGE,
        }
        for mirror, (source, target) in sides.items()
    }
    return {"crossfade": {"enabled": True}, "store": {"url": store}, "migrations": migrations}


@asynccontextmanager
async def _world(
    kind: str, raw: dict[str, Any], plain: Pair[Any], body: bytes, keys: Sequence[str]
) -> AsyncIterator[World]:
    async with crossfade.open(raw, environ={}) as opened:
        files = {mirror: opened.files(str(mirror)) for mirror in MIRRORS}
        world = World(kind=kind, opened=opened, files=files, plain=plain, body=body)
        for key in keys:
            await world.put_at_once(key)
            for mirror in MIRRORS:
                await world.put_with(mirror, key)
        for mirror in MIRRORS:
            await world.drain(mirror)
            # Both sides hold the same: nobody else writes here, so there is nothing to compare.
            await opened.store.catalog.seal(str(mirror), "", None, lambda _: True)
        yield world
