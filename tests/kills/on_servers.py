"""Rounds of kills whose sides are buckets of real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.kills.rounds import ACKNOWLEDGED_MIN, Rounds, Sides, kill_rounds

from crossfade.core.objects import Pair
from crossfade.testing.servers import ENVIRONMENT, rclone_server, swift_server

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ACKNOWLEDGED_FEW = 10


def let_in(patch: pytest.MonkeyPatch) -> None:
    """Give this process, and those that it starts, what the servers let in."""
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)


async def rounds_to_swift(
    folder: Path, count: int, seed: int, *, acknowledged_min: int = ACKNOWLEDGED_MIN
) -> Rounds:
    """Run rounds from a directory to a Swift that is killed at any moment."""
    with swift_server(folder / "one") as one:
        sides = Sides(
            urls=Pair("local:./source", one.url(one.new_bucket())),
            servers=(one,),
            acknowledged_min=acknowledged_min,
        )
        return await kill_rounds(folder / "run", count, seed, sides=sides)


async def rounds_on_swift(
    folder: Path, count: int, seed: int, *, acknowledged_min: int = ACKNOWLEDGED_MIN
) -> Rounds:
    """Run rounds from one Swift to another, each killed at any moment."""
    with swift_server(folder / "one") as one, swift_server(folder / "two") as two:
        sides = Sides(
            urls=Pair(one.url(one.new_bucket()), two.url(two.new_bucket())),
            servers=(one, two),
            acknowledged_min=acknowledged_min,
        )
        return await kill_rounds(folder / "run", count, seed, sides=sides)


async def rounds_on_rclone(
    folder: Path, count: int, seed: int, *, acknowledged_min: int = ACKNOWLEDGED_MIN
) -> Rounds:
    """Run rounds from one bucket of rclone to another; it is killed while nobody writes to it."""
    with rclone_server(folder / "server") as server:
        sides = Sides(
            urls=Pair(server.url(server.new_bucket()), server.url(server.new_bucket())),
            servers=(server,),
            cut_safely=False,
            acknowledged_min=acknowledged_min,
        )
        return await kill_rounds(folder / "run", count, seed, sides=sides)


def require_sound(rounds: Rounds, count: int, acknowledged_min: int) -> None:
    """Fail where a promise was broken, or where the rounds did not show what they are to show."""
    assert rounds.wrong == {}
    assert rounds.open_at_end == 0
    assert rounds.differences == 0
    assert len(rounds.acknowledged) == count
    assert min(rounds.acknowledged) >= acknowledged_min
    assert rounds.recovered
