from __future__ import annotations

import inspect
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

import crossfade
from crossfade import sync
from crossfade.core.objects import ByteRange
from crossfade.errors import ConfigurationError, IllegalTransitionError, ObjectNotFoundError
from crossfade.files.facade import Files
from crossfade.setup.opened import Crossfade
from crossfade.setup.sides import forget_memory_sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RAW: dict[str, Any] = {
    "crossfade": {"enabled": True, "late_seconds_max": 0, "look_seconds_max": 0.2},
    "migrations": {"m": {"enabled": True, "source": "memory://a", "target": "memory://b"}},
}
ASYNCHRONOUS_ONLY = {"require"}
PREPARED = {"backfill", "verification", "repair"}


@pytest.fixture
def xf() -> Iterator[sync.Crossfade]:
    forget_memory_sides()
    with crossfade.sync.open(RAW, environ={}) as opened:
        yield opened
    forget_memory_sides()


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}


def test_the_blocking_face_has_the_same_names() -> None:
    assert public(sync.Crossfade) == public(Crossfade) - ASYNCHRONOUS_ONLY
    assert public(sync.Files) == public(Files) - PREPARED


@pytest.mark.parametrize("name", sorted(public(sync.Files)))
def test_the_blocking_calls_take_the_same_arguments(name: str) -> None:
    blocking, awaited = getattr(sync.Files, name), getattr(Files, name)
    assert list(inspect.signature(blocking).parameters) == list(
        inspect.signature(awaited).parameters
    )
    assert blocking.__doc__


def test_files_are_put_read_listed_copied_and_deleted(xf: sync.Crossfade) -> None:
    files = xf.files("m")
    info = files.put("a/1", BytesIO(b"hello"), content_type="text/plain", metadata={"a": "b"})
    assert info.size == 5
    with files.get("a/1") as obj:
        assert obj.info.attributes is not None
        assert obj.info.attributes.content_type == "text/plain"
        assert obj.read() == b"hello"
    with files.get("a/1", range=ByteRange(start=1, end=2)) as obj:
        assert list(obj) == [b"el"]
    files.copy("a/1", "b")
    assert files.head("b").size == 5
    files.delete("a/1")
    assert [info.key for info in files.list()] == ["b"]
    with pytest.raises(ObjectNotFoundError):
        files.get("a/1")


def test_a_long_listing_is_whole_and_in_order(xf: sync.Crossfade) -> None:
    files = xf.files("m")
    for number in range(sync.LISTED_AT_ONCE + 3):
        files.put(f"{number:04}", b"")
    keys = [info.key for info in files.list()]
    assert keys == [f"{number:04}" for number in range(sync.LISTED_AT_ONCE + 3)]
    assert next(files.list(after="0007")).key == "0008"


def test_a_migration_is_steered(xf: sync.Crossfade) -> None:
    xf.files("m").put("k", b"1")
    assert xf.begin("m")
    assert xf.backfill("m").finished
    assert xf.set_percentage("m", "12.5 %").percentage == 12.5
    assert xf.verify("m").proof
    assert xf.rollback_emergency().status == "rolled_back"
    with pytest.raises(IllegalTransitionError, match="an emergency rollback halted it"):
        xf.complete("m")
    xf.set_percentage("m", 99)
    with pytest.raises(IllegalTransitionError, match="99 % are in force, not 100 %"):
        xf.complete("m")
    xf.set_percentage("m", 100)
    xf.complete("m")
    assert xf.rollback_emergency().status == "complete"
    assert [one.state for one in xf.status()] == ["complete"]


def test_many_threads_share_one_opening(xf: sync.Crossfade) -> None:
    files = xf.files("m")

    def work(number: int) -> bytes:
        files.put(f"k/{number}", b"%d" % number)
        with files.get(f"k/{number}") as obj:
            return obj.read()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(64))) == [b"%d" % number for number in range(64)]


def test_a_call_after_a_fork_is_refused_and_does_not_hang(
    xf: sync.Crossfade, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = xf.files("m")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(ConfigurationError, match="open it after the fork"):
            files.head("k")
    with pytest.raises(ObjectNotFoundError):
        files.head("k")


def test_a_call_after_the_end_of_the_block_says_so() -> None:
    forget_memory_sides()
    with sync.open(RAW, environ={}) as opened:
        files = opened.files("m")
        files.put("k", b"1")
        obj = files.get("k")
    listed = files.list()
    calls: list[Callable[[], object]] = [
        partial(files.head, "k"),
        partial(next, listed),
        opened.status,
        obj.read,
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="block in which it was opened has ended"):
            call()
    forget_memory_sides()
