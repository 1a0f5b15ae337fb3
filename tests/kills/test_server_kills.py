"""Two processes killed while they write through one catalog to servers, which are killed too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.kills.on_servers import (
    ACKNOWLEDGED_FEW,
    let_in,
    require_sound,
    rounds_on_rclone,
    rounds_to_swift,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

COUNT = 3


async def test_nothing_acknowledged_is_lost_on_swift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch)
    rounds = await rounds_to_swift(tmp_path, COUNT, seed=1, acknowledged_min=ACKNOWLEDGED_FEW)
    require_sound(rounds, COUNT, ACKNOWLEDGED_FEW)
    assert rounds.failed == []
    assert rounds.cut


async def test_nothing_acknowledged_is_lost_on_rclone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch)
    rounds = await rounds_on_rclone(tmp_path, COUNT, seed=1, acknowledged_min=ACKNOWLEDGED_FEW)
    require_sound(rounds, COUNT, ACKNOWLEDGED_FEW)
    assert not rounds.cut
