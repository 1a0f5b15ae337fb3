"""What only the catalog in SQLite does: its file, its thread, its errors."""

from __future__ import annotations

import asyncio
import re
import stat
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw
import msgspec
import pytest
from tests.stores.sqlite_files import OPEN, each_connection, opens, prepared

from crossfade.core.objects import Attributes, Digest
from crossfade.core.records import Decision
from crossfade.errors import ConfigurationError, InvariantError, StoreUnavailableError
from crossfade.stores.encoding import decode_record, encode_record
from crossfade.stores.queries import load_queries, load_script
from crossfade.stores.sqlite import SqliteCatalog
from crossfade.stores.sqlite_connections import refuse_old_sqlite
from crossfade.testing.catalog_samples import NAME, RICH, ROW, ManualClock, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crossfade.core.records import Look

pytestmark = pytest.mark.anyio


class Gate:
    """A decision that holds the writer's thread until it is let go."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._go_on = threading.Event()

    def decide(self, look: Look) -> Decision[str]:
        self._loop.call_soon_threadsafe(self._reached.set)
        assert self._go_on.wait(10.0)
        return opens(look)

    async def reached(self) -> None:
        await asyncio.wait_for(self._reached.wait(), 10.0)

    def go_on(self) -> None:
        self._go_on.set()


@pytest.mark.parametrize("value", [42, None, b"42", "\ud800"])
async def test_what_could_not_be_read_back_is_not_stored(tmp_path: Path, value: Any) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    attributes = Attributes(metadata={"user": value})
    digest = Digest(sha256="a" * 64, size=3, attributes=attributes)
    unreadable = replace(OPEN, digest=digest)
    with pytest.raises(InvariantError, match="read back"):
        await catalog.change(NAME, "key", lambda _: Decision(unreadable, None))
    assert (await catalog.look(NAME, "key")).record is None
    await catalog.change(NAME, "key", opens)
    assert (await catalog.look(NAME, "key")).record == OPEN
    await catalog.close()


async def test_a_first_use_that_is_cancelled_leaves_no_thread_and_no_connection(
    tmp_path: Path,
) -> None:
    await (await prepared(tmp_path / "catalog.db")).close()
    other = apsw.Connection(str(tmp_path / "catalog.db"))
    other.execute("BEGIN IMMEDIATE")
    before = set(threading.enumerate())
    catalog = SqliteCatalog(tmp_path / "catalog.db", boot_id="boot", busy_seconds=10.0)
    first = asyncio.ensure_future(catalog.migrations())
    while set(threading.enumerate()) == before:
        await asyncio.sleep(0)
    (thread,) = set(threading.enumerate()) - before
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    other.execute("ROLLBACK")
    await asyncio.to_thread(thread.join, 10.0)
    assert not thread.is_alive()
    assert len(await catalog.migrations()) == 1
    await catalog.close()
    other.close()


# -- group commit ----------------------------------------------------------------------------------


async def test_changes_that_wait_share_one_commit_and_one_wake_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[None] = []
    wake_ups: list[None] = []

    def count() -> bool:
        commits.append(None)
        return False

    def count_commits(connection: apsw.Connection) -> None:
        connection.set_commit_hook(count)

    with each_connection(count_commits):
        catalog = await prepared(tmp_path / "catalog.db")
    loop = asyncio.get_running_loop()
    gate = Gate()
    wake_up = loop.call_soon_threadsafe

    def counted(*arguments: Any) -> asyncio.Handle:
        wake_ups.append(None)
        return wake_up(*arguments)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(catalog.change(NAME, "first", gate.decide))
        await gate.reached()
        commits.clear()
        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        waiting = [tasks.create_task(catalog.change(NAME, f"{n}", opens)) for n in range(64)]
        await asyncio.sleep(0)
        gate.go_on()
    assert [task.result() for task in waiting] == [f"{n}" for n in range(64)]
    assert len(commits) == 2
    assert len(wake_ups) == 2
    await catalog.close()


async def test_a_decision_that_raises_in_a_shared_commit_fails_alone(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    gate = Gate()

    def stops(look: Look) -> Decision[str]:
        raise StopIteration

    def exits(look: Look) -> Decision[str]:
        raise SystemExit(3)

    held = asyncio.create_task(catalog.change(NAME, "first", gate.decide))
    await gate.reached()
    decides: list[Callable[[Look], Decision[str]]] = [opens, stops, exits, opens]
    waiting = [
        asyncio.ensure_future(catalog._writer.submit(partial(_change, key=f"{n}", decide=decide)))  # type: ignore[union-attr]
        for n, decide in enumerate(decides)
    ]
    gate.go_on()
    await held
    assert (await asyncio.wait(waiting, timeout=10.0))[1] == set()
    errors = [type(task.exception()) for task in waiting]
    assert errors == [type(None), RuntimeError, SystemExit, type(None)]
    found = await catalog.look_between(NAME, "", None)
    assert [key for key, _ in found.records] == ["0", "3", "first"]
    await catalog.close()


def _change(changes: object, key: str, decide: Callable[[Look], Decision[str]]) -> str:
    return changes.change(NAME, key, decide)  # type: ignore[attr-defined, no-any-return]


async def test_a_change_whose_caller_is_cancelled_is_made_all_the_same(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    gate = Gate()
    held = asyncio.create_task(catalog.change(NAME, "first", gate.decide))
    await gate.reached()
    cancelled = asyncio.create_task(catalog.change(NAME, "second", opens))
    await asyncio.sleep(0)
    cancelled.cancel()
    gate.go_on()
    await held
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    third = catalog.change(NAME, "third", opens)
    assert await asyncio.wait_for(third, 10.0) == "third"
    assert (await catalog.look(NAME, "second")).record == OPEN
    await catalog.close()


async def test_closing_finishes_what_was_submitted(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await prepared(path)
    waiting = [asyncio.create_task(catalog.change(NAME, f"{n}", opens)) for n in range(20)]
    await asyncio.sleep(0)
    await catalog.close()
    await catalog.close()
    assert [await task for task in waiting] == [f"{n}" for n in range(20)]
    assert not path.with_name("catalog.db-wal").exists()
    with pytest.raises(StoreUnavailableError, match="was closed"):
        await catalog.look(NAME, "k")
    with pytest.raises(StoreUnavailableError, match="was closed"):
        await catalog.change(NAME, "k", opens)
    again = await prepared(path)
    assert (await again.census(NAME)).open_count == 20
    await again.close()


async def test_an_unused_catalog_touches_nothing(tmp_path: Path) -> None:
    catalog = SqliteCatalog(tmp_path / "catalog.db")
    assert catalog.now() > 0
    await catalog.close()
    assert list(tmp_path.iterdir()) == []


async def test_first_uses_at_once_open_the_file_once(tmp_path: Path) -> None:
    opened: list[apsw.Connection] = []
    catalog = SqliteCatalog(tmp_path / "catalog.db", clock=ManualClock(), boot_id="boot")
    with each_connection(opened.append):
        rows = await asyncio.gather(*(catalog.prepare(ROW) for _ in range(5)))
    assert rows == [ROW] * 5
    assert len(opened) == 2
    await catalog.close()


# -- looks -----------------------------------------------------------------------------------------


async def test_a_look_is_one_statement_and_keeps_no_snapshot(tmp_path: Path) -> None:
    statements: list[str] = []

    def note(_: object, sql: str, __: object) -> bool:
        statements.append(sql)
        return True

    def trace(connection: apsw.Connection) -> None:
        connection.set_exec_trace(note)

    path = tmp_path / "catalog.db"
    with each_connection(trace):
        catalog = await prepared(path)
    await put(catalog, "k", RICH)
    await catalog.look(NAME, "k")
    statements.clear()
    assert (await catalog.look(NAME, "k")).record == RICH
    assert statements == [load_queries("sqlite")["look"]]
    await catalog.look_between(NAME, "", None)
    await catalog.census(NAME)
    await catalog.due(NAME, 10)
    # A snapshot that was kept would keep the log from being emptied.
    other = apsw.Connection(str(path))
    busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
    assert busy == 0
    other.close()
    await catalog.close()


async def test_a_look_is_not_planned_anew_for_each_key(tmp_path: Path) -> None:
    opened: list[apsw.Connection] = []
    with each_connection(opened.append):
        catalog = await prepared(tmp_path / "catalog.db")
    settings = [connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) for connection in opened]
    assert settings == [1, 1]
    await catalog.close()


async def test_what_is_due_is_found_by_an_index(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    assert catalog._rows is not None
    connection = catalog._rows.connection
    plans = {}
    for name, sql in load_queries("sqlite").items():
        bindings = [None] * len(set(re.findall(r"\?\d", sql)))
        plans[name] = str(connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings).fetchall())
    assert "record_due (migration=? AND due_at<?)" in plans["records_due"]
    for name in ("look", "look_to_change", "records_between", "ranges_meeting", "extras_between"):
        assert "SCAN" not in plans[name], plans[name]
    await catalog.close()


# -- the file --------------------------------------------------------------------------------------


async def test_the_file_is_for_this_user_alone_and_commits_reach_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / ".crossfade"
    opened: list[apsw.Connection] = []
    with each_connection(opened.append):
        catalog = await prepared(folder / "catalog.db")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"catalog.db": 0o600, "catalog.db-wal": 0o600, "catalog.db-shm": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert catalog._writer is not None
    writing = opened[0]
    settings = await catalog._writer.submit(
        lambda _: (writing.pragma("journal_mode"), writing.pragma("synchronous"))
    )
    assert settings == ("wal", 2)
    await catalog.close()


async def test_the_log_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await prepared(path)
    log = path.with_name("catalog.db-wal")
    written = largest = 0
    pairs = [(f"{n:03}" + "x" * 900, opens) for n in range(200)]
    closing = [(key, lambda _: Decision(None, "")) for key, _ in pairs]
    for _ in range(40):
        await catalog.change_many(NAME, pairs)
        await catalog.look(NAME, pairs[0][0])
        await catalog.change_many(NAME, closing)
        written += 200 * 1_000
        largest = max(largest, log.stat().st_size)
    assert written > 7_000_000
    assert largest < 6_000_000
    await catalog.close()


@pytest.mark.parametrize("version", ["3.51.2", "3.50.4", "3.6"])
def test_a_library_that_can_corrupt_the_file_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match="apsw"):
        refuse_old_sqlite(version)


def test_a_library_without_the_fault_is_taken() -> None:
    def is_refused(version: str) -> bool:
        try:
            refuse_old_sqlite(version)
        except ConfigurationError:
            return True
        return False

    assert not any(map(is_refused, ["3.51.3", "3.54.1", "4.0.0", apsw.sqlite_lib_version()]))


def test_fields_of_a_later_release_are_no_fault() -> None:
    stored = bytearray(encode_record(RICH))
    assert stored[0] == 0x90 + 11  # an array of eleven
    stored[0] += 1
    assert decode_record(bytes(stored) + b"\xa5later") == RICH


def test_an_intent_of_an_older_release_puts_no_parts_together() -> None:
    stored = msgspec.msgpack.decode(encode_record(RICH))
    assert stored[1].pop() == ["target"]
    assert RICH.intent is not None
    older = replace(RICH, intent=replace(RICH.intent, completes=frozenset()))
    assert decode_record(msgspec.msgpack.encode(stored)) == older


def test_the_schema_is_a_script_without_changes_in_place() -> None:
    script = load_script("sqlite_001")
    assert "DROP" not in script.upper()
    assert script.count("STRICT") == script.count("CREATE TABLE")
