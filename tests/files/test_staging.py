"""Large bodies: staged before the mark, put into place under it, and never left behind."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.files.worlds import TIMING, Changes, World, world

from crossfade.backends.memory import STAGED_BYTES_MIN
from crossfade.core.objects import BOTH_SIDES, Attributes, Side
from crossfade.core.records import Decision
from crossfade.core.settings import Limits, Mirror, Workers
from crossfade.errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    PreconditionError,
    SlowDownError,
    StoreUnavailableError,
)
from crossfade.files.copies import Copied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from crossfade.core.objects import ObjectInfo
    from crossfade.core.records import Look, Record

pytestmark = pytest.mark.anyio

LARGE = b"x" * STAGED_BYTES_MIN
OTHER = b"y" * (STAGED_BYTES_MIN + 1)
UNKNOWN = OutcomeUnknownError("no answer")


@asynccontextmanager
async def sealed(tmp_path: Path, **settings: Any) -> AsyncIterator[World]:
    """Open a migration without workers; at its end nothing that was staged is left."""
    settings.setdefault("workers", Workers.SEPARATE)
    async with world(tmp_path, **settings) as w:
        await w.seal()
        for side in BOTH_SIDES:
            w.side(side).asked.clear()
        yield w
        await w.settle()
        assert [side for side in BOTH_SIDES if w.side(side).staged] == []


async def record_of(w: World, key: str) -> Record:
    record = (await w.engine.look(key)).record
    assert record is not None
    return record


def before_mark(w: World, act: Callable[[], Any]) -> list[str]:
    """Do something once, after the body was staged and before the key is marked."""
    stage = w.source.stage
    done: list[str] = []

    async def staged(*arguments: Any, **more: Any) -> Any:
        found = await stage(*arguments, **more)
        if not done:
            done.append("done")
            await act()
        return found

    w.source.stage = staged  # type: ignore[method-assign]
    return done


async def test_a_large_body_is_staged_before_its_key_is_marked(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        open_then: list[object] = []

        async def look() -> None:
            open_then.append((await w.engine.look("k")).record)

        before_mark(w, look)
        await w.files.put("k", LARGE)
        assert open_then == [None]
        assert w.source.asked == ["stage k", "complete k", "drop k"]
        assert await w.holds(Side.SOURCE, "k") == LARGE


async def test_a_small_body_is_not_staged(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await w.files.put("k", LARGE[:-1])
        assert w.source.asked == ["write k"]


@pytest.mark.parametrize(
    ("mirror", "staged"), [(Mirror.ASYNC, []), (Mirror.SYNC, ["k"]), (Mirror.PARALLEL, ["k"])]
)
async def test_it_is_staged_where_the_mark_will_send_it(
    mirror: Mirror, staged: list[str], tmp_path: Path
) -> None:
    async with sealed(tmp_path, mirror=mirror) as w:
        await w.files.put("k", LARGE)
        await w.settle()
        assert w.target.asked == [f"{verb} k" for verb in ("stage", "complete", "drop") if staged]
        assert ((await w.engine.look("k")).record is None) is bool(staged)


async def test_writers_of_one_key_do_not_wait_for_the_staging_of_another(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        w.source.hangs.add("stage")
        async with anyio.create_task_group() as group:
            group.start_soon(partial(w.files.put, "k", LARGE, timeout=60))
            await anyio.lowlevel.checkpoint()
            with anyio.fail_after(2):
                await w.files.put("k", b"small")
            group.cancel_scope.cancel()
        assert await w.holds(Side.SOURCE, "k") == b"small"


async def test_a_cancelled_put_that_only_staged_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        w.source.hangs.add("stage")
        with anyio.move_on_after(0.05) as scope:
            await w.files.put("k", LARGE)
        assert scope.cancelled_caught
        assert (await w.engine.look("k")).record is None


async def test_a_cancelled_put_lets_go_of_what_it_staged(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        changes = Changes(w.catalog)
        changes.held_up.add(2)  # the mark: the first transaction asked where to stage
        async with anyio.create_task_group() as group:
            group.start_soon(w.files.put, "k", LARGE)
            await changes.holding.wait()
            group.cancel_scope.cancel()
        await w.settle()
        assert w.source.asked == ["stage k", "drop k"]
        assert (await w.engine.look("k")).record is None


async def test_the_deadline_holds_for_staging_too(tmp_path: Path) -> None:
    async with sealed(tmp_path, fallback=False) as w:
        w.source.hangs.add("stage")
        with anyio.fail_after(2), pytest.raises(BackendUnavailableError, match="nothing was"):
            await w.files.put("k", LARGE, timeout=0.1)
        assert (await w.engine.look("k")).record is None


async def test_a_side_that_does_not_take_the_body_in_has_half_of_the_time(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        w.source.hangs.add("stage")
        with anyio.fail_after(3):
            await w.files.put("k", LARGE, timeout=1.0)
        assert w.target.asked == ["stage k", "complete k", "drop k"]
        record = await record_of(w, "k")
        assert record.authority is Side.TARGET
        assert record.doubt.source is None


async def test_a_side_that_refuses_the_body_is_fallen_back_from(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        w.source.before["stage"] = [AccessDeniedError("no")]
        await w.files.put("k", LARGE)
        assert w.source.asked == ["stage k"]
        assert await w.holds(Side.TARGET, "k") == LARGE
        assert (await record_of(w, "k")).authority is Side.TARGET


async def test_a_body_that_no_side_takes_in_changes_nothing(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        w.source.before["stage"] = [AccessDeniedError("not here")]
        w.target.before["stage"] = [SlowDownError("nor there")]
        with pytest.raises(AccessDeniedError, match="not here") as caught:
            await w.files.put("k", LARGE)
        assert caught.value.side == "source"
        assert (await w.engine.look("k")).record is None


async def test_without_fallback_the_error_of_staging_is_the_caller_s(tmp_path: Path) -> None:
    async with sealed(tmp_path, fallback=False, mirror=Mirror.SYNC) as w:
        w.source.before["stage"] = [AccessDeniedError("no")]
        with pytest.raises(AccessDeniedError):
            await w.files.put("k", LARGE)
        assert (await w.engine.look("k")).record is None
        assert await w.holds(Side.TARGET, "k") is None


async def test_a_mirror_that_does_not_take_the_body_in_is_left_to_the_copier(
    tmp_path: Path,
) -> None:
    async with sealed(tmp_path, mirror=Mirror.SYNC) as w:
        w.target.before["stage"] = [SlowDownError("later")]
        await w.files.put("k", LARGE)
        await w.settle()
        record = await record_of(w, "k")
        assert (record.authority, record.doubt.target) == (Side.SOURCE, None)
        assert (await w.files.copier.copy("k")).result is Copied.CLOSED


async def test_a_completion_is_repeated_within_the_intent(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        w.source.before["complete"] = [SlowDownError("busy"), SlowDownError("busy")]
        await w.files.put("k", LARGE)
        assert w.source.asked == ["stage k", *["complete k"] * 3, "drop k"]


async def test_a_refusal_after_an_unknown_completion_is_unknown(tmp_path: Path) -> None:
    async with sealed(tmp_path, fallback=False) as w:
        w.source.after["complete"] = [UNKNOWN]
        w.source.before["complete"] = [None, BackendError("no such upload")]
        with pytest.raises(OutcomeUnknownError):
            await w.files.put("k", LARGE)
        assert (await record_of(w, "k")).doubt.source is not None


@pytest.mark.parametrize(("body", "late"), [(b"small", 10.0), (LARGE, 50.0)])
async def test_doubt_lasts_longer_where_parts_are_put_together(
    body: bytes, late: float, tmp_path: Path
) -> None:
    timing = replace(TIMING, late_max=10.0, late_complete_max=50.0)
    limits = Limits(attempts_max=1)
    async with sealed(tmp_path, fallback=False, timing=timing, limits=limits) as w:
        w.source.before["complete"] = w.source.before["write"] = [UNKNOWN]
        with pytest.raises(OutcomeUnknownError):
            await w.files.put("k", body)
        until = (await record_of(w, "k")).doubt.source
        assert until is not None
        left = until - w.catalog.now() - timing.look_max
        assert late - 5 < left <= late


async def test_an_intent_says_where_it_puts_parts_together(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        w.source.hangs.add("complete")
        async with anyio.create_task_group() as group:
            group.start_soon(w.files.put, "k", LARGE)
            while "complete k" not in w.source.asked:
                await anyio.sleep(0.001)
            intent = (await record_of(w, "k")).intent
            group.cancel_scope.cancel()
        assert intent is not None
        assert intent.completes == frozenset(BOTH_SIDES)


async def test_a_stage_is_dropped_where_the_mark_finds_another_primary(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        done = before_mark(w, partial(w.route, 100))
        await w.files.put("k", LARGE)
        assert done
        assert w.source.asked == ["stage k", "drop k"]
        assert w.target.asked == ["stage k", "complete k", "drop k"]
        await w.settle()
        record = await record_of(w, "k")
        assert (record.authority, record.intent) == (Side.TARGET, None)


async def test_a_body_is_written_under_the_lease_where_the_primary_keeps_changing(
    tmp_path: Path,
) -> None:
    async with sealed(tmp_path) as w:

        async def flip(*arguments: Any, **more: Any) -> Any:
            found = await stage_source(*arguments, **more)
            await w.route(100)
            return found

        async def flop(*arguments: Any, **more: Any) -> Any:
            found = await stage_target(*arguments, **more)
            await w.route(0)
            return found

        stage_source, stage_target = w.source.stage, w.target.stage
        w.source.stage, w.target.stage = flip, flop  # type: ignore[method-assign]
        await w.files.put("k", LARGE)
        staged = [verb for side in BOTH_SIDES for verb in w.side(side).asked if "stage" in verb]
        assert len(staged) == 3
        written = [verb for side in BOTH_SIDES for verb in w.side(side).asked if "write" in verb]
        assert written == ["write k"]


async def test_a_condition_that_does_not_hold_lets_go_of_what_was_staged(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        with pytest.raises(PreconditionError):
            await w.files.put("k", LARGE, if_match="no-such-tag")
        assert w.source.asked[-1] == "drop k"
        assert await w.holds(Side.SOURCE, "k") is None


async def test_progress_is_told_of_what_is_staged(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    async with sealed(tmp_path) as w:
        await w.files.put("k", LARGE, progress=lambda done, size: told.append((done, size)))
    assert told[-1] == (len(LARGE), len(LARGE))


# -- the copier ------------------------------------------------------------------------------------


async def behind(w: World, data: bytes = LARGE) -> None:
    """Put a key, so that the target lacks it."""
    await w.files.put("k", data, content_type="text/plain")
    await w.settle()
    w.target.asked.clear()
    w.source.asked.clear()


async def test_a_large_copy_is_read_and_staged_without_a_lease(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w)
        intents: list[object] = []
        stage = w.target.stage

        async def staged(*arguments: Any, **more: Any) -> Any:
            intents.append((await record_of(w, "k")).intent)
            return await stage(*arguments, **more)

        w.target.stage = staged  # type: ignore[method-assign]
        result = await w.files.copier.copy("k")
        assert (result.result, intents) == (Copied.CLOSED, [None])
        assert w.target.asked == ["stage k", "complete k", "drop k"]
        assert w.source.asked == ["read k", "read k", "stat k"]
        assert await w.holds(Side.TARGET, "k") == LARGE
        assert (await w.engine.look("k")).record is None


async def test_a_size_that_is_known_saves_a_mark_and_a_read(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w)
        assert (await w.files.copier.copy("k", size=len(LARGE))).result is Copied.CLOSED
        assert w.source.asked == ["read k", "stat k"]


async def test_a_size_that_is_wrong_does_no_harm(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w, b"small")
        assert (await w.files.copier.copy("k", size=len(LARGE))).result is Copied.CLOSED
        assert w.target.asked == ["write k"]


async def test_a_copy_keeps_the_parts_of_its_original(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w)
        w.source.original_part_bytes = 7
        await w.files.copier.copy("k")
        assert w.target.part_sizes == [7]


@pytest.mark.parametrize(
    "change",
    [
        {"data": OTHER},
        {"data": LARGE, "content_type": "text/html"},
        {"data": LARGE, "metadata": {"a": "b"}},
        {"data": b"small"},
    ],
)
async def test_a_large_copy_starts_over_where_its_object_changed(
    change: dict[str, Any], tmp_path: Path
) -> None:
    reached: list[str] = []
    async with sealed(tmp_path) as w:
        await behind(w)
        w.engine.probe.reached = reached.append  # type: ignore[method-assign, assignment]
        stage, writes = w.target.stage, [change]

        async def staged(*arguments: Any, **more: Any) -> Any:
            found = await stage(*arguments, **more)
            if writes:
                await w.files.put("k", **writes.pop())
            return found

        w.target.stage = staged  # type: ignore[method-assign]
        assert (await w.files.copier.copy("k")).result is Copied.CLOSED
        assert "large copy started over" in reached
        assert await w.holds(Side.TARGET, "k") == change["data"]
        there = await w.target.inner.stat("k")
        assert there.attributes == (await w.source.inner.stat("k")).attributes


async def test_a_large_copy_of_a_key_that_was_deleted_deletes_it(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await w.place(Side.TARGET, "k", b"old")
        await w.place(Side.SOURCE, "k", b"old")
        await behind(w)
        stage = w.target.stage

        async def staged(*arguments: Any, **more: Any) -> Any:
            found = await stage(*arguments, **more)
            await w.files.delete("k")
            return found

        w.target.stage = staged  # type: ignore[method-assign]
        assert (await w.files.copier.copy("k")).result is Copied.CLOSED
        assert await w.holds(Side.TARGET, "k") is None


async def test_a_large_copy_gives_up_where_its_object_keeps_changing(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w)
        stage = w.target.stage

        async def staged(*arguments: Any, **more: Any) -> Any:
            found = await stage(*arguments, **more)
            await w.files.put("k", OTHER)
            return found

        w.target.stage = staged  # type: ignore[method-assign]
        assert (await w.files.copier.copy("k")).result is Copied.LATER
        assert w.target.asked == ["stage k", "drop k"] * 3
        record = await record_of(w, "k")
        assert (record.intent, record.doubt.target) == (None, None)


async def test_a_large_copy_whose_staging_fails_is_noted_and_tried_again_later(
    tmp_path: Path,
) -> None:
    async with sealed(tmp_path) as w:
        await behind(w)
        w.target.before["stage"] = [SlowDownError("busy")]
        result = await w.files.copier.copy("k")
        record = await record_of(w, "k")
        assert result.result is Copied.FAILED
        assert isinstance(result.error, SlowDownError)
        assert (record.intent, record.attempts, record.doubt.target) == (None, 1, None)


async def test_backfill_leaves_a_large_object_alone_that_is_the_same_already(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        for side in BOTH_SIDES:
            await w.place(side, "k", LARGE)
        await w.seal()
        assert not [verb for verb in w.target.asked if verb.startswith(("write", "stage"))]


async def test_backfill_stages_what_is_large(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", LARGE, Attributes(content_type="image/png"))
        await w.seal()
        assert [
            verb for verb in w.target.asked if not verb.startswith(("list", "read", "stat"))
        ] == [
            "stage k",
            "complete k",
            "drop k",
        ]
        assert await w.holds(Side.TARGET, "k") == LARGE


async def test_damage_of_a_large_object_is_marked_and_not_staged(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w)
        await w.place(Side.SOURCE, "k", OTHER)
        result = await w.files.copier.copy("k", size=len(LARGE))
        assert result.result is Copied.DAMAGED
        assert (await record_of(w, "k")).mark is not None
        assert "stage k" not in w.target.asked


async def test_others_are_kept_off_a_key_while_its_copy_is_staged(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w)
        w.target.hangs.add("stage")
        async with anyio.create_task_group() as group:
            group.start_soon(w.files.copier.copy, "k")
            while "stage k" not in w.target.asked:
                await anyio.sleep(0.001)
            assert await w.catalog.due("m", 10) == []
            with anyio.fail_after(2):
                await w.files.put("k", b"small")
            group.cancel_scope.cancel()
        assert (await record_of(w, "k")).intent is None


# -- a copy that breaks off, or lost its lease -----------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "doubted"), [("read", False), ("write", True)], ids=["read", "write"]
)
async def test_a_copy_that_breaks_with_an_error_of_the_system_keeps_no_lease(
    verb: str, doubted: bool, tmp_path: Path
) -> None:
    async with sealed(tmp_path) as w:
        await behind(w, b"small")
        side = w.source if verb == "read" else w.target
        side.before[verb] = [OSError(5, "odd")]
        result = await w.files.copier.copy("k")
        record = await record_of(w, "k")
        assert result.result is Copied.FAILED
        assert "odd" in str(result.error)
        assert record.intent is None
        assert (record.doubt.target is not None) is doubted


async def test_a_copier_that_lost_its_lease_reports_no_damage(tmp_path: Path) -> None:
    async with sealed(tmp_path) as w:
        await behind(w, b"small")
        await w.place(Side.SOURCE, "k", b"other")
        stat = w.target.stat

        def end(look: Look) -> Decision[None]:
            assert look.record is not None
            return Decision(replace(look.record, intent=None), answer=None)

        async def lose(key: str) -> ObjectInfo:
            """Let the key be taken while the copier looks at the other side's tag."""
            await w.catalog.change("m", "k", end)
            return await stat(key)

        w.target.stat = lose  # type: ignore[method-assign]
        result = await w.files.copier.copy("k")
        assert result.result is Copied.LATER
        assert (await record_of(w, "k")).mark is None


async def test_a_mark_that_the_store_fails_leaves_no_stage(tmp_path: Path) -> None:
    async with sealed(tmp_path, fallback=False) as w:
        changes = Changes(w.catalog)
        changes.fail = [None, StoreUnavailableError("away")]
        with pytest.raises(StoreUnavailableError):
            await w.files.put("k", LARGE)
        assert w.source.asked == ["stage k", "drop k"]
