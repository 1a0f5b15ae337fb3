"""Calls that are cancelled, stores that fail and leases that lapse in the middle of a write."""

from __future__ import annotations

import errno
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.files.worlds import Changes, world

from crossfade.core.capabilities import Capabilities
from crossfade.core.intents import Marked
from crossfade.core.objects import Attributes, Pair, Side
from crossfade.core.records import Operation
from crossfade.core.settings import Limits, Mirror, Timing, Workers
from crossfade.errors import (
    BackendUnavailableError,
    InvariantError,
    ObjectTooLargeError,
    OutcomeUnknownError,
    SlowDownError,
    StorageFullError,
    StoreUnavailableError,
)
from crossfade.files.copies import Copied
from crossfade.files.leases import Held
from crossfade.files.requests import Mutation, send
from crossfade.files.running import running
from crossfade.files.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from tests.files.worlds import World

    from crossfade.files.facade import Files


pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_catalog")]
LONG = Timing(lease=30.0, late_max=60.0, look_max=0.4)
AWAY = StoreUnavailableError("the store is away")
UNKNOWN = OutcomeUnknownError("no answer")
FEW = Limits(timeout_seconds=5.0, poll_seconds=0.01, body_buffer_bytes_max=10, small_body_bytes=4)


async def cancelled(changes: Changes, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Begin a call and cancel it while it waits for a transaction that was done."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        with anyio.fail_after(5):
            await changes.holding.wait()
        group.cancel_scope.cancel()


async def intent_ended(w: World, key: str) -> None:
    with anyio.fail_after(2):
        while True:
            record = (await w.engine.look(key)).record
            if record is None or record.intent is None:
                return
            await anyio.sleep(0.01)


# -- cancelled while a lease is taken --------------------------------------------------------------


@pytest.mark.parametrize("background_max", [0, 1_000])
async def test_a_put_that_is_cancelled_in_its_mark_leaves_nothing(
    tmp_path: Path, background_max: int
) -> None:
    limits = Limits(timeout_seconds=5.0, poll_seconds=0.01, background_max=background_max)
    async with world(tmp_path, timing=LONG, limits=limits) as w:
        await w.seal()
        changes = Changes(w.catalog)
        changes.held_up = {1}
        await cancelled(changes, partial(w.files.put, "k", b"one"))
        await intent_ended(w, "k")
        assert (await w.engine.look("k")).record is None
        await w.files.put("k", b"two", timeout=1.0)
        assert await w.holds(Side.SOURCE, "k") == b"two"


async def test_a_copy_that_is_cancelled_in_its_mark_leaves_no_lease(tmp_path: Path) -> None:
    async with world(tmp_path, timing=LONG, workers=Workers.SEPARATE) as w:
        await w.files.put("k", b"one")
        await w.settle()
        changes = Changes(w.catalog)
        changes.held_up = {1}
        await cancelled(changes, partial(w.files.copier.copy, "k"))
        await intent_ended(w, "k")
        assert (await w.files.copier.copy("k")).result is Copied.CLOSED


async def test_a_copy_that_is_cancelled_while_it_reads_leaves_no_lease(tmp_path: Path) -> None:
    async with world(tmp_path, timing=LONG, workers=Workers.SEPARATE) as w:
        await w.files.put("k", b"one")
        await w.settle()
        w.source.hangs = {"read"}
        with anyio.move_on_after(0.1):
            await w.files.copier.copy("k")
        record = (await w.engine.look("k")).record
        assert record is not None
        assert (record.intent, record.doubt.target) == (None, None)


async def test_a_check_that_is_cancelled_in_its_mark_leaves_no_lease(tmp_path: Path) -> None:
    async with world(tmp_path, timing=LONG) as w:
        await w.place(Side.SOURCE, "k", b"one")
        await w.seal()
        await w.place(Side.TARGET, "k", b"other")
        changes = Changes(w.catalog)
        changes.held_up = {1}
        await cancelled(changes, w.files.verification().run)
        await intent_ended(w, "k")
        assert (await w.engine.look("k")).record is None
        report = await w.files.verification().run()
        assert report.drift == 1
        changes.holding = anyio.Event()
        changes.held_up = {changes.number + 1}
        repair = w.files.repair()
        findings = await repair.findings()
        await cancelled(changes, partial(repair.run, Side.SOURCE, findings))
        await intent_ended(w, "k")
        assert (await repair.run(Side.SOURCE, findings)).repaired == ["k"]


@pytest.mark.parametrize("taken", [False, True])
async def test_a_put_that_outlives_its_files_ends_its_intent(tmp_path: Path, taken: bool) -> None:
    """It is answered as ever; the catalog, which is another's here, is still open."""
    limits = Limits(timeout_seconds=5.0, drain_seconds=0.05)
    async with world(tmp_path, timing=LONG, limits=limits, workers=Workers.SEPARATE) as w:
        await w.seal()
        entered, go_on, write = anyio.Event(), anyio.Event(), w.source.inner.write
        w.target.before["write"] = [SlowDownError("slower")] * 3

        async def slow(*arguments: Any) -> Any:
            entered.set()
            await go_on.wait()
            if not taken:
                raise SlowDownError("slower")
            return await write(*arguments)

        async def put(files: Files) -> None:
            with nullcontext() if taken else pytest.raises(SlowDownError):
                await files.put("k", b"data")

        w.source.inner.write = slow  # type: ignore[method-assign, assignment]
        async with anyio.create_task_group() as group:
            async with running(replace(w.engine, turns=Turns())) as files:
                group.start_soon(put, files)
                await entered.wait()
            go_on.set()
        record = (await w.engine.look("k")).record
        assert (record is None) is not taken
        assert record is None or record.intent is None
        with anyio.fail_after(1):
            await files.engine.turns.drain()


# -- a store that is away --------------------------------------------------------------------------


async def test_what_the_authority_took_is_acknowledged_though_its_commit_fails(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, limits=Limits(timeout_seconds=5.0, background_max=0)) as w:
        changes = Changes(w.catalog)
        changes.fail = [None, AWAY]
        info = await w.files.put("k", b"data")
        assert info.size == 4
        assert changes.number == 2
        assert w.engine.turns.take_free("k")


async def test_what_the_authority_took_is_acknowledged_though_the_other_is_not_announced(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, mirror=Mirror.SYNC, workers=Workers.SEPARATE) as w:
        Changes(w.catalog).fail = [None, AWAY]
        await w.files.put("k", b"data")
        assert await w.holds(Side.SOURCE, "k") == b"data"
        assert "write k" not in w.target.asked


async def test_an_unknown_outcome_stays_one_when_the_store_fails(tmp_path: Path) -> None:
    async with world(tmp_path, timing=LONG) as w:
        await w.seal()
        for fail in ([None, AWAY], [None, AWAY, AWAY], [None, None, AWAY]):
            Changes(w.catalog).fail = [*fail]
            w.source.before["write"] = [UNKNOWN] * 3
            w.target.before["write"] = [UNKNOWN] * 3
            key = f"k{len(fail)}{fail[1] is None}"
            with pytest.raises(OutcomeUnknownError):
                await w.files.put(key, b"data")


async def test_a_refusal_stays_one_when_the_store_fails(tmp_path: Path) -> None:
    async with world(tmp_path, timing=LONG) as w:
        await w.seal()
        Changes(w.catalog).fail = [None, AWAY, AWAY]
        w.source.before["write"] = [SlowDownError("slower")] * 3
        with pytest.raises(SlowDownError):
            await w.files.put("k", b"data")
        await w.settle()
        assert (await w.engine.look("k")).record is None


# -- leases ----------------------------------------------------------------------------------------


class Stalling:
    """A probe that sleeps the first time that a write stands at a point."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds

    def reached(self, name: str) -> None:
        pass

    async def point(self, name: str) -> None:
        if name == self._name:
            self._name = ""
            await anyio.sleep(self._seconds)


@pytest.mark.parametrize("condition", [None, "*"])
async def test_a_lease_that_lapses_before_anything_was_sent_is_taken_anew(
    tmp_path: Path, condition: str | None
) -> None:
    timing = Timing(lease=0.2, late_max=0.05, look_max=0.2)
    async with world(tmp_path, timing=timing) as w:
        await w.seal()
        w.engine.probe = Stalling("after_mark", 0.5)
        await w.files.put("k", b"data", if_none_match=condition)
        assert await w.holds(Side.SOURCE, "k") == b"data"


async def test_a_lease_that_lapses_again_and_again_is_an_error_at_the_deadline(
    tmp_path: Path,
) -> None:
    timing = Timing(lease=0.1, late_max=0.02, look_max=0.02)
    async with world(tmp_path, timing=timing) as w:

        class Always(Stalling):
            async def point(self, name: str) -> None:
                if name == "after_mark":
                    await anyio.sleep(0.2)

        w.engine.probe = Always("", 0)
        with anyio.fail_after(3), pytest.raises(BackendUnavailableError, match="nothing was sent"):
            await w.files.put("k", b"data", timeout=0.5)
        assert "write k" not in w.source.asked + w.target.asked


async def test_a_renewal_that_hangs_lets_no_other_lease_lapse(tmp_path: Path) -> None:
    timing = Timing(lease=0.3, late_max=0.05, look_max=0.2)
    async with world(tmp_path, timing=timing) as w:
        go_on, inner = anyio.Event(), w.source.inner.write

        async def slow(*arguments: Any) -> Any:
            await go_on.wait()
            return await inner(*arguments)

        async def hangs() -> None:
            with pytest.raises(OutcomeUnknownError):
                await w.files.put("hung", b"data")

        w.source.inner.write = slow  # type: ignore[method-assign, assignment]
        async with anyio.create_task_group() as group:
            group.start_soon(hangs)
            group.start_soon(w.files.put, "k", b"data")
            await anyio.sleep(0.05)
            change = w.engine.catalog.change

            async def held_up(migration: str, key: str, decide: Any) -> Any:
                if key == "hung":
                    await anyio.sleep(1.0)
                return await change(migration, key, decide)

            w.engine.catalog.change = held_up  # type: ignore[method-assign]
            await anyio.sleep(0.7)
            assert [held.key for held in w.engine.leases.held] == ["k"]
            go_on.set()
        assert await w.holds(Side.SOURCE, "k") == b"data"


async def test_no_request_goes_to_a_side_that_was_not_announced(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        marked = Marked(
            token="t",
            authority=Side.SOURCE,
            primary=Side.SOURCE,
            announced=frozenset((Side.SOURCE,)),
            both_current=False,
            digest=None,
            deleting=False,
            sealed=False,
            completed=False,
        )
        held = Held(w.engine, "k", marked, w.engine.clock())
        mutation = Mutation(key="k", operation=Operation.DELETE, body=None, attributes=Attributes())
        role: Any = "serve"
        with pytest.raises(InvariantError, match="not announced"):
            await send(held, Side.TARGET, mutation, role=role, attempts_max=1, deadline=1e9)
        assert w.target.asked == []


# -- bodies of any size, streams let go ------------------------------------------------------------


async def test_a_path_of_any_size_is_mirrored(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    async with world(tmp_path, limits=FEW) as w:
        await w.files.put("k", path)
        await w.place(Side.SOURCE, "before", b"y" * 100)
        await w.settle()
        assert await w.holds(Side.TARGET, "k") == b"x" * 100
        await w.seal()
        assert await w.holds(Side.TARGET, "before") == b"y" * 100


async def test_a_copy_is_bounded_by_what_the_other_side_holds(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", b"y" * 100)
        w.target.declared = Capabilities(object_bytes_max=50)
        result = await w.files.copier.copy("k", listed=Pair(None, None))
        assert isinstance(result.error, ObjectTooLargeError)
        assert result.error.side == "target"
        assert "side's limit of 50" in str(result.error)
        assert "write k" not in w.target.asked


async def test_a_full_folder_for_temporary_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with world(tmp_path, limits=FEW, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", b"y" * 100)
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        result = await w.files.copier.copy("k", listed=Pair(None, None))
        assert isinstance(result.error, StorageFullError)
        with pytest.raises(StorageFullError, match=tempfile.gettempdir()) as refused:
            await w.files.put("other", iter([b"x" * 5, b"y"]))
        assert str(refused.value).startswith("the body of 'other' cannot be kept")


class WatchedStream:
    """A stream that takes a moment to close, and notes that it was."""

    def __init__(self, inner: Any, closed: list[bool]) -> None:
        self.info = inner.info
        self._inner = inner
        self._closed = closed

    def __aiter__(self) -> AsyncIterator[bytes]:
        found: AsyncIterator[bytes] = self._inner.__aiter__()
        return found

    async def aclose(self) -> None:
        await anyio.sleep(0)
        await self._inner.aclose()
        self._closed.append(True)


@pytest.mark.parametrize("cancel", [False, True])
async def test_a_stream_is_closed_when_the_second_look_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancel: bool
) -> None:
    async with world(tmp_path) as w:
        await w.files.put("k", b"data")
        await w.settle()
        closed: list[bool] = []
        looking, read, look = anyio.Event(), w.source.read, w.catalog.look

        async def watched(*arguments: Any, **options: Any) -> Any:
            monkeypatch.setattr(w.catalog, "look", second)
            return WatchedStream(await read(*arguments, **options), closed)

        async def second(*_: Any) -> Any:
            looking.set()
            if cancel:
                await anyio.sleep_forever()
            raise AWAY

        monkeypatch.setattr(w.source, "read", watched)
        if cancel:
            async with anyio.create_task_group() as group:
                group.start_soon(w.files.get, "k")
                await looking.wait()
                group.cancel_scope.cancel()
        else:
            with pytest.raises(StoreUnavailableError):
                await w.files.get("k")
        monkeypatch.setattr(w.catalog, "look", look)
        assert closed == [True]


@pytest.mark.parametrize("mirror", [Mirror.SYNC, Mirror.PARALLEL])
async def test_what_a_progress_callback_raises_reaches_the_caller(
    tmp_path: Path, mirror: Mirror
) -> None:
    def progress(done: int, size: int) -> None:
        raise ValueError(f"{done} of {size}")

    async with world(tmp_path, mirror=mirror) as w:
        with pytest.raises(ValueError, match="4 of 4"):
            await w.files.put("k", b"data", progress=progress)
