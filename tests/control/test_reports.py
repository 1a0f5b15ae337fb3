from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from crossfade.control import checkup
from crossfade.control.backfilling import Watch
from crossfade.control.key_report import key_report
from crossfade.control.route_report import route_report
from crossfade.control.status import COPY_SECONDS_MAX, OPEN_SECONDS_MAX, status_report, warnings_of
from crossfade.core.objects import Side
from crossfade.core.settings import Workers
from crossfade.core.steering import MigrationStatus, State
from crossfade.errors import AccessDeniedError, InvalidKeyError
from crossfade.files.backfill_report import BackfillReport
from crossfade.setup.configuration import Configuration, load
from crossfade.setup.opened import open as open_crossfade
from crossfade.setup.sides import forget_memory_sides, open_side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crossfade.core.objects import ObjectInfo
    from crossfade.ports import Backend

pytestmark = pytest.mark.anyio

STATUS = MigrationStatus(
    migration="m",
    state=State.VERIFIED,
    source="memory://a",
    target="memory://b",
    enabled=True,
    percentage=0.0,
    effective=0.0,
    halted=False,
    version=1,
    begun_seconds=10.0,
    sealed=1,
    unsealed=0,
    extras=0,
    open_count=0,
    open_at_target=0,
    marked=0,
    in_doubt=0,
    oldest_open_seconds=None,
    proof=None,
    workers_running=False,
)


@pytest.fixture(autouse=True)
def _fresh_memory() -> Iterator[None]:
    forget_memory_sides()
    yield
    forget_memory_sides()


def configured(environment: dict[str, str] | None = None, **settings: Any) -> Configuration:
    migration = {"enabled": True, "source": "memory://a", "target": "memory://b", **settings}
    general = {"enabled": True, "late_seconds_max": 0, "look_seconds_max": 0.2}
    return load({"crossfade": general, "migrations": {"m": migration}}, environment=environment)


def test_nothing_is_warned_of_where_nothing_is_wrong() -> None:
    assert warnings_of(STATUS, configured({})) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"percentage": 5.0}, "5 % are set and 0 % are in force: the switch of m is off"),
        ({"percentage": 5.0, "effective": 5.0, "state": State.BACKFILLING}, "are not sealed"),
        ({"oldest_open_seconds": OPEN_SECONDS_MAX + 1}, "nobody runs workers"),
        (
            {"oldest_open_seconds": COPY_SECONDS_MAX + 1, "workers_running": True},
            "although workers run",
        ),
        ({"open_at_target": 2}, "2 keys are being copied back"),
        ({"marked": 1}, "1 key is damaged or drifted"),
        ({"failing": 1}, "the last copy of 1 open key failed: `crossfade backfill m`"),
        ({"extras": 3}, "3 keys are held by the target alone"),
    ],
)
def test_what_an_operator_should_look_at_is_warned_of(changed: dict[str, Any], words: str) -> None:
    (warning,) = warnings_of(replace(STATUS, **changed), configured({}))
    assert words in warning


@pytest.mark.parametrize(
    "changed",
    [
        {"oldest_open_seconds": OPEN_SECONDS_MAX + 1, "workers_running": True},
        {"oldest_open_seconds": OPEN_SECONDS_MAX + 1, "workers_running": None},
        {"oldest_open_seconds": OPEN_SECONDS_MAX - 1},
        {"percentage": 5.0, "effective": 5.0},
        {"state": State.COMPLETE, "effective": 100.0},
    ],
)
def test_what_is_in_order_is_not_warned_of(changed: dict[str, Any]) -> None:
    assert warnings_of(replace(STATUS, **changed), configured({})) == []


async def test_status_names_variables_and_migrations_that_mean_nothing() -> None:
    configuration = configured({"ENABLE_OTHER_MIGRATION": "true"}, percentage=5)
    async with open_crossfade(configuration) as xf:
        await xf.store.catalog.prepare(replace(configuration.migration("m").row(), name="old"))
        await xf.set_percentage("m", 6)
        report = await status_report(xf)
    assert report.not_configured == ("old",)
    assert [("'old'" in one, "ENABLE_OTHER" in one) for one in report.warnings] == [
        (True, False),
        (False, True),
    ]
    (one,) = report.migrations
    assert one.overridden
    assert one.configured_by == "argument"
    assert {entry.field: entry.origin for entry in report.settings}["migrations.m.percentage"] == (
        "argument"
    )


async def test_a_percentage_that_was_never_configured_is_not_overridden() -> None:
    async with open_crossfade(configured({})) as xf:
        await xf.set_percentage("m", 6)
        assert not (await status_report(xf)).migrations[0].overridden


async def test_a_key_report_says_which_side_could_not_be_asked() -> None:
    class Denied:
        def __init__(self, backend: Backend) -> None:
            self._backend = backend

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backend, name)

        async def stat(self, key: str) -> ObjectInfo:
            raise AccessDeniedError("no rights", operation="stat", key=key)

    def wrap(migration: str, side: Side, backend: Backend) -> Any:
        return Denied(backend) if side is Side.TARGET else backend

    async with open_crossfade(configured({}), wrap=wrap, workers=Workers.SEPARATE) as xf:
        await xf.files("m").put("k", b"12", content_type="a/b")
        report = await key_report(xf, "m", "k")
        with pytest.raises(InvalidKeyError):
            await key_report(xf, "m", "")
    source, target = report.sides
    assert (source.present, source.size, source.content_type) == (True, 2, "a/b")
    assert target.present is None
    assert "no rights" in target.error
    assert (report.state, report.answers, report.differs) == ("open", (Side.SOURCE,), False)
    assert report.proved is None


async def test_a_route_report_says_when_an_open_key_is_asked_elsewhere() -> None:
    async with open_crossfade(configured({}, mirror="async"), workers=Workers.SEPARATE) as xf:
        await xf.begin("m")
        await xf.backfill("m")
        await xf.files("m").put("k", b"1")
        await xf.set_percentage("m", 100)
        report = await route_report(xf, "m", subject="u", key="k")
        without = await route_report(xf, "m", subject="u", key=None)
    assert (report.routed, report.asked) == (Side.TARGET, Side.SOURCE)
    assert "the key is open" in report.because
    assert (without.asked, without.because) == (None, "")


async def test_check_warns_of_lagging_listings_and_lost_attributes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Poor:
        def __init__(self, backend: Backend) -> None:
            self._backend = backend
            kept = backend.capabilities.attributes_kept - {"metadata"}
            self.capabilities = replace(
                backend.capabilities,
                listing_consistent=False,
                listing_lag_seconds=7.0,
                attributes_kept=kept,
            )

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backend, name)

    def poor_target(url: str, *, known: bool) -> Any:
        backend = open_side(url, known=known)
        return Poor(backend) if url == "memory://b" else backend

    monkeypatch.setattr(checkup, "open_side", poor_target)
    report = await checkup.check(configured({}))
    assert report.problems == 0
    lag, lost = [finding.message for finding in report.findings]
    assert "listings of the target lag by up to 7 s" in lag
    assert lost == "the target does not keep metadata"


async def test_check_refuses_another_place_under_a_known_name(tmp_path: Path) -> None:
    raw: dict[str, Any] = {
        "store": {"url": f"sqlite:///{tmp_path / 'catalog.db'}"},
        "migrations": {"m": {"source": "memory://a", "target": "memory://b"}},
    }
    async with open_crossfade(raw, environ={}):
        pass
    raw["migrations"]["m"]["target"] = "memory://c"
    switch, finding = (await checkup.check(load(raw, environment={}))).findings
    assert "the master switch, is off" in switch.message
    assert (finding.level, finding.code) == ("problem", "migration.exists")


async def test_check_says_that_nothing_is_configured() -> None:
    report = await checkup.check(load({"store": {"url": "memory://"}}, environment={}))
    assert [finding.message for finding in report.findings] == [
        "no migration is configured: add a [migrations.NAME] table"
    ]


def test_progress_counts_a_second_pass_from_the_start() -> None:
    watch = Watch()
    assert watch.done(BackfillReport(copied=7)) == 7
    watch.total = 10
    done = [watch.done(BackfillReport(copied=10, same=more)) for more in (0, 1, 9, 10)]
    assert done == [10, 1, 9, 10]
    assert watch.done(BackfillReport()) == 0
