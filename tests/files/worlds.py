"""Migrations to test on: real sides and catalogs, short times, faults where a test wants them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from crossfade.backends.local import LocalBackend
from crossfade.backends.memory import MemoryBackend
from crossfade.core import routing
from crossfade.core.objects import Attributes, Pair, Side
from crossfade.core.records import Census, MigrationRow
from crossfade.core.settings import Limits, Mirror, Settings, Timing, Workers
from crossfade.files.bodies import BytesBody
from crossfade.files.engine import Engine
from crossfade.files.running import running
from crossfade.ports import Stager
from crossfade.stores.memory import MemoryCatalog, MemoryProofs
from crossfade.stores.sqlite import SqliteCatalog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import ByteRange, ObjectInfo
    from crossfade.files.facade import Files
    from crossfade.ports import Backend, Body, Catalog, ObjectStream, Page, Staged

TIMING = Timing(lease=1.0, late_max=0.05, look_max=0.2, copier_wait=0.05, complete_wait=0.2)
KEYS = [
    "a//b",
    "folder/",
    "folder",
    "a",
    "a/b",
    "A",
    "..",
    "a/../b",
    "/lead",
    "%2F",
    "ü/日本.txt",
    "e\u0301",
    "\u00e9",
    "x" * 1024,
    "a b+c%20d",
    "tab\there",
    "%~=a",
    "%~%7E",
]
CATALOG_KIND = "memory"
_names = count(1)


class FaultySide:
    """A side that fails the next requests as a test says: a list of errors for each verb.

    Attributes:
        hangs: the verbs that are never answered.
        declared: what it says that it can do, in place of what is behind it.
        staged: what was staged and neither completed nor let go of.
        part_sizes: in which it was asked to stage, in turn.
        original_part_bytes: what it says of the parts of every object.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.before: dict[str, list[Exception | None]] = {}
        self.after: dict[str, list[Exception | None]] = {}
        self.asked: list[str] = []
        self.hangs: set[str] = set()
        self.declared: Capabilities | None = None
        self.part_sizes: list[int | None] = []
        self.original_part_bytes: int | None = None
        self.staged: set[FaultyStaged] = set()

    @property
    def capabilities(self) -> Capabilities:
        return self.declared or self.inner.capabilities

    @property
    def location(self) -> str:
        return self.inner.location

    async def _begin(self, verb: str, key: str) -> None:
        self.asked.append(f"{verb} {key}")
        if verb in self.hangs:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        self._fail(self.before, verb)

    def _fail(self, planned: dict[str, list[Exception | None]], verb: str) -> None:
        errors = planned.get(verb)
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error

    async def prepare(self, *, create: bool) -> None:
        await self.inner.prepare(create=create)

    async def stat(self, key: str) -> ObjectInfo:
        await self._begin("stat", key)
        return await self.inner.stat(key)

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        await self._begin("read", key)
        return await self.inner.read(key, byte_range=byte_range, if_match=if_match)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        await self._begin("write", key)
        info = await self.inner.write(key, body, attributes)
        self._fail(self.after, "write")
        return info

    async def stage(
        self, key: str, body: Body, attributes: Attributes, *, part_bytes: int | None = None
    ) -> FaultyStaged:
        await self._begin("stage", key)
        assert isinstance(self.inner, Stager)
        staged = await self.inner.stage(key, body, attributes, part_bytes=part_bytes)
        self.part_sizes.append(part_bytes)
        return FaultyStaged(self, key, staged)

    async def part_bytes(self, info: ObjectInfo) -> int | None:
        return self.original_part_bytes

    async def complete(self, key: str, staged: Staged) -> ObjectInfo:
        await self._begin("complete", key)
        info = await staged.complete()
        self._fail(self.after, "complete")
        return info

    async def delete(self, key: str) -> None:
        await self._begin("delete", key)
        await self.inner.delete(key)
        self._fail(self.after, "delete")

    async def list(self, *, prefix: str = "", after: str = "", limit: int | None = None) -> Page:
        await self._begin("list", prefix)
        return await self.inner.list(prefix=prefix, after=after, limit=limit)

    async def close(self) -> None:
        await self.inner.close()


class FaultyStaged:
    """What was staged on a side; its completions fail as the side's requests do."""

    def __init__(self, side: FaultySide, key: str, staged: Staged) -> None:
        self._side = side
        self._key = key
        self._staged = staged
        side.staged.add(self)

    async def complete(self) -> ObjectInfo:
        info = await self._side.complete(self._key, self._staged)
        self._side.staged.discard(self)
        return info

    async def drop(self) -> None:
        self._side.asked.append(f"drop {self._key}")
        self._side.staged.discard(self)
        await self._staged.drop()


class Changes:
    """Stands in front of a catalog's `change`: counts, fails or holds up what a test says.

    Attributes:
        fail: for the next transactions, what to raise instead.
        held_up: which transactions, by number from 1 on, are done and never answered.
        number: how many were asked for.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._change = catalog.change
        self.number = 0
        self.fail: list[Exception | None] = []
        self.held_up: set[int] = set()
        self.holding = anyio.Event()
        catalog.change = self._next  # type: ignore[method-assign, assignment]

    async def _next(self, *arguments: Any) -> Any:
        self.number += 1
        number = self.number
        error = self.fail.pop(0) if self.fail else None
        if error is not None:
            raise error
        answer = await self._change(*arguments)
        if number in self.held_up:
            self.holding.set()
            await anyio.sleep_forever()
        return answer


@dataclass(slots=True, kw_only=True)
class World:
    """An open migration, with what a test looks at."""

    files: Files
    engine: Engine
    catalog: Catalog
    source: FaultySide
    target: FaultySide
    names: list[str] = field(default_factory=list)

    def side(self, side: Side) -> FaultySide:
        return self.source if side is Side.SOURCE else self.target

    async def route(self, percentage: int) -> None:
        def decide(census: Census) -> tuple[MigrationRow, None]:
            return replace(census.migration, basis_points=percentage * 100), None

        await self.catalog.change_row("m", decide)

    async def begin(self) -> None:
        """Say begin, long enough ago for seals to count."""

        def decide(census: Census) -> tuple[MigrationRow, None]:
            return replace(census.migration, begun_at=census.now - 1_000), None

        await self.catalog.change_row("m", decide)

    async def seal(self) -> None:
        """Begin, backfill and seal everything."""
        await self.begin()
        report = await self.files.backfill().run()
        assert report.finished, report

    async def holds(self, side: Side, key: str) -> bytes | None:
        """Return what a side holds, below every fault."""
        try:
            stream = await self.side(side).inner.read(key)
        except FileNotFoundError:
            return None
        return b"".join([chunk async for chunk in stream])

    async def place(
        self, side: Side, key: str, data: bytes, attributes: Attributes | None = None
    ) -> None:
        """Write past the facade."""
        await self.side(side).inner.write(key, BytesBody(data), attributes or Attributes())

    async def settle(self) -> None:
        """Wait for the mirrors under way."""
        assert await self.engine.background.drain(10)


async def make_side(kind: str, path: Path, name: str) -> Backend:
    if kind == "memory":
        return MemoryBackend(f"{name}{next(_names)}")
    root = path / name
    root.mkdir(exist_ok=True)
    side = LocalBackend(root)
    await side.prepare(create=True)
    return side


def make_catalog(path: Path) -> Catalog:
    if CATALOG_KIND == "memory":
        return MemoryCatalog()
    return SqliteCatalog(path / f"catalog-{next(_names)}.db", doubt_seconds=0.25)


@asynccontextmanager
async def world(
    path: Path,
    *,
    kinds: tuple[str, str] = ("memory", "memory"),
    mirror: Mirror = Mirror.ASYNC,
    fallback: bool = True,
    workers: Workers = Workers.INLINE,
    timing: Timing = TIMING,
    limits: Limits | None = None,
) -> AsyncIterator[World]:
    settings = Settings(
        mirror=mirror,
        fallback=fallback,
        workers=workers,
        timing=timing,
        limits=limits or Limits(poll_seconds=0.01, timeout_seconds=5.0, page_keys=4),
    )
    source = FaultySide(await make_side(kinds[0], path, "source"))
    target = FaultySide(await make_side(kinds[1], path, "target"))
    catalog = make_catalog(path)
    row = MigrationRow(name="m", source="s", target="t", salt="salt", algorithm=routing.ALGORITHM)
    await catalog.prepare(row)

    def route(row: MigrationRow, *, key: str, subject: str | None) -> Side:
        return routing.pick_side(row, settings, key=key, subject=subject)

    sides: Pair[Backend] = Pair(source, target)
    engine = Engine(
        name="m",
        catalog=catalog,
        sides=sides,
        proofs=MemoryProofs(),
        settings=settings,
        route=route,
        holder=f"test-{next(_names)}",
    )
    async with running(engine) as files:
        yield World(files=files, engine=engine, catalog=catalog, source=source, target=target)
    await source.close()
    await target.close()
    await catalog.close()
