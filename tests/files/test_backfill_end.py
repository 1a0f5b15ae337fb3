"""A run of backfill ends with everything copied, or with the names of what is not."""

from __future__ import annotations

import errno
import tempfile
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.files.worlds import TIMING, world

from crossfade.core import protocol, steering
from crossfade.core.intents import Ask, Marked, Wait
from crossfade.core.objects import Side
from crossfade.core.records import Decision, Look, Operation
from crossfade.core.settings import Limits, Workers
from crossfade.errors import AccessDeniedError, CrossfadeError, LeaseHeldError, StorageFullError
from crossfade.files.backfill import FAILED_IN_A_ROW_MAX

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.worlds import World

    from crossfade.files.backfill_report import BackfillReport

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_catalog")]

alone = partial(world, workers=Workers.SEPARATE, limits=Limits(poll_seconds=0.01))


def refuse(w: World, error: CrossfadeError, times: int = 10_000) -> None:
    w.target.before["write"] = [error] * times


async def open_by_one_that_is_gone(w: World, key: str) -> None:
    ask = Ask(token="gone/1", holder="gone", operation=Operation.COPY, digest=None)

    def decide(look: Look) -> Decision[Marked | Wait]:
        return protocol.mark_copy(look, ask, TIMING)

    answer: Marked | Wait = await w.engine.change(key, decide)
    assert isinstance(answer, Marked)


async def test_a_key_that_cannot_be_copied_is_named_by_every_run(tmp_path: Path) -> None:
    async with alone(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"1")
        await w.place(Side.SOURCE, "other", b"1")
        await w.begin()
        w.source.before["read"] = [AccessDeniedError("no rights", key="k")] * 50
        for _ in range(2):
            report = await w.files.backfill().run()
            assert not report.finished
            assert "k" in report.failed
            assert "no rights" in report.failed["k"]
            assert report.failed_count == len(report.failed)
        w.source.before.clear()
        report = await w.files.backfill().run()
        assert report.finished
        assert report.failed == {}
        assert await w.holds(Side.TARGET, "k") == b"1"


async def test_what_a_killed_run_left_is_waited_for_and_copied(tmp_path: Path) -> None:
    waited: list[int] = []
    async with alone(tmp_path) as w:
        for key in ("a", "b"):
            await w.place(Side.SOURCE, key, b"1")
            await open_by_one_that_is_gone(w, key)
        await w.begin()
        run = w.files.backfill(on_progress=lambda report: waited.append(report.waiting))
        report = await run.run()
        assert report.finished, report
        assert (report.copied, max(waited)) == (2, 2)
        assert (await w.catalog.census("m")).open_count == 0
        assert await w.holds(Side.TARGET, "b") == b"1"


async def test_a_key_that_another_process_goes_on_holding_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.files.backfill.settle_seconds_max", lambda _: 0.0)
    async with alone(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"1")
        await open_by_one_that_is_gone(w, "k")
        await w.begin()
        report = await w.files.backfill().run()
    assert (report.finished, report.left_count, report.waiting) == (False, 1, 0)
    assert "a copy of it is under way by gone" in report.left["k"]


async def test_a_run_that_waits_for_open_keys_stops_at_once(tmp_path: Path) -> None:
    reports: list[BackfillReport] = []
    async with alone(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"1")
        await open_by_one_that_is_gone(w, "k")
        await w.begin()

        def stop(report: BackfillReport) -> None:
            if report.waiting:
                run.stop()

        run = w.files.backfill(on_progress=stop)
        with anyio.fail_after(TIMING.lease / 2):
            reports.append(await run.run())
    assert reports[0].stopped


async def test_a_full_side_ends_the_run_before_more_keys_are_opened(tmp_path: Path) -> None:
    limits = Limits(poll_seconds=0.01, copies_max=4)
    async with alone(tmp_path, limits=limits) as w:
        for number in range(40):
            await w.place(Side.SOURCE, f"{number:02}", b"1")
        await w.begin()
        refuse(w, StorageFullError("no room left", side="target"))
        for _ in range(2):
            report = await w.files.backfill().run()
            assert "no room left" in report.halted
            assert not report.finished
            assert not report.stopped
            assert (await w.catalog.census("m")).open_count <= 8
        w.target.before.clear()
        assert (await w.files.backfill().run()).finished


async def test_a_full_folder_for_temporary_files_fails_what_needs_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with alone(tmp_path, limits=Limits(poll_seconds=0.01, small_body_bytes=10)) as w:
        for number in range(FAILED_IN_A_ROW_MAX + 20):
            await w.place(Side.SOURCE, f"a-large-{number:04}", b"1" * 11)
        await w.place(Side.SOURCE, "small", b"1")
        await w.begin()
        with monkeypatch.context() as patched:
            patched.setattr(tempfile, "TemporaryFile", full)
            report = await w.files.backfill().run()
        assert not report.halted
        assert "the folder for temporary files" in report.failed["a-large-0000"]
        assert await w.holds(Side.TARGET, "small") == b"1"
        assert (await w.files.backfill().run()).finished


async def test_copies_that_all_fail_end_the_run(tmp_path: Path) -> None:
    async with alone(tmp_path) as w:
        for number in range(FAILED_IN_A_ROW_MAX * 3):
            await w.place(Side.SOURCE, f"{number:04}", b"1")
        await w.begin()
        refuse(w, AccessDeniedError("read-only", side="target"))
        report = await w.files.backfill().run()
    assert "copies in a row failed" in report.halted
    assert report.failed_count < FAILED_IN_A_ROW_MAX * 2


async def test_a_key_that_is_gone_over_again_is_counted_once(tmp_path: Path) -> None:
    async with alone(tmp_path, timing=replace(TIMING, late_max=1.0)) as w:
        for number in range(10):
            await w.place(Side.SOURCE, f"{number}", b"1")
        await w.place(Side.TARGET, "0", b"1")
        await w.catalog.change_row("m", steering.begin)
        report = await w.files.backfill().run()
    assert report.finished
    assert (report.copied, report.same, report.again) == (9, 1, 10)


async def test_a_held_lease_says_when_to_try_again(tmp_path: Path) -> None:
    async with alone(tmp_path) as w:
        await w.catalog.take_lease("backfill:m", "gone", 60.0)
        with pytest.raises(LeaseHeldError, match="if none runs any more, try again in 1 s"):
            await w.files.backfill().run()


async def test_a_plan_counts_what_the_target_holds_too(tmp_path: Path) -> None:
    async with alone(tmp_path) as w:
        for key in ("a", "b", "c"):
            await w.place(Side.SOURCE, key, b"1")
        await w.place(Side.TARGET, "b", b"2")
        await w.place(Side.TARGET, "c", b"longer")
        report = await w.files.backfill().plan()
    assert (report.common, report.unlike) == (2, 1)
