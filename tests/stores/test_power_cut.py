"""Whatever the disk had not yet synced when the power failed, nothing that was told is lost."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw
from tests.stores.power_cut import Disk, recorded
from tests.stores.sqlite_files import OPEN

from crossfade.core.records import Decision
from crossfade.stores.sqlite import SqliteCatalog
from crossfade.stores.sqlite_changes import SqliteChanges
from crossfade.stores.sqlite_connections import Place, create_file, open_writing
from crossfade.stores.sqlite_schema import bring_up
from crossfade.stores.sqlite_writer import Work, commit_together
from crossfade.testing.catalog_samples import NAME, ROW, ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crossfade.core.records import Look

BATCHES = 60
CUTS = 60


def open_changes(place: Place, clock: ManualClock, synchronous: str) -> SqliteChanges:
    create_file(place.path)
    connection = open_writing(place)
    if synchronous != "FULL":
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    # So that the log starts over several times while little is written.
    connection.execute("PRAGMA wal_autocheckpoint = 12")
    changes = SqliteChanges(connection, clock)
    changes.rows.begin()
    bring_up(changes, place, boot_id="boot", now=clock.now, doubt_seconds=150.0)
    changes.rows.commit()
    return changes


def written(path: Path, synchronous: str = "FULL") -> Disk:
    """Write batches of keys, each of which closes one of an earlier batch, and note all."""
    place = Place(path=path, busy_seconds=0.0)
    loop = asyncio.new_event_loop()
    told_nobody: asyncio.Future[None] = loop.create_future()
    loop.close()
    with recorded() as disk:
        changes = open_changes(place, ManualClock(), synchronous)
        changes.prepare(ROW)
        disk.tell(0)
        for batch in range(1, BATCHES + 1):
            works: list[Work[Any]] = [
                Work(partial(change, key=key, decide=decide), told_nobody)
                for key, decide in changes_of(batch)
            ]
            commit_together(changes, works, place)
            assert [work.error for work in works] == [None] * len(works)
            disk.tell(batch)
        changes.rows.connection.close()
    return disk


def changes_of(batch: int) -> list[tuple[str, Callable[[Look], Decision[None]]]]:
    opened: list[tuple[str, Callable[[Look], Decision[None]]]] = [
        (f"{batch:03}/{number}" + "x" * 300, lambda _: Decision(OPEN, None))
        for number in range(1 + batch % 4)
    ]
    earlier = f"{batch - 3:03}/0" + "x" * 300
    return [*opened, (earlier, lambda _: Decision(None, None))]


def change(changes: SqliteChanges, key: str, decide: Callable[[Look], Decision[None]]) -> None:
    changes.change(NAME, key, decide)


def expected_after(batches: int) -> set[str]:
    """Return the open keys once this many batches are in."""
    keys: set[str] = set()
    for batch in range(1, batches + 1):
        *opened, (closed, _) = changes_of(batch)
        keys.update(key for key, _ in opened)
        keys.discard(closed)
    return keys


async def open_keys(folder: Path, files: dict[str, bytes]) -> set[str]:
    """Return the open keys of a catalog that holds what the disk held after a cut."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    connection = apsw.Connection(str(folder / "catalog.db"))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    catalog = SqliteCatalog(folder / "catalog.db", clock=ManualClock(), boot_id="boot")
    await catalog.prepare(ROW)
    found = await catalog.look_between(NAME, "", None)
    await catalog.close()
    return {key for key, _ in found.records}


def outcome_of_cut(disk: Disk, cut: int, seed: int, folder: Path) -> tuple[int, int]:
    """Return how many batches were told, and how many are there; none may be there in part."""
    told = max((e.offset for e in disk.events[:cut] if e.kind == "told"), default=-1)
    found = asyncio.run(open_keys(folder, disk.after_cut(cut, random.Random(seed))))
    states = {frozenset(expected_after(batches)): batches for batches in range(BATCHES + 1)}
    assert frozenset(found) in states, f"half a batch after cut {cut} (seed {seed})"
    return told, states[frozenset(found)]


def test_a_power_cut_loses_nothing_that_was_told(tmp_path: Path) -> None:
    disk = written(tmp_path / "written" / "catalog.db")
    chance = random.Random(1)
    begun = next(i for i, event in enumerate(disk.events) if event.kind == "told")
    assert sum(event.kind == "sync" and event.name == "catalog.db" for event in disk.events) > 5
    for number in range(CUTS):
        cut = chance.randrange(begun, len(disk.events) + 1)
        told, there = outcome_of_cut(disk, cut, number, tmp_path / f"{number}")
        assert told <= there <= told + 1, f"cut {cut}, seed {number}"


def test_the_cuts_find_a_catalog_that_tells_before_the_disk_has_it(tmp_path: Path) -> None:
    disk = written(tmp_path / "written" / "catalog.db", synchronous="NORMAL")
    chance = random.Random(1)
    begun = next(i for i, event in enumerate(disk.events) if event.kind == "told")

    def loses(number: int) -> bool:
        cut = chance.randrange(begun, len(disk.events) + 1)
        told, there = outcome_of_cut(disk, cut, number, tmp_path / f"{number}")
        return there < told

    assert any(loses(number) for number in range(CUTS))


def test_the_first_cuts_leave_a_file_that_can_be_opened(tmp_path: Path) -> None:
    disk = written(tmp_path / "written" / "catalog.db")
    begun = next(i for i, event in enumerate(disk.events) if event.kind == "told")
    for cut in range(0, begun, max(1, begun // 15)):
        files = disk.after_cut(cut, random.Random(cut))
        assert asyncio.run(open_keys(tmp_path / f"{cut}", files)) == set()
