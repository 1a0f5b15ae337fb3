from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.rights import rights_hold

import crossfade
from crossfade.backends.memory import MemoryBackend
from crossfade.core.objects import Side
from crossfade.errors import (
    AccessDeniedError,
    AlreadyCompleteError,
    BackendUnavailableError,
    ConfigurationError,
    MigrationExistsError,
    MigrationNotFoundError,
)
from crossfade.setup.holders import new_holder
from crossfade.setup.sides import forget_memory_sides
from crossfade.setup.standing import workers_running
from crossfade.stores.sqlite import SqliteCatalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crossfade.core.facts import Fact
    from crossfade.core.records import Census, MigrationRow
    from crossfade.ports import Backend

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _fresh_memory() -> Iterator[None]:
    forget_memory_sides()
    yield
    forget_memory_sides()


def memory(**settings: Any) -> dict[str, Any]:
    return {
        "crossfade": {"enabled": True, "late_seconds_max": 0, "look_seconds_max": 0.2},
        "migrations": {
            "m": {"enabled": True, "source": "memory://a", "target": "memory://b", **settings}
        },
    }


def directories(folder: Path, **settings: Any) -> dict[str, Any]:
    for name in ("source", "target"):
        (folder / name).mkdir(exist_ok=True)
    raw = memory(
        source=f"local://{folder / 'source'}", target=f"local://{folder / 'target'}", **settings
    )
    raw["store"] = {"url": f"sqlite:///{folder / 'state' / 'catalog.db'}"}
    return raw


async def test_a_migration_goes_its_whole_way() -> None:
    async with crossfade.open(memory(), environ={}) as xf:
        files = xf.files("m")
        await files.put("before", b"1")
        assert (await xf.status_of("m")).state == "new"
        assert await xf.begin("m")
        assert (await xf.status_of("m")).state == "dual_write"
        assert (await xf.backfill("m")).finished
        assert (await xf.status_of("m")).state == "verified"
        assert (await xf.set_percentage("m", 100)).effective == 100.0
        async with await files.get("before") as obj:
            assert obj.side is Side.TARGET
            assert await obj.read() == b"1"
        assert (await xf.verify("m")).proof
        await xf.complete("m")
        assert [one.state for one in await xf.status()] == ["complete"]
        for step in (xf.begin("m"), xf.backfill("m"), xf.verify("m"), xf.set_percentage("m", 1)):
            with pytest.raises(AlreadyCompleteError):
                await step


async def test_an_unknown_migration_is_named_with_those_that_are_known() -> None:
    async with crossfade.open(memory(), environ={}) as xf:
        with pytest.raises(MigrationNotFoundError, match=r"no migration is called 'n'.*are: m"):
            xf.files("n")
        with pytest.raises(MigrationNotFoundError):
            await xf.set_percentage("n", 1)


async def test_a_percentage_that_cannot_be_changes_nothing() -> None:
    async with crossfade.open(memory(), environ={}) as xf:
        with pytest.raises(ConfigurationError, match="out of range"):
            await xf.set_percentage("m", 101)
        assert (await xf.share("m")).version == 0


async def test_what_was_set_at_run_time_wins_over_the_file(tmp_path: Path) -> None:
    async with crossfade.open(directories(tmp_path, percentage=5), environ={}) as xf:
        assert (await xf.share("m")).percentage == 5
        await xf.set_percentage("m", 20)
        await xf.rollback_emergency()
    raised = directories(tmp_path, percentage=50)
    async with crossfade.open(raised, environ={"M_ROLLOUT_PERCENTAGE": "100"}) as xf:
        share = await xf.share("m")
        assert (share.percentage, share.halted) == (0, True)


async def test_a_percentage_set_by_one_process_is_in_force_in_another_at_its_next_call(
    tmp_path: Path,
) -> None:
    raw = directories(tmp_path)
    async with crossfade.open(raw, environ={}) as one, crossfade.open(raw, environ={}) as other:
        assert one.holder != other.holder
        await one.set_percentage("m", 100)
        assert (await other.route("m", subject="u")).side is Side.TARGET


async def test_a_switch_that_is_off_routes_nothing_to_the_target() -> None:
    async with crossfade.open(memory(enabled=False), environ={}) as xf:
        share = await xf.set_percentage("m", 100)
        assert (share.percentage, share.effective) == (100, 0)
        assert (await xf.route("m", key="k")).side is Side.SOURCE


async def test_routing_by_request_draws_anew_for_every_call() -> None:
    async with crossfade.open(memory(unit="request"), environ={}) as xf:
        await xf.set_percentage("m", 50)
        drawn = {(await xf.route("m", key="k")).bucket for _ in range(20)}
        assert len(drawn) > 1
        await xf.files("m").put("k", b"1")


async def test_an_emergency_rollback_goes_through_all_migrations_and_says_what_is_left() -> None:
    raw = memory(workers="separate", mirror="async")
    raw["migrations"]["other"] = raw["migrations"]["m"] | {
        "source": "memory://c",
        "target": "memory://d",
    }
    async with crossfade.open(raw, environ={}) as xf:
        await xf.begin("m")
        await xf.backfill("m")
        await xf.set_percentage("m", 100)
        await xf.files("m").put("k", b"1")
        for _ in range(2):
            done = await xf.rollback_emergency()
            assert (done.status, done.level) == ("rolled_back", "emergency")
            left = {one.migration: one.open_at_target for one in done.migrations}
            assert left == {"m": 1, "other": 0}
        assert (await xf.status_of("m")).copying_back
        version = (await xf.share("m")).version
        await xf.rollback_emergency()
        assert (await xf.share("m")).version == version


async def test_it_is_told_whether_anybody_runs_the_workers(tmp_path: Path) -> None:
    raw = directories(tmp_path)
    async with crossfade.open(raw, environ={}, workers=crossfade.Workers.SEPARATE) as looking:
        assert (await looking.status_of("m")).workers_running is False
        async with crossfade.open(raw, environ={}) as working:
            await working.files("m").put("k", b"1")
            assert (await looking.status_of("m")).workers_running is True
        assert (await looking.status_of("m")).workers_running is False


async def test_leaving_is_no_error_where_the_catalog_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = directories(tmp_path)
    async with crossfade.open(raw, environ={}) as xf:
        await xf.begin("m")
        while not await is_held(xf):
            await anyio.sleep(0.01)
        (tmp_path / "state" / "catalog.db").rename(tmp_path / "state" / "away")
    assert "that workers run no more could not be noted" in caplog.text


async def is_held(xf: crossfade.Crossfade) -> bool:
    """Look whether the process has said that its workers run."""
    return bool(await workers_running(xf.store.catalog, "m", "another"))


async def test_a_side_that_is_missing_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    raw = directories(tmp_path)
    (tmp_path / "target").rmdir()
    with pytest.raises(BackendUnavailableError) as refused:
        async with crossfade.open(raw, environ={}):
            pass
    assert refused.value.side == "target"
    (tmp_path / "target").mkdir()
    async with crossfade.open(raw, environ={}) as xf:
        assert (await xf.share("m")).version == 0


async def test_a_migration_that_has_begun_opens_while_one_side_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = directories(tmp_path)
    async with crossfade.open(raw, environ={}) as xf:
        await xf.begin("m")
    (tmp_path / "target").rename(tmp_path / "away")
    with caplog.at_level(logging.WARNING, "crossfade"):
        async with crossfade.open(raw, environ={}, workers=crossfade.Workers.SEPARATE) as xf:
            await xf.files("m").put("k", b"1")
    assert "opens although its target cannot be used" in caplog.text
    (tmp_path / "source").rename(tmp_path / "away too")
    with pytest.raises(BackendUnavailableError):
        async with crossfade.open(raw, environ={}):
            pass


async def sealed_at_target(folder: Path, raw: dict[str, Any]) -> None:
    """Leave a migration whose one object is on both sides, and routed to the target."""
    (folder / "source" / "k").write_bytes(b"1")
    async with crossfade.open(raw, environ={}) as xf:
        await xf.begin("m")
        assert (await xf.backfill("m")).finished
        await xf.set_percentage("m", 100)


async def read_at_source(raw: dict[str, Any]) -> None:
    """The service comes up while the target cannot be used, and the source answers."""
    async with (
        crossfade.open(raw, environ={}) as xf,
        await xf.files("m").get("k") as obj,
    ):
        assert (obj.side, await obj.read()) == (Side.SOURCE, b"1")


async def test_an_empty_directory_in_a_sides_place_is_not_believed(tmp_path: Path) -> None:
    raw = directories(tmp_path, workers="separate")
    await sealed_at_target(tmp_path, raw)
    (tmp_path / "target").rename(tmp_path / "unmounted")
    (tmp_path / "target").mkdir()
    await read_at_source(raw)
    assert list((tmp_path / "target").iterdir()) == []
    async with crossfade.open(raw, environ={}) as xf:
        (tmp_path / "target").rmdir()
        (tmp_path / "unmounted").rename(tmp_path / "target")
        async with await xf.files("m").get("k") as obj:
            assert obj.side is Side.TARGET


async def test_a_side_that_may_not_be_entered_keeps_no_service_from_starting(
    tmp_path: Path,
) -> None:
    raw = directories(tmp_path, workers="separate")
    await sealed_at_target(tmp_path, raw)
    (tmp_path / "target").chmod(0)
    with rights_hold():
        await read_at_source(raw)
        (tmp_path / "source").chmod(0)
        with pytest.raises(AccessDeniedError) as refused:
            await read_at_source(raw)
    assert refused.value.side == "source"
    assert str(tmp_path / "source") in str(refused.value)


async def test_verification_runs_after_a_side_s_own_folder_was_lost(tmp_path: Path) -> None:
    raw = directories(tmp_path)
    await sealed_at_target(tmp_path, raw)
    shutil.rmtree(tmp_path / "target" / ".crossfade")
    (tmp_path / "target" / ".crossfade").mkdir()
    async with crossfade.open(raw, environ={}) as xf:
        assert (await xf.verify("m")).proof


async def test_after_complete_the_source_may_be_gone(tmp_path: Path) -> None:
    raw = directories(tmp_path)

    def completed(census: Census) -> tuple[MigrationRow, None]:
        return replace(census.migration, begun_at=census.now, completed=True), None

    async with crossfade.open(raw, environ={}) as xf:
        await xf.store.catalog.change_row("m", completed)
    (tmp_path / "source").rename(tmp_path / "removed")
    async with crossfade.open(raw, environ={}) as xf:
        await xf.files("m").put("k", b"1")
        assert (await xf.files("m").head("k")).size == 1


async def test_other_sides_under_the_same_name_are_refused(tmp_path: Path) -> None:
    raw = directories(tmp_path)
    async with crossfade.open(raw, environ={}):
        pass
    raw["migrations"]["m"]["target"] = "memory://else"
    with pytest.raises(MigrationExistsError, match="exists with target"):
        async with crossfade.open(raw, environ={}):
            pass


async def test_sides_can_be_wrapped_and_what_they_were_asked_heard() -> None:
    wrapped: list[tuple[str, Side]] = []
    heard: list[Fact] = []

    class Listener:
        def observe(self, fact: Fact) -> None:
            heard.append(fact)

    def wrap(migration: str, side: Side, backend: Backend) -> Backend:
        wrapped.append((migration, side))
        return backend

    async with crossfade.open(memory(), environ={}, wrap=wrap, observer=Listener()) as xf:
        await xf.files("m").put("k", b"1")
    assert wrapped == [("m", Side.SOURCE), ("m", Side.TARGET)]
    assert (heard[0].operation, heard[0].side, heard[0].error) == ("put", Side.SOURCE, None)


def test_a_holders_name_never_repeats() -> None:
    assert len({new_holder() for _ in range(100)}) == 100


async def test_what_wraps_a_side_is_closed_before_the_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []

    async def close(side: MemoryBackend) -> None:
        closed.append(side.location)

    def wrap(migration: str, side: Side, backend: Backend) -> Backend:
        inner.append(backend.location)
        return MemoryBackend(f"wrapped-{side}")

    inner: list[str] = []
    monkeypatch.setattr(MemoryBackend, "close", close)
    async with crossfade.open(memory(), environ={}, wrap=wrap):
        assert closed == []
    source, target = inner
    assert closed == ["memory://wrapped-target", target, "memory://wrapped-source", source]


async def open_timed(path: Path, late: float, *, new_times: bool = False) -> None:
    raw = memory()
    raw["crossfade"]["late_seconds_max"] = late
    raw["store"] = {"url": f"sqlite:///{path}/catalog.db"}
    async with crossfade.open(raw, environ={}, new_times=new_times):
        pass


async def test_other_times_than_the_migration_s_are_refused_until_they_are_taken(
    tmp_path: Path,
) -> None:
    await open_timed(tmp_path, 5)
    with pytest.raises(
        ConfigurationError, match=r"late_seconds_max = 5, .*not with .* = 3, .*--new-times"
    ):
        await open_timed(tmp_path, 3)
    await open_timed(tmp_path, 3, new_times=True)
    await open_timed(tmp_path, 3)
    with pytest.raises(ConfigurationError, match="late_seconds_max = 3, "):
        await open_timed(tmp_path, 5)


async def test_a_time_that_an_older_release_did_not_keep_is_taken_and_no_other(
    tmp_path: Path,
) -> None:
    def forget(census: Census) -> tuple[MigrationRow, None]:
        return replace(census.migration, late_complete_max=None), None

    await open_timed(tmp_path, 5)
    catalog = SqliteCatalog(tmp_path / "catalog.db")
    await catalog.change_row("m", forget)
    with pytest.raises(ConfigurationError, match=r"late_seconds_max = 5, .*late_complete.* = 600"):
        await open_timed(tmp_path, 3)
    await open_timed(tmp_path, 5)
    assert (await catalog.census("m")).migration.late_complete_max == 600
    await catalog.close()


async def test_a_row_without_times_takes_those_of_the_first_process(tmp_path: Path) -> None:
    def forget(census: Census) -> tuple[MigrationRow, None]:
        return replace(census.migration, late_max=None, look_max=None, late_complete_max=None), None

    await open_timed(tmp_path, 5)
    catalog = SqliteCatalog(tmp_path / "catalog.db")
    await catalog.change_row("m", forget)
    await catalog.close()
    await open_timed(tmp_path, 3)
    with pytest.raises(ConfigurationError, match="late_seconds_max = 3, "):
        await open_timed(tmp_path, 5)
