"""The rest of a hundred kill rounds, one with the default times, and processes killed in a demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.kills.rounds import ACKNOWLEDGED_MIN, kill_rounds

from crossfade.testing.demo import DemoOptions, run_demo

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


def test_a_demo_goes_on_through_thirty_kills(tmp_path: Path) -> None:
    options = DemoOptions(chaos=30, folder=tmp_path / "run", report=tmp_path / "r.json", quiet=True)
    report = run_demo(options)
    assert report.broken == []
    assert report.missed == []
    assert any("extras repaired" in note for note in report.notes)
