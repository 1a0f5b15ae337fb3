"""The demo's parts, each by itself."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

import anyio
import pytest

from crossfade.backends.memory import MemoryBackend
from crossfade.core.objects import NO_ATTRIBUTES, Pair, Side
from crossfade.errors import BackendUnavailableError, ObjectNotFoundError, OutcomeUnknownError
from crossfade.files.bodies import BytesBody
from crossfade.testing.demo import sides
from crossfade.testing.demo.audit import audit, histories, read_both
from crossfade.testing.demo.corpus import copy_files, put_what_stays
from crossfade.testing.demo.mix import GONE, KEPT, Act, Mix
from crossfade.testing.demo.oplog import (
    Called,
    FaultSeen,
    LogReader,
    LogWriter,
    Returned,
    StoodStill,
    now,
)
from crossfade.testing.demo.sides import FailingSide
from crossfade.testing.demo.tally import Tally
from crossfade.testing.history import Event, Result, Verb, Violation

if TYPE_CHECKING:
    from pathlib import Path

    from crossfade.ports import Backend


def tally_of(path: Path, *lines: Called | Returned | FaultSeen | StoodStill) -> Tally:
    log = LogWriter(path)
    for line in lines:
        log.write(line)
    log.close()
    tally = Tally()
    tally.stage(0)
    tally.follow("users-1.1", path)
    tally.update()
    return tally


def test_a_line_that_is_not_finished_is_read_once_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    reader = LogReader(path)
    assert list(reader.read()) == []
    whole = b'["fault",1.0,"target"]\n'
    path.write_bytes(whole + whole[:9])
    assert list(reader.read()) == [FaultSeen(1.0, "target")]
    path.write_bytes(whole + whole)
    assert list(reader.read()) == [FaultSeen(1.0, "target")]


def test_an_operation_without_an_answer_is_unknown_once_its_process_is_gone(
    tmp_path: Path,
) -> None:
    called = Called(1, 1.0, "put", "k", "u", "v")
    tally = tally_of(tmp_path / "a.log", called, Called(2, 1.0, "list", "k", "u"))
    assert tally.events == {}
    tally.end("users-1.1")
    assert [event.result for event in tally.events["k"]] == [Result.UNKNOWN]
    assert tally.operations == 0


def test_failures_are_told_apart_by_what_happened_meanwhile(tmp_path: Path) -> None:
    times = {1: 1.0, 2: 3.0, 3: 5.0}
    lines: list[Called | Returned] = []
    for number, at in times.items():
        lines.append(Called(number, at, "read", f"k{number}", "u"))
        lines.append(Returned(number, at + 0.5, "unknown", error="e"))
    faults = (FaultSeen(0.9, "source"), FaultSeen(1.1, ""), StoodStill(2.0, 3.1))
    tally = tally_of(tmp_path / "a.log", *lines, *faults)
    found = {
        f.key: (tally.during_a_fault(f.event), tally.while_still(f.event)) for f in tally.failures
    }
    assert found == {"k1": (True, False), "k2": (False, True), "k3": (False, False)}


def test_a_listing_is_an_answer_about_every_key_below_its_prefix(tmp_path: Path) -> None:
    lines = (
        Called(1, 1.0, "put", "a/1", "u", "v"),
        Returned(1, 2.0, "ok"),
        Called(2, 3.0, "list", "a/", "u"),
        Returned(2, 4.0, "ok", keys=("a/new",)),
    )
    found = histories(tally_of(tmp_path / "a.log", *lines), {"a/2": "before", "b": "before"})
    seen = {k: [e.present for e in es if e.verb is Verb.LIST] for k, es in found.items()}
    assert seen == {"a/1": [False], "a/2": [False], "a/new": [True], "b": []}
    wrong = audit(found, {"a/2": "before", "b": "before"})
    assert wrong.keys(Violation.LOST) == ["a/1", "a/2"]
    assert wrong.keys(Violation.CORRUPT) == ["a/new"]


def test_a_head_that_tells_a_tag_is_named_by_whoever_put_those_bytes(tmp_path: Path) -> None:
    lines = (
        Called(1, 1.0, "put", "k", "u", "new", tag="tag-of-new"),
        Returned(1, 2.0, "ok"),
        Called(2, 3.0, "read", "k", "u"),
        Returned(2, 4.0, "ok", value="", tag="tag-of-new"),
        Called(3, 3.0, "read", "old", "u"),
        Returned(3, 4.0, "ok", value="", tag="tag-of-old"),
        Called(4, 3.0, "read", "bad", "u"),
        Returned(4, 4.0, "ok", value="", tag="of nobody"),
    )
    tally = tally_of(tmp_path / "a.log", *lines)
    tally.tags["tag-of-old"] = "old's"
    initial = {"old": "old's", "bad": "bad's"}
    assert audit(histories(tally, initial), initial).keys(*Violation) == ["bad"]


def test_what_fails_while_a_server_is_down_fails_by_a_fault(tmp_path: Path) -> None:
    tally = tally_of(tmp_path / "a.log")
    before, down = now(), tally.goes_down
    down("target")
    during = Event(verb=Verb.READ, called=now(), returned=now())
    assert tally.during_a_fault(during)
    tally.comes_back("target")
    assert tally.during_a_fault(during)
    assert not tally.during_a_fault(Event(verb=Verb.READ, called=before - 2, returned=before - 1))
    after = Event(verb=Verb.READ, called=now() + 1, returned=now() + 2)
    assert not tally.during_a_fault(after)


@pytest.mark.anyio
async def test_a_change_that_has_begun_ends_and_none_begins_while_a_side_holds_them() -> None:
    held, inner = False, MemoryBackend("a")
    side = sides.HoldingSide(inner, lambda: held)
    await side.write("a", BytesBody(b"1"), NO_ATTRIBUTES)
    held = True
    async with anyio.create_task_group() as group:
        group.start_soon(side.write, "b", BytesBody(b"2"), NO_ATTRIBUTES)
        group.start_soon(side.delete, "a")
        await anyio.sleep(0.05)
        assert side.under_way == 0
        assert [info.key for info in (await side.list()).objects] == ["a"]
        held = False
    assert [info.key for info in (await side.list()).objects] == ["b"]


def test_a_head_of_what_was_there_before_finds_its_bytes(tmp_path: Path) -> None:
    lines = (
        Called(1, 1.0, "read", "old", "u"),
        Returned(1, 2.0, "ok", value=""),
        Called(2, 1.0, "read", "new", "u"),
        Returned(2, 2.0, "ok", value=""),
    )
    tally = tally_of(tmp_path / "a.log", *lines)
    assert audit(histories(tally, {"old": "x"}), {"old": "x"}).keys(Violation.CORRUPT) == ["new"]


@pytest.mark.anyio
async def test_both_sides_are_read_to_the_last_key_that_either_holds() -> None:
    source, target = MemoryBackend("a"), MemoryBackend("b")
    await source.write("k", BytesBody(b"1"), NO_ATTRIBUTES)
    await target.write("surplus", BytesBody(b"2"), NO_ATTRIBUTES)
    pair: Pair[Backend] = Pair(source, target)
    found = await read_both(pair, ["k", "gone"])
    values = {key: [event.value for event in events] for key, events in found.items()}
    one, two = sha256(b"1").hexdigest(), sha256(b"2").hexdigest()
    assert values == {"k": [one, None], "gone": [None, None], "surplus": [None, two]}
    assert audit(found, {"k": one}).keys(*Violation) == ["k", "surplus"]


def test_files_of_this_python_are_copied_once_each(tmp_path: Path) -> None:
    values, tags = copy_files(tmp_path, 25)
    assert len(values) == 25
    assert set(tags.values()) == set(values.values())
    for key, value in values.items():
        assert sha256((tmp_path / key).read_bytes()).hexdigest() == value


def test_keys_that_are_written_once_are_never_written_again() -> None:
    mix = Mix(Random(1), "one", ["file"], 5)
    written: list[str] = []
    deleted: list[str] = []
    for _ in range(5_000):
        wish = mix.next()
        once = wish.key.startswith((KEPT, GONE))
        if wish.act is Act.PUT and once:
            written.append(wish.key)
            mix.written(wish.key)
        elif wish.act is Act.DELETE and once:
            deleted.append(wish.key)
        elif wish.act is not Act.GET:
            assert not once or wish.act is Act.HEAD
    assert len(written) == len(set(written)) > 100
    assert len(deleted) == len(set(deleted)) > 20
    assert all(key.startswith(GONE) for key in deleted)


def test_where_keys_lie_flat_no_folder_is_made_or_emptied(tmp_path: Path) -> None:
    values, _ = put_what_stays(tmp_path)
    folders = {key.rpartition("/")[0] for key in values}
    mix = Mix(Random(1), "one", ["python/file"], 5, flat=True)
    wishes = [mix.next() for _ in range(2_000)]
    changed = {wish.key for wish in wishes if wish.act in {Act.PUT, Act.CREATE, Act.DELETE}}
    assert {key.rpartition("/")[0] for key in changed} == folders | {"python"}
    assert not changed & values.keys()


@pytest.mark.anyio
async def test_a_failing_side_refuses_or_loses_answers_and_some_writes_land_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sides, "CONNECT_SECONDS", 0.0)
    monkeypatch.setattr(sides, "LATE_SECONDS", 0.01)
    failing = True
    inner = MemoryBackend("a")
    side = FailingSide(inner, Side.TARGET, lambda: failing, Random(1))
    outcomes = {BackendUnavailableError: 0, OutcomeUnknownError: 0}
    for number in range(200):
        with pytest.raises((BackendUnavailableError, OutcomeUnknownError)) as caught:
            await side.write(f"{number}", BytesBody(b"1"), NO_ATTRIBUTES)
        outcomes[caught.type] += 1
    with pytest.raises(BackendUnavailableError):
        await side.read("0")
    await side.close()
    landed = len((await inner.list()).objects)
    assert outcomes[BackendUnavailableError] > 150
    assert 0 < landed < outcomes[OutcomeUnknownError]
    failing = False
    await side.write("k", BytesBody(b"1"), NO_ATTRIBUTES)
    await side.delete("k")
    with pytest.raises(ObjectNotFoundError):
        await side.stat("k")


@pytest.mark.anyio
async def test_what_is_staged_on_a_failing_side_is_lost_in_part_and_may_land_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sides, "CONNECT_SECONDS", 0.0)
    monkeypatch.setattr(sides, "LATE_SECONDS", 0.01)
    failing = False
    inner = MemoryBackend("a", staged_bytes_min=1)
    side = FailingSide(inner, Side.TARGET, lambda: failing, Random(1))
    unknown = 0
    for number in range(200):
        failing = False
        staged = await side.stage(f"{number}", BytesBody(b"1"), NO_ATTRIBUTES)
        failing = True
        with pytest.raises((BackendUnavailableError, OutcomeUnknownError)) as caught:
            await staged.complete()
        unknown += caught.type is OutcomeUnknownError
        await staged.drop()
    with pytest.raises(BackendUnavailableError):
        await side.stage("k", BytesBody(b"1"), NO_ATTRIBUTES)
    await side.close()
    assert 0 < len((await inner.list()).objects) < unknown < 50
    failing = False
    assert await side.part_bytes(await inner.stat((await inner.list()).objects[0].key)) is None
    assert (await (await side.stage("k", BytesBody(b"1"), NO_ATTRIBUTES)).complete()).key == "k"


def test_an_event_knows_who_asked(tmp_path: Path) -> None:
    tally = tally_of(
        tmp_path / "a.log", Called(1, now(), "delete", "k", "user-3"), Returned(1, now(), "ok")
    )
    (event,) = tally.events["k"]
    assert isinstance(event, Event)
    assert event.who == "user-3 in users-1.1"
