"""Looks of one turn of the event loop share a snapshot that begins after the last was asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import apsw
import pytest
from tests.stores.sqlite_files import OPEN, prepared

from crossfade.errors import (
    InvariantError,
    MigrationNotFoundError,
    StoreCorruptError,
    StoreUnavailableError,
)
from crossfade.stores import sqlite_looks
from crossfade.testing.catalog_samples import NAME, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crossfade.core.records import Look
    from crossfade.stores.sqlite import SqliteCatalog

pytestmark = pytest.mark.anyio


@pytest.fixture
def _always_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_looks, "SINGLE_LOOKS", 0)


def traced(catalog: SqliteCatalog) -> list[str]:
    assert catalog._rows is not None
    statements: list[str] = []

    def note(_: apsw.Cursor, sql: str, __: object) -> bool:
        statements.append(sql.split(maxsplit=1)[0])
        return True

    catalog._rows._cursor.exec_trace = note
    return statements


def asked(catalog: SqliteCatalog, *keys: str) -> list[asyncio.Task[Look]]:
    return [asyncio.ensure_future(catalog.look(NAME, key)) for key in keys]


@pytest.mark.usefixtures("_always_together")
async def test_looks_of_one_turn_share_one_snapshot(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    await put(catalog, "b", OPEN)
    await catalog.look(NAME, "a")
    statements = traced(catalog)
    found = await asyncio.gather(*asked(catalog, "a", "b", "c"))
    assert [look.key for look in found] == ["a", "b", "c"]
    assert [look.record for look in found] == [None, OPEN, None]
    assert statements == ["BEGIN", "SELECT", "SELECT", "SELECT", "ROLLBACK"]
    await catalog.close()


@pytest.mark.usefixtures("_always_together")
async def test_a_look_sees_what_was_committed_before_it_was_asked_for(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    await put(catalog, "b", OPEN)
    other = apsw.Connection(str(tmp_path / "catalog.db"))
    (first,) = asked(catalog, "b")
    # What is scheduled now runs in this order, in one turn.
    asyncio.get_running_loop().call_soon(other.execute, "DELETE FROM record")
    (second,) = asked(catalog, "b")
    assert (await second).record is None
    assert first.done()
    other.close()
    await catalog.close()


async def test_who_looks_alone_waits_for_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_looks, "SINGLE_LOOKS", 2)
    catalog = await prepared(tmp_path / "catalog.db")
    waited = [await turns_of(lambda: catalog.look(NAME, "a")) for _ in range(6)]
    assert [turns > 0 for turns in waited] == [False, False, True, False, False, True]
    await asyncio.gather(*asked(catalog, "a", "b", "c", "d"))
    assert await turns_of(lambda: catalog.look(NAME, "a")) > 0
    await catalog.close()


async def turns_of(look: Callable[[], object]) -> int:
    """Return how many turns of the event loop go by until it is done."""
    turns = 0
    coroutine = look()
    assert asyncio.iscoroutine(coroutine)
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    return turns


@pytest.mark.usefixtures("_always_together")
async def test_a_look_that_fails_leaves_the_others_of_its_turn_alone(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    await put(catalog, "bad", OPEN)
    spoiling = apsw.Connection(str(tmp_path / "catalog.db"))
    spoiling.execute("UPDATE record SET body = x'00'")
    spoiling.close()
    unknown = asyncio.ensure_future(catalog.look("nobody", "a"))
    bad, good = asked(catalog, "bad", "good")
    cancelled = asyncio.ensure_future(catalog.look(NAME, "c"))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert (await good).record is None
    with pytest.raises(StoreCorruptError):
        await bad
    with pytest.raises(MigrationNotFoundError):
        await unknown
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await catalog.close()


@pytest.mark.usefixtures("_always_together")
async def test_a_failure_that_looks_share_tells_each_of_them_its_cause(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    await catalog.look(NAME, "a")
    assert catalog._rows is not None
    failure = apsw.IOError("gone")

    def fail(_: apsw.Cursor, sql: str, __: object) -> bool:
        raise failure

    catalog._rows._cursor.exec_trace = fail
    one, two = await asyncio.gather(*asked(catalog, "a", "b"), return_exceptions=True)
    assert isinstance(one, StoreUnavailableError)
    assert isinstance(two, StoreUnavailableError)
    assert one is not two
    assert one.__cause__ is failure is two.__cause__
    catalog._rows._cursor.exec_trace = None
    await catalog.close()


@pytest.mark.usefixtures("_always_together")
async def test_no_look_is_answered_from_a_transaction_that_was_left_open(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    await catalog.look(NAME, "a")
    assert catalog._rows is not None
    catalog._rows.connection.execute("BEGIN; SELECT count(*) FROM record")
    with pytest.raises(InvariantError, match="transaction"):
        await catalog.look(NAME, "a")
    with pytest.raises(InvariantError, match="transaction"):
        await catalog.census(NAME)
    await catalog.close()


@pytest.mark.usefixtures("_always_together")
async def test_closing_answers_the_looks_that_wait(tmp_path: Path) -> None:
    catalog = await prepared(tmp_path / "catalog.db")
    (waiting,) = asked(catalog, "a")
    closing = asyncio.ensure_future(catalog.close())
    assert (await waiting).record is None
    await closing
    with pytest.raises(StoreUnavailableError):
        await catalog.look(NAME, "a")
