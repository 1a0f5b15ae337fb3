"""Thirty rounds of kills on each kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.kills.on_servers import let_in, require_sound, rounds_on_rclone, rounds_on_swift
from tests.kills.rounds import ACKNOWLEDGED_MIN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

COUNT = 30


async def test_nothing_is_lost_in_thirty_rounds_on_swift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch)
    rounds = await rounds_on_swift(tmp_path, COUNT, seed=2)
    require_sound(rounds, COUNT, ACKNOWLEDGED_MIN)
    assert rounds.failed == []
    assert rounds.cut >= COUNT // 5


async def test_nothing_is_lost_in_thirty_rounds_on_rclone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch)
    rounds = await rounds_on_rclone(tmp_path, COUNT, seed=2)
    require_sound(rounds, COUNT, ACKNOWLEDGED_MIN)
    assert not rounds.cut
