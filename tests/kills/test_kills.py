"""Two processes killed while they write through one catalog to two directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.kills.rounds import ACKNOWLEDGED_MIN, kill_rounds

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

COUNT = 10
LEFT_MIN = COUNT // 5


async def test_nothing_acknowledged_is_lost_when_both_writers_are_killed(tmp_path: Path) -> None:
    rounds = await kill_rounds(tmp_path, COUNT, seed=1)
    assert rounds.wrong == {}
    assert rounds.open_at_end == 0
    assert rounds.differences == 0
    assert rounds.failed == []
    assert len(rounds.acknowledged) == COUNT
    assert min(rounds.acknowledged) >= ACKNOWLEDGED_MIN
    assert sum(count > 0 for count in rounds.left) >= LEFT_MIN
    assert rounds.recovered
