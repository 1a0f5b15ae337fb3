"""Verification under writers: what it saw and could not confirm is never dropped."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.files.worlds import TIMING, world

from crossfade.core import protocol
from crossfade.core.intents import NOTHING_SENT, Ask, Marked
from crossfade.core.objects import Attributes, Digest, Side
from crossfade.core.records import Census, MigrationRow, Operation
from crossfade.core.settings import Limits, Workers
from crossfade.errors import IllegalTransitionError, PreconditionError, StoreFullError
from crossfade.files import verification
from crossfade.files.completion import complete
from crossfade.stores.proof_files import FileProofs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.worlds import World

    from crossfade.core.objects import ByteRange
    from crossfade.ports import ObjectStream

pytestmark = pytest.mark.anyio
DIGEST = Digest(sha256="0", size=0)
SHORT = Limits(poll_seconds=0.01, timeout_seconds=0.1, page_keys=4)


async def drifted(w: World) -> None:
    """Seal a key, and let another writer change the target past the facade."""
    await w.place(Side.SOURCE, "k", b"1")
    await w.seal()
    await w.place(Side.TARGET, "k", b"drifted!")


async def hold(w: World) -> str:
    """Open the key as a writer does that sends nothing yet."""
    ask = Ask(token="writer/1", holder="writer", operation=Operation.PUT, digest=DIGEST)
    marked = await w.engine.change("k", partial(protocol.mark, ask=ask, timing=TIMING))
    assert isinstance(marked, Marked)
    return marked.token


async def let_complete_hold_marks(w: World, seconds: float | None) -> None:
    def decide(census: Census) -> tuple[MigrationRow, None]:
        until = None if seconds is None else census.now + seconds
        return replace(census.migration, completing_until=until), None

    await w.catalog.change_row("m", decide)


async def test_a_difference_whose_lease_a_writer_took_over_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await drifted(w)
        reads, read = [], w.target.read

        async def taken_over(
            key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
        ) -> ObjectStream:
            reads.append(key)
            if len(reads) == 2:  # the comparison under the lease
                with pytest.raises(PreconditionError):
                    await w.files.put("k", b"2", if_match="wrong")
                await w.settle()
            return await read(key, byte_range=byte_range, if_match=if_match)

        monkeypatch.setattr(w.target, "read", taken_over)
        report = await w.files.verification().run()
        assert (report.drift, report.unconfirmed, report.proof) == (1, 0, False)
        with pytest.raises(IllegalTransitionError, match="1 difference:"):
            await complete(w.engine)


async def test_a_difference_that_cannot_be_confirmed_while_complete_waits_is_no_proof(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE, limits=SHORT) as w:
        await drifted(w)
        await let_complete_hold_marks(w, 60)
        report = await w.files.verification().run()
        assert (report.drift, report.opened) == (0, 0)
        assert (report.unconfirmed, report.proof) == (1, False)
        await let_complete_hold_marks(w, None)
        with pytest.raises(IllegalTransitionError, match="1 key unconfirmed"):
            await complete(w.engine)
        assert (await w.files.verification().run()).drift == 1


async def test_an_open_key_that_closes_without_a_copy_is_compared_before_the_pass_ends(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await drifted(w)
        token, chunk_done = await hold(w), anyio.Event()
        found = w.files.verification(on_progress=lambda _: chunk_done.set())
        async with anyio.create_task_group() as group:
            group.start_soon(found.run)
            await chunk_done.wait()
            refused = partial(
                protocol.commit, token=token, outcomes=NOTHING_SENT, timing=w.engine.timing
            )
            assert await w.engine.change("k", refused)
        report = found.report
        assert (report.drift, report.opened, report.proof) == (1, 0, False)


async def test_a_key_that_a_writer_holds_to_the_end_of_the_pass_is_no_proof(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE, limits=SHORT) as w:
        await drifted(w)
        await hold(w)
        report = await w.files.verification().run()
        assert (report.unconfirmed, report.opened, report.proof) == (1, 0, False)


async def test_a_pass_that_may_remember_no_more_keys_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "LEFT_KEYS_MAX", 0)
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await drifted(w)
        await hold(w)
        report = await w.files.verification().run()
        assert (report.unconfirmed, report.proof) == (1, False)


async def test_a_proof_that_the_disk_has_no_room_for_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", b"1")
        await w.seal()
        w.engine.proofs = FileProofs(tmp_path / "proofs")
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreFullError):
            await w.files.verification().run()
        assert list((tmp_path / "proofs").iterdir()) == []


async def test_an_open_key_that_has_to_be_copied_is_passed_over(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", b"1")
        await w.seal()
        await w.files.put("k", b"2")
        await w.settle()
        report = await w.files.verification().run()
        assert (report.opened, report.unconfirmed, report.proof) == (1, 0, True)


@pytest.mark.parametrize("damaged", list(Side))
async def test_damaged_attributes_are_a_finding_that_the_good_side_repairs(
    tmp_path: Path, damaged: Side
) -> None:
    async with world(tmp_path, kinds=("local", "local"), limits=SHORT) as w:
        await w.files.put("k", b"1", content_type="text/plain")
        await w.files.put("other", b"2")
        await w.seal()
        await w.settle()
        (kept,) = (tmp_path / damaged.value / ".crossfade" / "meta").rglob("*.*")
        kept.write_bytes(b"x")
        report = await w.files.verification().run()
        assert (report.drift, report.compared, report.proof) == (1, 1, False)
        (finding,) = report.findings
        assert finding.source_tag
        assert finding.target_tag
        repair = w.files.repair()
        refused = await repair.run(damaged, await repair.findings())
        assert "damaged itself" in refused.refused["k"]
        assert (await repair.run(damaged.other, await repair.findings())).repaired == ["k"]
        assert (await w.files.verification().run()).proof
        there = await w.side(damaged).stat("k")
        assert there.attributes == Attributes(content_type="text/plain")
