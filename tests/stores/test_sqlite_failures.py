"""What becomes of a catalog whose file fails it: locked, full, damaged, of another boot."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import apsw
import pytest
from tests.stores.sqlite_files import OPEN, each_connection, opens, prepared

from crossfade.core.objects import Pair, Side
from crossfade.core.records import Mark, MarkKind, Proof, Record
from crossfade.errors import (
    InvariantError,
    MigrationNotFoundError,
    StaleEpochError,
    StoreCorruptError,
    StoreFullError,
    StoreUnavailableError,
)
from crossfade.stores.sqlite import SqliteCatalog
from crossfade.stores.sqlite_changes import SqliteChanges
from crossfade.stores.sqlite_connections import Place, create_file, open_writing
from crossfade.stores.sqlite_schema import read_boot_id
from crossfade.stores.sqlite_writer import Work, commit_together
from crossfade.testing.catalog_samples import NAME, RICH, ROW, ManualClock, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = pytest.mark.anyio


async def closed_file(path: Path) -> None:
    """Leave a catalog at rest that holds one open key."""
    catalog = await prepared(path)
    await put(catalog, "k", RICH)
    await catalog.close()


# -- not there, locked, full -----------------------------------------------------------------------


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        StoreUnavailableError, match=r"missing/below/catalog\.db.*create the folder"
    ):
        await prepared(tmp_path / "missing" / "below" / "catalog.db")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match=r"file/catalog\.db"):
        await prepared(tmp_path / "file" / "catalog.db")
    with pytest.raises(StoreUnavailableError, match="Is a directory"):
        await prepared(tmp_path)


async def test_a_catalog_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    catalog = SqliteCatalog(tmp_path / "later" / "below" / "catalog.db", boot_id="boot")
    with pytest.raises(StoreUnavailableError):
        await catalog.prepare(ROW)
    (tmp_path / "later").mkdir()
    assert await catalog.prepare(ROW) == ROW
    await catalog.close()


async def test_a_lock_is_waited_for_and_then_an_error_while_looks_go_on(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await prepared(path)
    await put(catalog, "k", RICH)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match=r"was locked for 0\.05 s"):
        await catalog.change(NAME, "k", opens)
    assert (await catalog.look(NAME, "k")).record == RICH
    other.execute("ROLLBACK")
    assert await catalog.change(NAME, "k", opens) == "k"
    other.close()
    await catalog.close()


async def test_a_lock_while_opening_is_waited_for_too(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    other = apsw.Connection(str(path))
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailableError, match="was locked"):
        await prepared(path)
    other.close()
    catalog = await prepared(path)
    assert (await catalog.look(NAME, "k")).record is None
    await catalog.close()


def test_many_may_create_the_file_at_once(tmp_path: Path) -> None:
    rounds, openers = 60, 4
    barrier = threading.Barrier(openers)
    modes: list[object] = []

    def open_all() -> None:
        for number in range(rounds):
            place = Place(path=tmp_path / f"{number}.db", busy_seconds=10.0)
            create_file(place.path)
            barrier.wait(10.0)
            connection = open_writing(place)
            modes.append(connection.pragma("journal_mode"))
            connection.close()

    threads = [threading.Thread(target=open_all) for _ in range(openers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert modes == ["wal"] * rounds * openers


async def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(tmp_path: Path) -> None:
    opened: list[apsw.Connection] = []
    with each_connection(opened.append):
        catalog = await prepared(tmp_path / "catalog.db")
    writing = opened[0]

    def limit(pages: int) -> None:
        writing.execute(f"PRAGMA max_page_count = {pages}")

    pages = writing.pragma("page_count")
    assert isinstance(pages, int)
    limit(pages + 2)
    large = [(f"{number:04}" + "x" * 900, opens) for number in range(200)]
    results = await asyncio.gather(
        catalog.change(NAME, "a", opens),
        catalog.change_many(NAME, large),
        catalog.change(NAME, "b", opens),
        return_exceptions=True,
    )
    assert [result for result in results if isinstance(result, str)] == ["a", "b"]
    assert isinstance(results[1], StoreFullError)
    assert "free space" in str(results[1])
    found = await catalog.look_between(NAME, "", None)
    assert found.records == (("a", OPEN), ("b", OPEN))
    limit(1_000_000)
    assert len(await catalog.change_many(NAME, large)) == 200
    await catalog.close()


# -- damaged, or not a catalog of this release -----------------------------------------------------


async def test_what_is_no_catalog_is_refused_and_not_touched(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_bytes(b"not a database, but a text that somebody wrote\n" * 100)
    before = text.read_bytes()
    with pytest.raises(StoreCorruptError, match=r"text\.db.*every range unsealed"):
        await prepared(text)
    assert text.read_bytes() == before
    other = tmp_path / "other.db"
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE accounts (name)")
    connection.close()
    with pytest.raises(StoreCorruptError, match="file of something else"):
        await prepared(other)


async def test_a_damaged_page_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    await closed_file(path)
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4_096):
        data[page * 4_096 : page * 4_096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="move the file away"):
        await prepared(path)


async def test_a_record_that_cannot_be_read_is_an_error_for_looks_and_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.db"
    await closed_file(path)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE record SET body = x'c1'")
    connection.close()
    catalog = await prepared(path)
    with pytest.raises(StoreCorruptError, match="is damaged"):
        await catalog.look(NAME, "k")
    outcomes = await asyncio.gather(
        catalog.change(NAME, "k", opens),
        catalog.change(NAME, "other", opens),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], StoreCorruptError)
    assert outcomes[1] == "other"
    await catalog.close()


async def test_a_file_of_a_newer_release_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    await closed_file(path)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE about SET value = '9.8.7' WHERE name = 'release'")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreCorruptError, match=r"written by Crossfade 9\.8\.7 \(schema 99\)"):
        await prepared(path)


async def test_a_schema_step_brings_an_older_file_up_and_keeps_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.db"
    await closed_file(path)
    schema = "crossfade.stores.sqlite_schema"
    monkeypatch.setattr(f"{schema}.STEPS", ("sqlite_001", "sqlite_002", "later"))
    monkeypatch.setattr(f"{schema}.load_script", lambda _: "ALTER TABLE lease ADD COLUMN note TEXT")
    catalog = await prepared(path)
    assert (await catalog.look(NAME, "k")).record == RICH
    assert await catalog.take_lease("n", "h", 1.0) is not None
    await catalog.close()
    monkeypatch.undo()
    with pytest.raises(StoreCorruptError, match="schema 3"):
        await prepared(path)


async def test_a_row_that_was_rolled_back_leaves_no_number_behind(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    await closed_file(path)
    place = Place(path=path, busy_seconds=1.0)
    changes = SqliteChanges(open_writing(place), ManualClock())

    def commit(*acts: Callable[[SqliteChanges], object]) -> list[BaseException | None]:
        works = [Work(act, asyncio.get_running_loop().create_future()) for act in acts]
        commit_together(changes, works, place)
        return [work.error for work in works]

    def prepare(name: str) -> Callable[[SqliteChanges], object]:
        return lambda changes: changes.prepare(replace(ROW, name=name))

    def change(name: str) -> Callable[[SqliteChanges], object]:
        return lambda changes: changes.change(name, "k", opens)

    changes.rows.connection.set_commit_hook(lambda: True)
    errors = commit(prepare("gone"), change("gone"))
    assert [type(error) for error in errors] == [InvariantError, InvariantError]
    changes.rows.connection.set_commit_hook(None)
    assert commit(prepare("next"), change("next")) == [None, None]
    assert isinstance(commit(change("gone"))[0], MigrationNotFoundError)
    changes.rows.connection.close()


# -- a reboot, a fork ------------------------------------------------------------------------------


async def rebooted(path: Path, clock: ManualClock, doubt_seconds: float) -> SqliteCatalog:
    return SqliteCatalog(path, clock=clock, boot_id="next", doubt_seconds=doubt_seconds)


async def test_after_a_reboot_leases_are_over_and_doubts_start_anew(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await prepared(path, ManualClock(90_000.0))
    mark = Mark(kind=MarkKind.DRIFT, tags=Pair("a", None), since=89_000.0)
    doubtful = Record(authority=Side.TARGET, doubt=Pair(89_999.0, None), mark=mark, attempts=3)
    await put(catalog, "intent", RICH)
    await put(catalog, "doubt", replace(doubtful, since=88_000.0, next_attempt=91_000.0))
    await catalog.seal(NAME, "a", "z", lambda _: True)
    lease = await catalog.take_lease("n", "h", 60.0)
    assert lease is not None
    await catalog.close()

    catalog = await rebooted(path, ManualClock(5.0), 20.0)
    assert RICH.intent is not None
    expected = {
        "doubt": replace(
            doubtful,
            doubt=Pair(155.0, None),
            mark=replace(mark, since=5.0),
            since=5.0,
            next_attempt=5.0,
        ),
        "intent": replace(
            RICH,
            intent=replace(RICH.intent, lease_until=5.0),
            doubt=Pair(None, 155.0),
            mark=replace(RICH.mark, since=5.0) if RICH.mark else None,
            since=5.0,
            next_attempt=5.0,
        ),
    }
    assert dict((await catalog.look_between(NAME, "", None)).records) == expected
    assert [key for key, _ in await catalog.due(NAME, 9)] == ["intent"]
    assert [known.sealed for known in await catalog.ranges(NAME)] == [False, True, False]
    taken = await catalog.take_lease("n", "other", 60.0)
    assert taken is not None
    assert taken.epoch == lease.epoch + 1
    with pytest.raises(StaleEpochError):
        await catalog.seal(NAME, "", None, lambda _: True, lease)
    await catalog.close()


async def test_after_a_reboot_nothing_counts_as_older_than_it(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    proof = Proof(begun_at=1.0, ended_at=2.0, ended_wall=3.0, keys=4, drift=0)
    row = replace(ROW, begun_at=70.0, changed_at=80.0, proof=proof, basis_points=7, halted=True)
    catalog = SqliteCatalog(path, clock=ManualClock(), boot_id="boot")
    await catalog.prepare(replace(row, completing_until=2_000.0))
    await catalog.close()
    catalog = await rebooted(path, ManualClock(5.0), 20.0)
    assert await catalog.prepare(ROW) == replace(row, begun_at=5.0, changed_at=5.0, proof=None)
    await catalog.close()


async def test_the_same_boot_changes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    await closed_file(path)
    catalog = await prepared(path, ManualClock(2_000.0))
    assert (await catalog.look(NAME, "k")).record == RICH
    await catalog.close()


async def test_the_longest_doubt_of_any_process_counts_after_a_reboot(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    await closed_file(path)  # its doubts last 150 s
    long = SqliteCatalog(path, clock=ManualClock(), boot_id="boot", doubt_seconds=900.0)
    await long.prepare(ROW)
    await long.close()
    await closed_file(path)
    catalog = await rebooted(path, ManualClock(5.0), 20.0)
    record = (await catalog.look(NAME, "k")).record
    assert record is not None
    assert record.doubt == Pair(None, 905.0)
    await catalog.close()


def test_the_system_tells_its_boot() -> None:
    assert len(read_boot_id()) >= 32
    assert read_boot_id() == read_boot_id()


FORKS = """
import asyncio, os, sys
from crossfade.core.records import Decision, MigrationRow
from crossfade.errors import StoreUnavailableError
from crossfade.stores.sqlite import SqliteCatalog

row = MigrationRow(name="m", source="a", target="b", salt="s", algorithm="1")
catalog = SqliteCatalog(sys.argv[1])

async def child():
    for call in (catalog.look("m", "k"), catalog.prepare(row)):
        try:
            await call
        except StoreUnavailableError as error:
            assert "forked" in str(error), error
        else:
            raise SystemExit("the child used its parent's connection")
    fresh = SqliteCatalog(sys.argv[1])
    await fresh.change("m", "child", lambda look: Decision(None, None, extra=True))
    await fresh.close()

async def parent():
    await catalog.prepare(row)
    await catalog.look("m", "k")

loop = asyncio.new_event_loop()
loop.run_until_complete(parent())
pid = os.fork()
if pid == 0:
    asyncio.set_event_loop(None)
    asyncio.run(child())
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
noted = Decision(None, None, extra=True)
loop.run_until_complete(catalog.change("m", "parent", lambda look: noted))
print((loop.run_until_complete(catalog.look_between("m", "", None))).extras)
loop.run_until_complete(catalog.close())
"""


def test_a_forked_child_is_refused_its_parent_s_catalog_and_opens_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKS, str(tmp_path / "catalog.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "('child', 'parent')"), ended.stderr
