from __future__ import annotations

import io
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.files.worlds import KEYS, world

from crossfade.core.objects import ByteRange, Side
from crossfade.core.settings import Limits, Mirror, Timing, Unit, Workers
from crossfade.errors import (
    BackendUnavailableError,
    ConfigurationError,
    IntegrityError,
    InvalidKeyError,
    KeyInDoubtError,
    LeaseHeldError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    OutcomeUnknownError,
    PreconditionError,
    SlowDownError,
)
from crossfade.files.bodies import to_body
from crossfade.setup.opened import drawn, router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.files.worlds import FaultySide, World

    from crossfade.core.records import Look
    from crossfade.files.bodies import Progress

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_catalog")]
PAIRS = [("memory", "memory"), ("local", "local"), ("memory", "local"), ("local", "memory")]
MIRRORS = [Mirror.ASYNC, Mirror.SYNC, Mirror.PARALLEL, Mirror.AUTO]
AWAY = BackendUnavailableError("away")
UNKNOWN = OutcomeUnknownError("no answer")


class Gate:
    """Holds a side's writes back until it is opened."""

    def __init__(self, side: FaultySide) -> None:
        self.reached, self.open = anyio.Event(), anyio.Event()
        self._write: Any = side.inner.write
        side.inner.write = self._wait  # type: ignore[method-assign, assignment]

    async def _wait(self, *arguments: Any) -> Any:
        self.reached.set()
        await self.open.wait()
        return await self._write(*arguments)


@pytest.mark.parametrize("kinds", PAIRS)
async def test_every_legal_key_lives_its_whole_life(tmp_path: Path, kinds: tuple[str, str]) -> None:
    """Put, list, backfill, verify and delete, side by side, attributes included."""
    async with world(tmp_path, kinds=kinds) as w:
        early, late = KEYS[::2], KEYS[1::2]
        for key in early:
            await w.place(Side.SOURCE, key, f"early {key}".encode())
        for key in late:
            await w.files.put(key, f"late {key}".encode(), metadata={"key": "k"})
        assert [info.key async for info in w.files.list()] == sorted(KEYS)
        await w.seal()
        assert (await w.files.verification().run()).compared == len(KEYS)
        await w.route(100)
        for key in KEYS:
            async with await w.files.get(key) as obj:
                assert obj.side is Side.TARGET
                assert (await obj.read()).decode().endswith(key)
        assert (await w.files.head(late[0])).attributes is not None
        for key in KEYS:
            await w.files.delete(key)
            with pytest.raises(ObjectNotFoundError):
                await w.files.get(key)
        await w.settle()
        assert [info.key async for info in w.files.list()] == []
        for side in Side:
            assert (await w.side(side).inner.list()).objects == ()


@pytest.mark.parametrize("key", ["", "x" * 1025, "ü" * 600, "\ud800", ".crossfade/x"])
async def test_a_key_that_is_not_legal_is_refused_before_anything_moves(
    tmp_path: Path, key: str
) -> None:
    async with world(tmp_path) as w:
        for call in (w.files.put(key, b""), w.files.get(key), w.files.delete(key)):
            with pytest.raises(InvalidKeyError):
                await call
        assert w.source.asked == w.target.asked == []


@pytest.mark.parametrize("mirror", MIRRORS)
@pytest.mark.parametrize("percentage", [0, 100])
@pytest.mark.parametrize("sealed", [False, True])
async def test_a_put_reaches_both_sides_and_closes(
    tmp_path: Path, mirror: Mirror, percentage: int, sealed: bool
) -> None:
    async with world(tmp_path, mirror=mirror) as w:
        if sealed:
            await w.seal()
        await w.route(percentage)
        info = await w.files.put("k", b"data", content_type="text/plain", metadata={"a": "b"})
        async with await w.files.get("k") as obj:
            assert await obj.read() == b"data"
            assert obj.info.attributes == info.attributes
        await w.settle()
        assert await w.holds(Side.SOURCE, "k") == await w.holds(Side.TARGET, "k") == b"data"
        assert (await w.engine.look("k")).record is None


@pytest.mark.parametrize("mirror", MIRRORS[:3])
async def test_a_put_whose_primary_fails_falls_back_and_comes_home(
    tmp_path: Path, mirror: Mirror
) -> None:
    async with world(tmp_path, mirror=mirror) as w:
        await w.seal()
        await w.route(100)
        w.target.before["write"] = [AWAY] * 3
        await w.files.put("k", b"data")
        async with await w.files.get("k") as obj:
            assert obj.side is Side.SOURCE
        await w.settle()
        with anyio.fail_after(5):
            while (await w.engine.look("k")).record is not None:
                await anyio.sleep(0.01)
        assert await w.holds(Side.TARGET, "k") == b"data"


async def test_without_fallback_a_refused_put_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, fallback=False) as w:
        await w.seal()
        w.source.before["write"] = [SlowDownError("slower")] * 3
        with pytest.raises(SlowDownError) as caught:
            await w.files.put("k", b"data")
        await w.settle()
        assert caught.value.side == "source"
        assert (await w.engine.look("k")).record is None


async def test_a_retried_put_succeeds_at_its_primary(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.source.before["write"] = [SlowDownError("slower"), SlowDownError("slower")]
        await w.files.put("k", b"data")
        assert await w.holds(Side.SOURCE, "k") == b"data"
        assert w.source.asked.count("write k") == 3


async def test_a_put_of_unknown_outcome_says_so_and_the_next_waits_for_doubt(
    tmp_path: Path,
) -> None:
    timing = Timing(lease=1.0, late_max=30.0, look_max=0.1)
    async with world(tmp_path, timing=timing) as w:
        w.source.after["write"] = [UNKNOWN] * 3
        w.target.after["write"] = [UNKNOWN]
        with pytest.raises(OutcomeUnknownError):
            await w.files.put("k", b"data")
        with pytest.raises(KeyInDoubtError, match="both sides") as caught:
            await w.files.put("k", b"other", timeout=0.05)
        assert 0 < caught.value.retry_after <= 31


async def test_a_second_writer_waits_its_turn_and_no_longer_than_its_timeout(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        gate, entered = anyio.Event(), anyio.Event()
        write = w.source.inner.write

        async def slow(*arguments: object) -> object:
            entered.set()
            await gate.wait()
            return await write(*arguments)  # type: ignore[arg-type]

        w.source.inner.write = slow  # type: ignore[method-assign, assignment]
        async with anyio.create_task_group() as group:
            group.start_soon(w.files.put, "k", b"one")
            await entered.wait()
            with pytest.raises(LeaseHeldError):
                await w.files.put("k", b"two", timeout=0.05)
            gate.set()
        async with await w.files.get("k") as obj:
            assert await obj.read() == b"one"


async def test_a_writer_that_waits_for_its_turn_comes_before_the_copier(tmp_path: Path) -> None:
    async with world(tmp_path, timing=Timing(copier_wait=30.0)) as w:
        sources, targets = Gate(w.source), Gate(w.target)
        async with anyio.create_task_group() as group:
            group.start_soon(w.files.put, "k", b"one")
            await sources.reached.wait()
            group.start_soon(partial(w.files.put, "k", b"two", timeout=5.0))
            sources.open.set()
        # Both are acknowledged although no mirror got through.
        assert await w.holds(Side.SOURCE, "k") == b"two"
        targets.open.set()
        await w.settle()
        assert await w.holds(Side.TARGET, "k") == b"two"


async def test_a_put_and_its_mirror_take_three_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        asked: list[str] = []
        change = w.catalog.change

        async def counted(migration: str, key: str, decide: Any) -> Any:
            asked.append(key)
            return await change(migration, key, decide)

        monkeypatch.setattr(w.catalog, "change", counted)
        await w.files.put("k", b"data")
        await w.settle()
        assert asked == ["k", "k", "k"]
        assert (await w.engine.look("k")).record is None
        assert await w.holds(Side.TARGET, "k") == b"data"


async def test_a_lease_is_renewed_until_both_sides_of_a_parallel_put_are_done(
    tmp_path: Path,
) -> None:
    timing = Timing(lease=0.3, late_max=0.05, look_max=0.05)
    async with world(tmp_path, mirror=Mirror.PARALLEL, timing=timing) as w:
        sources, targets = Gate(w.source), Gate(w.target)
        async with anyio.create_task_group() as group:
            group.start_soon(w.files.put, "k", b"data")
            await sources.reached.wait()
            await targets.reached.wait()
            sources.open.set()
            first = await lease_until(w, "k")
            with anyio.fail_after(10):
                while await lease_until(w, "k") < first + 3 * timing.lease:
                    await anyio.sleep(0.005)
            targets.open.set()
        await w.settle()
        assert (await w.engine.look("k")).record is None
        assert await w.holds(Side.TARGET, "k") == b"data"


async def lease_until(w: World, key: str) -> float:
    record = (await w.engine.look(key)).record
    assert record is not None
    assert record.intent is not None
    return record.intent.lease_until


async def test_a_cancelled_put_leaves_its_side_in_doubt(tmp_path: Path) -> None:
    async with world(tmp_path, timing=Timing(lease=1.0, late_max=9.0, look_max=0.1)) as w:
        entered = anyio.Event()

        async def never(*_: object) -> object:
            entered.set()
            await anyio.sleep_forever()
            raise AssertionError

        w.source.inner.write = never  # type: ignore[method-assign, assignment]
        async with anyio.create_task_group() as group:
            group.start_soon(w.files.put, "k", b"one")
            await entered.wait()
            group.cancel_scope.cancel()
        await w.settle()
        record = (await w.engine.look("k")).record
        assert record is not None
        assert record.doubt.source is not None
        assert record.intent is None


async def test_conditions_are_judged_at_the_authority(tmp_path: Path) -> None:
    async with world(tmp_path, mirror=Mirror.SYNC) as w:
        await w.seal()
        first = await w.files.put("k", b"1", if_none_match="*")
        with pytest.raises(PreconditionError):
            await w.files.put("k", b"2", if_none_match="*")
        second = await w.files.put("k", b"2", if_match=first.etag)
        with pytest.raises(PreconditionError):
            await w.files.put("k", b"3", if_match=first.etag)
        await w.route(100)
        third = await w.files.put("k", b"3", if_match=second.etag)
        await w.settle()
        at_source = await w.source.inner.stat("k")
        await w.files.delete("k", if_match=f"source-{at_source.etag}")
        with pytest.raises(PreconditionError):
            await w.files.delete("k", if_match=third.etag)
        with pytest.raises(PreconditionError):
            await w.files.put("absent", b"", if_match="*")
        await w.settle()
        assert (await w.engine.look("absent")).record is None


@pytest.mark.parametrize("failing", [Side.SOURCE, Side.TARGET])
async def test_a_tag_is_judged_by_every_side_that_may_have_it(
    tmp_path: Path, failing: Side
) -> None:
    """A closed key has two tags: a side that does not answer may be the one with that tag."""
    async with world(tmp_path, mirror=Mirror.SYNC) as w:
        await w.seal()
        await w.files.put("k", b"1")
        await w.settle()
        tag = f"{failing}-{(await w.side(failing).inner.stat('k')).etag}"
        conditions: list[Any] = [{"if_none_match": tag}, {"if_match": tag}, {"if_none_match": "x"}]
        for condition in conditions:
            w.side(failing).before["stat"] = [AWAY]
            with pytest.raises(BackendUnavailableError):
                await w.files.put("k", b"2", **condition)
        w.side(failing).before["stat"] = [AWAY]
        with pytest.raises(PreconditionError):
            await w.files.put("k", b"2", if_none_match="*")
        w.side(failing).before["stat"] = [AWAY]
        await w.files.put("absent", b"2", if_none_match="some tag")
        await w.settle()
        assert await w.holds(Side.SOURCE, "k") == await w.holds(Side.TARGET, "k") == b"1"


async def test_a_refused_condition_names_what_was_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(PreconditionError) as put:
            await w.files.put("k", b"1", if_match="tag")
        with pytest.raises(PreconditionError) as delete:
            await w.files.delete("k", if_match="tag")
        assert (put.value.operation, delete.value.operation) == ("write", "delete")


async def test_a_condition_that_waits_for_doubt_names_the_side(tmp_path: Path) -> None:
    timing = Timing(lease=1.0, late_max=30.0, look_max=0.2)
    async with world(tmp_path, timing=timing) as w:
        w.source.after["write"] = [UNKNOWN] * 3
        w.target.before["write"] = [AWAY]
        with pytest.raises(OutcomeUnknownError):
            await w.files.put("k", b"data")
        with pytest.raises(KeyInDoubtError, match="the source of 'k'"):
            await w.files.put("k", b"other", if_none_match="*", timeout=0.05)


async def test_a_mark_is_routed_once_however_often_its_transaction_runs(tmp_path: Path) -> None:
    async with world(tmp_path, mirror=Mirror.SYNC) as w:
        await w.seal()
        settings = replace(w.engine.settings, unit=Unit.REQUEST)
        w.engine.route, w.engine.draw_route = router(settings), partial(drawn, settings)
        await w.route(50)
        change, seen = w.catalog.change, set()

        async def twice(migration: str, key: str, decide: Any) -> Any:
            def again(look: Look) -> Any:
                first, second = decide(look), decide(look)
                assert first == second
                if look.record is None:
                    seen.add(first.answer.primary)
                return second

            return await change(migration, key, again)

        w.catalog.change = twice  # type: ignore[method-assign]
        for number in range(64):
            await w.files.put(f"k{number}", b"data")
        assert seen == set(Side)


async def test_a_condition_that_is_not_judged_in_time_sends_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, timing=Timing(lease=0.2, late_max=0.05, look_max=0.05)) as w:
        await w.seal()

        async def never(_: str) -> object:
            await anyio.sleep_forever()
            raise AssertionError

        for side in (w.source, w.target):
            side.inner.stat = never  # type: ignore[method-assign, assignment]
        with pytest.raises(BackendUnavailableError, match="not judged"):
            await w.files.put("k", b"1", if_none_match="*", timeout=0.5)
        await w.settle()
        assert await w.holds(Side.SOURCE, "k") is None
        assert (await w.engine.look("k")).record is None


async def test_a_closed_key_is_read_from_the_other_side_when_its_own_fails(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.place(Side.SOURCE, "k", b"data")
        await w.seal()
        await w.route(100)
        w.target.before = {"read": [AWAY], "stat": [AWAY], "list": [AWAY]}
        async with await w.files.get("k") as obj:
            assert (obj.side, await obj.read()) == (Side.SOURCE, b"data")
        assert (await w.files.head("k")).etag.startswith("source-")
        assert [info.key async for info in w.files.list()] == ["k"]


async def test_an_open_key_is_never_read_elsewhere(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        await w.place(Side.SOURCE, "k", b"old")
        await w.seal()
        await w.files.put("k", b"new")
        w.source.before["read"] = [AWAY] * 3
        with pytest.raises(BackendUnavailableError):
            await w.files.get("k")
        async with await w.files.get("k") as obj:
            assert await obj.read() == b"new"


async def test_not_found_is_an_answer_and_an_error_never_is(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(ObjectNotFoundError) as caught:
            await w.files.head("absent")
        assert caught.value.side == "source"
        w.source.before["stat"] = [AWAY] * 3
        with pytest.raises(BackendUnavailableError):
            await w.files.head("absent")


@pytest.mark.parametrize("size", [0, 1, 4, 5, 12])
async def test_no_chunk_of_a_body_in_memory_is_over_the_limit(size: int) -> None:
    limits = Limits(chunk_bytes=4)
    data = bytes(range(size))
    for given in (data, bytearray(data), iter([data])):
        body = await to_body("k", given, limits)
        chunks = [chunk async for chunk in body.chunks()]
        assert b"".join(chunks) == data
        assert max(map(len, chunks)) <= 4


def into(seen: list[tuple[int, int]]) -> Progress:
    return lambda done, size: seen.append((done, size))


async def test_bodies_come_from_anything_that_holds_bytes(tmp_path: Path) -> None:
    big = bytes(range(256)) * 9_000
    path = tmp_path / "file"
    path.write_bytes(big)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 100_000):
            yield big[start : start + 100_000]

    async with world(tmp_path, kinds=("memory", "local")) as w:
        bodies: dict[str, Any] = {
            "bytes": big,
            "array": bytearray(big),
            "path": path,
            "file": io.BytesIO(big),
            "iterable": [big[:5], big[5:]],
            "stream": chunks(),
        }
        for key, body in bodies.items():
            seen: list[tuple[int, int]] = []
            info = await w.files.put(key, body, size=len(big), progress=into(seen))
            assert info.size == len(big)
            assert seen[-1] == (len(big), len(big))
        await w.settle()
        for key in bodies:
            assert await w.holds(Side.TARGET, key) == big
        async with await w.files.get("path", range=ByteRange(start=10, end=19)) as obj:
            assert await obj.read() == big[10:20]
        copied = await w.files.copy("path", "copy")
        assert copied.size == len(big)
        with pytest.raises(ConfigurationError, match="holds no bytes"):
            await w.files.put("number", 7)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [3, 5])
async def test_a_body_that_is_not_as_long_as_announced_is_refused(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"four")
    async with world(tmp_path) as w:
        for body in (b"four", path, io.BytesIO(b"four")):
            with pytest.raises(IntegrityError, match="announced"):
                await w.files.put("k", body, size=size)
        assert w.source.asked == []


async def test_a_stream_over_the_buffer_is_refused(tmp_path: Path) -> None:
    limits = Limits(body_buffer_bytes_max=10, small_body_bytes=4)
    async with world(tmp_path, limits=limits) as w:
        with pytest.raises(ObjectTooLargeError, match="body_buffer_bytes_max"):
            await w.files.put("k", io.BytesIO(b"x" * 11))
        await w.files.put("k", io.BytesIO(b"x" * 10))
        assert await w.holds(Side.SOURCE, "k") == b"x" * 10


@pytest.mark.parametrize("kind", ["stream", "iterable", "file"])
async def test_a_body_that_does_not_arrive_in_time_is_refused(tmp_path: Path, kind: str) -> None:
    let_go = threading.Event()

    async def stream() -> AsyncIterator[bytes]:
        yield b"begun"
        await anyio.sleep_forever()

    def iterable() -> Iterator[bytes]:
        yield b"begun"
        let_go.wait(10)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            let_go.wait(10)
            return super().read(size)

    body: Any = {"stream": stream, "iterable": iterable, "file": Slow}[kind]()
    async with world(tmp_path) as w:
        with (
            anyio.fail_after(5),
            pytest.raises(BackendUnavailableError, match="did not arrive within"),
        ):
            await w.files.put("k", body, timeout=0.1)
        let_go.set()
        assert w.source.asked == []
        assert (await w.engine.look("k")).record is None


async def test_a_large_path_is_not_read_longer_than_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(4 << 30)
    async with world(tmp_path) as w:
        with anyio.fail_after(2), pytest.raises(BackendUnavailableError, match="did not arrive"):
            await w.files.put("k", path, timeout=0.1)
        assert w.source.asked == []


async def test_listings_show_open_keys_as_their_authority_has_them(tmp_path: Path) -> None:
    async with world(tmp_path, workers=Workers.SEPARATE) as w:
        for number in range(10):
            await w.place(Side.SOURCE, f"k{number}", b"x")
        await w.seal()
        await w.files.delete("k3")
        await w.files.put("k35", b"new")
        await w.route(100)
        keys = [info.key async for info in w.files.list("k")]
        assert keys == ["k0", "k1", "k2", "k35", "k4", "k5", "k6", "k7", "k8", "k9"]
        assert [info.key async for info in w.files.list("k", after="k5")] == keys[6:]
        assert [info.key async for info in w.files.list("k3")] == ["k35"]
        assert [info.key async for info in w.files.list("z")] == []
        assert [info.key async for info in w.files.list("k", after="l")] == []
        assert [info.key async for info in w.files.list("k", after="k\U0010ffff")] == []
        assert [info.key async for info in w.files.list("k", after="a")] == keys
