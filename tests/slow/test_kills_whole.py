"""The rest of a hundred kill rounds, one with the default times, and processes killed in a demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.kills.rounds import ACKNOWLEDGED_MIN, kill_rounds

from crossfade.testing.demo import DemoOptions, Sabotage, Sides, run_demo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_nothing_is_lost_in_a_hundred_rounds(tmp_path: Path) -> None:
    rounds = await kill_rounds(tmp_path, 100, seed=2)
    assert rounds.wrong == {}
    assert rounds.open_at_end == 0
    assert rounds.differences == 0
    assert rounds.failed == []
    assert min(rounds.acknowledged) >= ACKNOWLEDGED_MIN
    assert sum(count > 0 for count in rounds.left) >= 20
    assert rounds.recovered


async def test_nothing_is_lost_with_the_default_times(tmp_path: Path) -> None:
    rounds = await kill_rounds(tmp_path, 2, seed=3, default_times=True)
    assert rounds.wrong == {}
    assert rounds.open_at_end == 0
    assert rounds.differences == 0
    assert rounds.recovered


@pytest.mark.parametrize("sides", Sides)
def test_a_demo_goes_on_through_thirty_kills(tmp_path: Path, sides: Sides) -> None:
    folder, file = tmp_path / "run", tmp_path / "r.json"
    options = DemoOptions(sides=sides, chaos=30, folder=folder, report=file, quiet=True)
    report = run_demo(options)
    assert report.broken == []
    assert report.missed == []
    assert any("extras repaired" in note for note in report.notes)


@pytest.mark.parametrize("sabotage", Sabotage)
def test_a_demo_between_servers_finds_what_one_of_them_does_wrong(
    tmp_path: Path, sabotage: Sabotage
) -> None:
    options = DemoOptions(
        sides=Sides.S3_S3,
        operations=1_500,
        users=60,
        files=60,
        reads_at_target=100,
        in_flight=6,
        stages=(0, 1, 50, 100),
        outages=(),
        lose_worker=False,
        sabotage=sabotage,
        keep=True,
        folder=tmp_path / "run",
        report=tmp_path / "r.json",
        quiet=True,
    )
    report = run_demo(options)
    done = (tmp_path / "run" / "sabotage.txt").read_text()
    assert report.exit_code == 1
    assert any(repr(done.strip().partition(": ")[2]) in line for line in report.broken)
