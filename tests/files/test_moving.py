from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.files.worlds import TIMING, world

from crossfade.core import protocol
from crossfade.core.intents import Ask, Marked
from crossfade.core.objects import Attributes, Digest, Side
from crossfade.core.records import MarkKind, Operation
from crossfade.core.settings import Mirror, Timing, Workers
from crossfade.errors import (
    AlreadyCompleteError,
    BackendUnavailableError,
    IllegalTransitionError,
    IntegrityError,
    LeaseHeldError,
    ObjectNotFoundError,
    OutcomeUnknownError,
    StaleEpochError,
)
from crossfade.files.completion import complete

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.worlds import World

    from crossfade.files.repair import RepairReport

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_catalog")]
DIGEST = Digest(sha256="0", size=0)


async def leave_intent(w: World, key: str, operation: Operation = Operation.PUT) -> str:
    """Leave a key as a process does that dies right after its mark."""
    ask = Ask(token="dead/1", holder="dead", operation=operation, digest=DIGEST)
    timing = replace(TIMING, lease=0.01)
    marked = await w.engine.change(key, partial(protocol.mark, ask=ask, timing=timing))
    assert isinstance(marked, Marked)
    return marked.token


async def closed(w: World, key: str) -> None:
    with anyio.fail_after(5):
        while (await w.engine.look(key)).record is not None:
            await anyio.sleep(0.005)


async def repair(w: World, winner: Side) -> RepairReport:
    repair = w.files.repair()
    return await repair.run(winner, await repair.findings())


async def test_an_intent_whose_holder_is_gone_is_recovered_and_its_key_copied(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"old")
        await w.seal()
        token = await leave_intent(w, "k")
        await w.place(Side.SOURCE, "k", b"landed")
        await closed(w, "k")
        assert list(w.files.recovery.recovered) == [token]
        assert await w.holds(Side.TARGET, "k") == b"landed"


async def test_a_writer_does_not_wait_long_for_a_copier(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"old")
        await w.begin()
        ask = Ask(token="other/1", holder="other", operation=Operation.COPY, digest=None)
        await w.engine.change("k", partial(protocol.mark_copy, ask=ask, timing=w.engine.timing))
        await w.files.put("k", b"new")
        record = (await w.engine.look("k")).record
        assert record is not None
        assert record.doubt.target is not None


async def test_backfill_copies_attributes_seals_and_does_not_copy_what_is_the_same(
    tmp_path: Path,
) -> None:
    attributes = Attributes(content_type="text/plain", metadata={"a": "b"})
    async with world(tmp_path, kinds=("local", "local")) as w:
        for number in range(11):
            await w.place(Side.SOURCE, f"k{number:02}", b"%d" % number, attributes)
        await w.place(Side.TARGET, "k03", b"3", attributes)
        await w.place(Side.TARGET, "k04", b"4")
        await w.begin()
        dry = await w.files.backfill().plan()
        assert (dry.listed, dry.copied) == (11, 0)
        report = await w.files.backfill().run()
        assert (report.copied, report.same, report.finished) == (10, 1, True)
        assert (await w.target.stat("k04")).attributes == attributes
        assert "write k03" not in w.target.asked
        assert [each.sealed for each in await w.catalog.ranges("m")] == [True]


async def test_backfill_asks_the_target_for_nothing_that_its_listing_does_not_show(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        for key in ("a", "b"):
            await w.place(Side.SOURCE, key, key.encode())
        await w.place(Side.TARGET, "b", b"b")
        await w.files.backfill().run()
        assert [asked for asked in w.target.asked if asked.endswith(" a")] == ["write a"]
        assert "write b" not in w.target.asked


async def test_before_begin_backfill_copies_and_seals_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"data")
        report = await w.files.backfill().run()
        assert (report.copied, report.sealed_chunks) == (1, 0)
        assert "begin" in report.unsealed_reason
        assert not report.finished


async def test_backfill_goes_on_where_the_seal_stands(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(12):
            await w.place(Side.SOURCE, f"k{number:02}", b"x")
        await w.begin()
        w.target.before["list"] = [None] * 3 + [BackendUnavailableError("away")] * 9
        with pytest.raises(BackendUnavailableError):
            await w.files.backfill().run()
        w.target.before.clear()
        sealed = [each for each in await w.catalog.ranges("m") if each.sealed]
        assert sealed
        second = await w.files.backfill().run()
        assert second.finished
        assert second.listed < 12


async def test_one_backfill_at_a_time(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.catalog.take_lease("backfill:m", "another", 60)
        with pytest.raises(LeaseHeldError):
            await w.files.backfill().run()


async def test_what_only_the_target_holds_is_left_alone_until_repair_decides(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        for key in ("mine", "yours"):
            await w.place(Side.TARGET, key, key.encode())
        await w.place(Side.SOURCE, "k", b"x")
        await w.begin()
        report = await w.files.backfill().run()
        assert not report.finished
        assert "target alone" in report.unsealed_reason
        with pytest.raises(ObjectNotFoundError):
            await w.files.get("mine")
        assert [info.key async for info in w.files.list()] == ["k"]
        found = await w.files.repair().findings()
        assert [(each.key, each.kind) for each in found] == [("mine", "extra"), ("yours", "extra")]
        await w.files.repair().run(Side.SOURCE, found[:1])
        await w.files.repair().run(Side.TARGET, found[1:])
        assert await w.holds(Side.TARGET, "mine") is None
        assert await w.holds(Side.SOURCE, "yours") == b"yours"
        assert (await w.files.backfill().run()).finished


async def test_repair_refuses_what_has_changed_since_it_was_reported(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.TARGET, "k", b"one")
        await w.begin()
        await w.files.backfill().run()
        found = await w.files.repair().findings()
        await w.place(Side.TARGET, "k", b"two")
        report = await w.files.repair().run(Side.SOURCE, found)
        assert list(report.refused) == ["k"]
        assert await w.holds(Side.TARGET, "k") == b"two"


async def test_a_put_on_an_extra_takes_the_note_away(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.TARGET, "k", b"one")
        await w.begin()
        await w.files.backfill().run()
        await w.files.put("k", b"two")
        await closed(w, "k")
        assert (await w.catalog.census("m")).extras == 0
        assert (await w.files.backfill().run()).finished


async def test_drift_is_found_marked_and_repaired(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for key in ("a", "b", "c"):
            await w.place(Side.SOURCE, key, b"good")
        await w.seal()
        assert (await w.files.verification().run()).proof
        await w.place(Side.TARGET, "a", b"bad!")
        await w.place(Side.SOURCE, "b", b"bad!")
        await w.target.inner.delete("c")
        report = await w.files.verification().run()
        assert (report.drift, report.compared, report.proof) == (3, 0, False)
        records = {key: (await w.engine.look(key)).record for key in ("a", "b", "c")}
        assert [r.authority for r in records.values() if r] == [
            Side.SOURCE, Side.TARGET, Side.SOURCE,
        ]  # fmt: skip
        found = {each.key: each for each in await w.files.repair().findings()}
        await w.files.repair().run(Side.SOURCE, [found["a"], found["c"]])
        await w.files.repair().run(Side.TARGET, [found["b"]])
        again = await w.files.verification().run()
        assert (again.drift, again.compared, again.proof) == (0, 3, True)


async def test_the_finding_of_one_key_asks_for_that_key_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for key in ("a", "ab", "b"):
            await w.place(Side.TARGET, key, b"x")
        await w.begin()
        await w.files.backfill().run()
        w.source.asked.clear()
        w.target.asked.clear()
        assert [each.key for each in await w.files.repair().findings("a")] == ["a"]
        assert (w.source.asked, w.target.asked) == (["stat a"], ["stat a"])
        assert await w.files.repair().findings("aa") == []


async def test_a_backfill_that_loses_its_lease_seals_under_no_other(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        run = w.files.backfill()
        await run._take_lease()
        mine = run._lease
        assert mine is not None
        await w.catalog.release_lease(mine)
        await w.catalog.take_lease("backfill:m", "another", 60)
        with pytest.raises(LeaseHeldError):
            await run._take_lease()
        assert run._lease == mine
        with pytest.raises(StaleEpochError):
            await w.catalog.seal("m", "", None, lambda _: True, run._lease)


async def test_repair_decides_on_a_marked_key_whose_sides_changed_again(tmp_path: Path) -> None:
    """Something may land after the mark; what is reported are the tags of the report."""
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"good")
        await w.seal()
        await w.place(Side.TARGET, "k", b"bad!")
        await w.files.verification().run()
        stale = await w.files.repair().findings()
        await w.place(Side.SOURCE, "k", b"late")
        assert list((await w.files.repair().run(Side.SOURCE, stale)).refused) == ["k"]
        assert (await repair(w, Side.SOURCE)).repaired == ["k"]
        assert await w.holds(Side.TARGET, "k") == b"late"


async def test_what_the_authority_took_and_does_not_hold_is_never_copied(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", b"old")
        await w.seal()
        await w.files.put("k", b"new")
        await w.settle()
        await w.place(Side.SOURCE, "k", b"rot")
        await w.files.copier.copy("k")
        record = (await w.engine.look("k")).record
        assert record is not None
        assert record.mark is not None
        assert record.mark.kind is MarkKind.DAMAGED
        assert await w.holds(Side.TARGET, "k") == b"old"
        with pytest.raises(IntegrityError):
            await w.files.get("k")
        with pytest.raises(IllegalTransitionError):
            await complete(w.engine)
        report = await repair(w, Side.TARGET)
        assert report.repaired == ["k"]
        assert await w.holds(Side.SOURCE, "k") == b"old"


async def test_a_put_that_is_taken_heals_a_damaged_key(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE, mirror=Mirror.SYNC) as w:
        await w.seal()
        w.target.before["write"] = [BackendUnavailableError("away")] * 3
        await w.files.put("k", b"new")
        await w.settle()
        await w.source.inner.delete("k")
        await w.files.copier.copy("k")
        with pytest.raises(IntegrityError):
            await w.files.get("k")
        await w.files.put("k", b"newer")
        await w.settle()
        assert (await w.engine.look("k")).record is None


async def test_a_delete_of_unknown_outcome_is_carried_over(tmp_path: Path) -> None:
    async with world(tmp_path, fallback=False) as w:
        await w.place(Side.SOURCE, "k", b"x")
        await w.files.backfill().run()
        w.source.after["delete"] = [OutcomeUnknownError("no answer")] * 3
        with pytest.raises(OutcomeUnknownError):
            await w.files.delete("k")
        await closed(w, "k")
        assert await w.holds(Side.TARGET, "k") is None
        assert (await w.catalog.census("m")).extras == 0


async def test_complete_needs_everything_closed_and_a_fresh_proof(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", b"x")
        with pytest.raises(IllegalTransitionError, match="not sealed"):
            await complete(w.engine)
        await w.seal()
        with pytest.raises(IllegalTransitionError, match="verification"):
            await complete(w.engine)
        await w.files.verification().run()
        await w.files.put("k", b"y")
        await w.settle()
        with pytest.raises(IllegalTransitionError, match="open") as caught:
            await complete(w.engine)
        assert caught.value.keys == ("k",)
        await w.files.copier.copy("k")
        assert (await complete(w.engine)).completed
        with pytest.raises(AlreadyCompleteError):
            await complete(w.engine)


async def test_a_proof_older_than_the_last_repair_does_not_count(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"x")
        await w.seal()
        await w.place(Side.TARGET, "k", b"drift")
        await w.files.verification().run()
        await repair(w, Side.SOURCE)
        with pytest.raises(IllegalTransitionError, match="found 1 difference:"):
            await complete(w.engine)
        await w.files.verification().run()
        assert (await complete(w.engine)).completed


async def test_after_complete_only_the_target_is_asked(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"x")
        await w.seal()
        await w.files.verification().run()
        await complete(w.engine)
        w.source.asked.clear()
        await w.files.put("new", b"y")
        await w.files.delete("k")
        assert [info.key async for info in w.files.list()] == ["new"]
        await closed(w, "new")
        assert w.source.asked == []


async def test_a_write_while_complete_waits_is_held_up_and_then_goes_to_the_target(
    tmp_path: Path,
) -> None:
    timing = Timing(lease=1.0, late_max=0.05, look_max=0.05, copier_wait=0.05, complete_wait=5.0)
    async with world(tmp_path, workers=Workers.SEPARATE, timing=timing) as w:
        await w.seal()
        await w.files.put("open", b"x")
        await w.settle()
        await w.files.verification().run()
        async with anyio.create_task_group() as group:
            group.start_soon(complete, w.engine)
            with anyio.fail_after(5):
                while (await w.catalog.census("m")).migration.completing_until is None:
                    await anyio.sleep(0.001)
            group.start_soon(w.files.put, "late", b"y")
            await anyio.wait_all_tasks_blocked()
            assert await w.holds(Side.SOURCE, "late") is None
            await w.files.copier.copy("open")
        assert await w.holds(Side.TARGET, "late") == b"y"
        assert await w.holds(Side.SOURCE, "late") is None
