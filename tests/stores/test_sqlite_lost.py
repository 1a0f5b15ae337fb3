"""A catalog whose file goes away, or is written over, under the process that has it open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import anyio
import apsw
import pytest
from tests.stores.sqlite_files import each_connection, opens, prepared

from crossfade.errors import StoreCorruptError, StoreFullError, StoreReplacedError
from crossfade.stores.sqlite_connections import CatalogFile
from crossfade.testing.catalog_samples import NAME, ROW, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crossfade.stores.sqlite import SqliteCatalog

pytestmark = pytest.mark.anyio


def files_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


def remove(path: Path) -> None:
    for file in files_of(path):
        file.unlink()


def remove_the_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


async def refuses(catalog: SqliteCatalog, *, looks: bool = True) -> None:
    """Nothing is read or written."""
    with pytest.raises(StoreReplacedError, match=r"catalog\.db' was removed.*put the file back"):
        await catalog.change(NAME, "k", opens)
    if looks:
        await no_looks(catalog)


async def no_looks(catalog: SqliteCatalog) -> None:
    """Neither a look by itself nor many of one turn, nor any other reading."""
    for call in (catalog.look(NAME, "k"), catalog.ranges(NAME), catalog.migrations()):
        with pytest.raises(StoreReplacedError):
            await call
    refused: list[StoreReplacedError] = []

    async def look() -> None:
        with pytest.raises(StoreReplacedError) as error:
            await catalog.look(NAME, "k")
        refused.append(error.value)

    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(look)
    assert len(set(map(id, refused))) == 40


@pytest.mark.parametrize("change", [remove, remove_the_log, replace])
async def test_a_file_that_is_not_the_one_that_was_opened_is_noticed(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "catalog.db"
    catalog = await prepared(path)
    await catalog.change(NAME, "k", opens)
    change(path)
    if change is not remove_the_log:
        await no_looks(catalog)
    await refuses(catalog)
    await catalog.close()
    if change is remove:
        assert files_of(path) == []


async def test_a_new_catalog_under_its_name_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    old = await prepared(path)
    remove(path)
    new = await prepared(path)
    await refuses(old)
    await old.close()
    await new.change(NAME, "k", opens)
    await new.close()
    again = await prepared(path)
    assert (await again.look(NAME, "k")).record is not None
    await again.close()


@pytest.mark.parametrize("garbage", [b"garbage", os.urandom(1 << 16)])
async def test_a_file_that_is_written_over_takes_no_change(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "catalog.db"
    catalog = await prepared(path)
    await put(catalog, "k", None)
    await catalog.close()
    catalog = await prepared(path)
    await catalog.change(NAME, "k", opens)
    apsw.Connection(str(path)).pragma("wal_checkpoint(TRUNCATE)")
    await catalog.look(NAME, "k")
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(garbage)
    with pytest.raises((StoreReplacedError, StoreCorruptError)):
        await catalog.change(NAME, "other", opens)
    await catalog.close()


async def test_no_room_for_the_file_beside_it_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: apsw.Connection) -> None:
        raise apsw.IOError("disk I/O error")

    with each_connection(refuse):
        found = os.statvfs(tmp_path)
        full = os.statvfs_result((*found[:4], 3, *found[5:]))
        monkeypatch.setattr(os, "statvfs", lambda _: full)
        with pytest.raises(StoreFullError, match=r"no room left.*free space"):
            await prepared(tmp_path / "catalog.db")
    catalog = await prepared(tmp_path / "catalog.db")
    assert await catalog.migrations() == [ROW]
    await catalog.close()


async def test_a_known_catalog_opens_and_is_read_while_another_process_holds_its_lock(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.db"
    await (await prepared(path)).close()
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    catalog = await prepared(path)
    assert (await catalog.census(NAME)).migration == ROW
    other.execute("ROLLBACK")
    other.close()
    await catalog.close()


def test_a_file_that_grows_while_two_threads_look_at_it_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"1")
    path.with_name("catalog.db-wal").write_bytes(b"")
    file = CatalogFile(path)
    found = path.stat()
    file.opened((found.st_dev, found.st_ino))
    stat = os.stat

    def slow(*arguments: Any, **more: Any) -> os.stat_result:
        before = stat(*arguments, **more)
        monkeypatch.setattr(os, "stat", stat)
        path.write_bytes(b"12")
        assert file.is_same()
        return before

    monkeypatch.setattr(os, "stat", slow)
    assert file.is_same()
    assert file.is_same()
