"""What runs beside the calls: it never takes the application down, and is drained at the end."""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.files.worlds import TIMING, world

from crossfade.core import protocol
from crossfade.core.intents import Ask, Marked
from crossfade.core.objects import Side
from crossfade.core.records import Operation
from crossfade.core.settings import Workers
from crossfade.errors import ConfigurationError, InvariantError
from crossfade.files.engine import Engine
from crossfade.files.running import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.files.worlds import FaultySide, World

    from crossfade.core.objects import Attributes, ObjectInfo
    from crossfade.core.records import Record
    from crossfade.files.facade import Files
    from crossfade.ports import Body

pytestmark = pytest.mark.anyio


class Gate:
    """Holds up the writes of one key to a side until it is opened."""

    def __init__(self, side: FaultySide, key: str, patch: pytest.MonkeyPatch) -> None:
        self.reached = anyio.Event()
        self.opened = anyio.Event()
        write = side.write

        async def held_up(to: str, body: Body, attributes: Attributes) -> ObjectInfo:
            if to == key:
                self.reached.set()
                await self.opened.wait()
            return await write(to, body, attributes)

        patch.setattr(side, "write", held_up)

    def open_at_the_end_of(self, files: Files, patch: pytest.MonkeyPatch) -> None:
        """Open it once the files are being closed, and not before."""
        close = files.engine.turns.close

        def closing() -> None:
            close()
            self.opened.set()

        patch.setattr(files.engine.turns, "close", closing)


async def leave_open(w: World, key: str) -> None:
    """Leave a key as a process does that dies before it sends anything."""
    ask = Ask(token=f"dead/{key}", holder="dead", operation=Operation.PUT, digest=None)
    timing = replace(TIMING, lease=0.0)
    marked = await w.engine.change(key, partial(protocol.mark, ask=ask, timing=timing))
    assert isinstance(marked, Marked)


async def closed(w: World, key: str) -> None:
    with anyio.fail_after(5):
        while (await w.engine.look(key)).record is not None:
            await anyio.sleep(0.005)


@asynccontextmanager
async def worker_of(w: World) -> AsyncIterator[Files]:
    """Run the migration's workers, as another process does."""
    engine = Engine(
        name="m",
        catalog=w.catalog,
        sides=w.engine.sides,
        proofs=w.engine.proofs,
        settings=replace(w.engine.settings, workers=Workers.INLINE),
        route=w.engine.route,
        holder="worker",
    )
    async with running(engine) as files:
        yield files


async def test_a_mirror_that_fails_unexpectedly_is_left_to_recovery(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path) as w:
        await w.seal()
        w.target.before["write"] = [OSError(28, "No space left on device")]
        await w.files.put("k", b"x")
        await w.settle()
        assert w.engine.background.failed == 0
        assert "No space left on device" in caplog.text
        assert "Traceback" in caplog.text
        record = (await w.engine.look("k")).record
        assert record is not None
        assert record.intent is None
        assert record.doubt.target is not None
        await closed(w, "k")
        assert await w.holds(Side.TARGET, "k") == b"x"


async def test_a_bug_in_background_work_surfaces(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.seal()
            w.target.before["write"] = [InvariantError("a bug")]
            await w.files.put("k", b"x")
            await anyio.sleep_forever()

    with pytest.raises(InvariantError, match="a bug"):
        await run()


async def test_recovery_goes_on_after_its_store_failed_unexpectedly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.seal()
        await w.files.put("k", b"x")
        await w.settle()
        failures, due = [OSError("odd")], w.catalog.due

        async def fails_once(migration: str, limit: int) -> Sequence[tuple[str, Record]]:
            if failures:
                raise failures.pop()
            return await due(migration, limit)

        monkeypatch.setattr(w.catalog, "due", fails_once)
        async with worker_of(w):
            await closed(w, "k")
        assert not failures


async def test_a_copy_of_recovery_under_way_at_the_end_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.seal()
        await w.files.put("k", b"x")
        await w.settle()
        gate = Gate(w.target, "k", monkeypatch)
        async with worker_of(w) as files:
            gate.open_at_the_end_of(files, monkeypatch)
            with anyio.fail_after(5):
                await gate.reached.wait()
        assert (await w.engine.look("k")).record is None
        assert await w.holds(Side.TARGET, "k") == b"x"


async def test_a_slow_copy_holds_up_no_other_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.seal()
        await w.files.put("slow", b"x")
        await w.settle()
        gate = Gate(w.target, "slow", monkeypatch)
        async with worker_of(w):
            with anyio.fail_after(5):
                await gate.reached.wait()
            await leave_open(w, "late")
            await closed(w, "late")
            assert (await w.engine.look("slow")).record is not None
            gate.opened.set()


async def test_a_put_under_way_at_the_end_is_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anyio.create_task_group() as group:
        async with world(tmp_path) as w:
            await w.seal()
            gate = Gate(w.source, "k", monkeypatch)
            gate.open_at_the_end_of(w.files, monkeypatch)
            group.start_soon(w.files.put, "k", b"x")
            with anyio.fail_after(5):
                await gate.reached.wait()
        assert (await w.engine.look("k")).record is None
        assert await w.holds(Side.TARGET, "k") == b"x"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_call_after_the_end_is_refused_and_says_what_to_do(
    tmp_path: Path, *, fails: bool
) -> None:
    kept: list[World] = []
    with pytest.raises(ValueError, match="own error") if fails else nullcontext():
        async with world(tmp_path) as w:
            kept.append(w)
            await w.seal()
            await w.files.put("k", b"x")
            if fails:
                int("the application's own error")
    assert await kept[0].holds(Side.TARGET, "k") == b"x"
    with pytest.raises(ConfigurationError, match=r"'k'.*closed.*open it again"):
        await kept[0].files.put("k", b"y")
    assert await kept[0].holds(Side.SOURCE, "k") == b"x"


async def test_a_put_that_outlives_the_draining_keeps_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    async with anyio.create_task_group() as group:
        async with world(tmp_path) as w:
            await w.seal()
            limits = replace(w.engine.limits, drain_seconds=0.0)
            w.engine.settings = replace(w.engine.settings, limits=limits)
            gate = Gate(w.source, "k", monkeypatch)

            async def put() -> None:
                answers.append(await w.files.put("k", b"x"))

            group.start_soon(put)
            with anyio.fail_after(5):
                await gate.reached.wait()
        gate.opened.set()
    assert [answer.key for answer in answers] == ["k"]
    assert await w.holds(Side.SOURCE, "k") == b"x"
