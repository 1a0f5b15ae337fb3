"""Sides that do not answer: another side still has its time, and nothing is sent too late."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.files.worlds import world

from crossfade.core.objects import Side
from crossfade.core.settings import Mirror, Timing, Workers
from crossfade.errors import BackendUnavailableError, OutcomeUnknownError, SlowDownError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.worlds import World

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_catalog")]
LONG = Timing(lease=30.0, late_max=60.0, look_max=0.4)


async def doubts(w: World, key: str) -> set[Side]:
    await w.settle()
    record = (await w.engine.look(key)).record
    return set() if record is None else {side for side in Side if record.doubt[side] is not None}


@pytest.mark.parametrize("mirror", [Mirror.ASYNC, Mirror.SYNC])
@pytest.mark.parametrize("hanging", Side)
async def test_a_write_falls_back_from_a_side_that_hangs(
    tmp_path: Path, mirror: Mirror, hanging: Side
) -> None:
    async with world(tmp_path, mirror=mirror, timing=LONG) as w:
        await w.place(Side.SOURCE, "old", b"old")
        await w.seal()
        await w.route(100 if hanging is Side.TARGET else 0)
        w.side(hanging).hangs = {"write", "delete"}
        await w.files.put("k", b"data", timeout=3.0)
        await w.files.delete("old", timeout=3.0)
        assert await w.holds(hanging.other, "k") == b"data"
        assert await w.holds(hanging.other, "old") is None
        for key in ("k", "old"):
            assert await doubts(w, key) == {hanging}


async def test_without_another_side_to_ask_the_first_one_has_all_the_time(tmp_path: Path) -> None:
    async with world(tmp_path, fallback=False, timing=LONG) as w:
        await w.seal()
        w.source.hangs = {"write"}
        since = w.engine.clock()
        with pytest.raises(OutcomeUnknownError):
            await w.files.put("k", b"data", timeout=0.4)
        assert w.engine.clock() - since >= 0.4
        assert await doubts(w, "k") == {Side.SOURCE}
        assert "write k" not in w.target.asked


async def test_a_side_in_doubt_takes_no_time_from_the_other(tmp_path: Path) -> None:
    async with world(tmp_path, timing=LONG, workers=Workers.SEPARATE) as w:
        await w.seal()
        w.source.hangs = {"write"}
        await w.files.put("k", b"one", timeout=3.0)
        w.target.hangs = {"write"}
        since = w.engine.clock()
        with pytest.raises(OutcomeUnknownError):
            await w.files.put("k", b"two", timeout=0.4)
        assert w.engine.clock() - since >= 0.4


async def test_nothing_is_sent_or_announced_after_the_deadline(tmp_path: Path) -> None:
    async with world(tmp_path, timing=LONG) as w:
        await w.seal()
        for call in (partial(w.files.put, "k", b"data"), partial(w.files.delete, "k")):
            with pytest.raises(BackendUnavailableError, match="nothing was sent"):
                await call(timeout=1e-9)
        assert w.source.asked[-1] == w.target.asked[-1] == "list "
        await w.settle()
        assert (await w.engine.look("k")).record is None


async def test_a_refusal_stays_certain_when_the_deadline_comes_before_the_next_attempt(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, timing=LONG) as w:
        await w.seal()
        for side in (w.source, w.target):
            side.before["write"] = [SlowDownError("slower")] * 3
        with pytest.raises(SlowDownError):
            await w.files.put("k", b"data", timeout=0.05)
        assert await doubts(w, "k") == set()
        assert (await w.engine.look("k")).record is None


@pytest.mark.parametrize("hanging", Side)
async def test_a_closed_key_is_read_from_the_other_side_when_its_own_hangs(
    tmp_path: Path, hanging: Side
) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"data")
        await w.seal()
        await w.route(100 if hanging is Side.TARGET else 0)
        w.side(hanging).hangs = {"read", "stat", "list"}
        with anyio.fail_after(3):
            async with await w.files.get("k") as obj:
                assert (obj.side, await obj.read()) == (hanging.other, b"data")
            assert (await w.files.head("k")).etag.startswith(f"{hanging.other}-")
            assert [info.key async for info in w.files.list()] == ["k"]


async def test_an_open_key_waits_for_its_authority_to_the_deadline(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.seal()
        await w.files.put("k", b"data")
        w.source.hangs = {"read"}
        with pytest.raises(BackendUnavailableError, match="before the deadline"):
            await w.files.get("k", timeout=0.2)
        assert "read k" not in w.target.asked


@pytest.mark.parametrize("hanging", Side)
async def test_a_condition_is_judged_by_the_side_that_answers(
    tmp_path: Path, hanging: Side
) -> None:
    async with world(tmp_path, mirror=Mirror.SYNC) as w:
        await w.seal()
        await w.files.put("k", b"1")
        await w.settle()
        tag = f"{hanging.other}-{(await w.side(hanging.other).inner.stat('k')).etag}"
        w.side(hanging).hangs = {"stat"}
        await w.files.put("k", b"2", if_match=tag, timeout=1.0)
        assert await w.holds(Side.SOURCE, "k") == b"2"
