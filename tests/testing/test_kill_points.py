"""Processes that kill themselves at a named point."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crossfade.errors import ConfigurationError
from crossfade.testing.kill_points import KILL_AT_VARIABLE, KILL_POINTS, KillProbe

SOURCE = Path(__file__).parents[2] / "src" / "crossfade"
PROGRAM = """
import anyio
from crossfade.testing.kill_points import KillProbe

async def main():
    probe = KillProbe.from_environment()
    for number in range(5):
        await probe.point("before_request")
        await probe.point("after_mark")
        print(number, flush=True)

anyio.run(main)
"""


def test_a_process_dies_at_the_nth_time_at_its_point() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={KILL_AT_VARIABLE: "after_mark:3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["0", "1"]


@pytest.mark.anyio
async def test_without_a_point_nothing_happens() -> None:
    probe = KillProbe.from_environment({})
    for point in KILL_POINTS:
        await probe.point(point)
    probe.reached("range sealed")
    assert KillProbe.from_environment({KILL_AT_VARIABLE: ""}) is not probe


@pytest.mark.parametrize("kill_at", ["nowhere:1", "after_mark", "after_mark:0", "after_mark:x"])
def test_what_is_no_point_is_refused_by_name(kill_at: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(kill_at))):
        KillProbe(kill_at)


def test_every_point_of_the_data_plane_can_be_named() -> None:
    texts = [file.read_text(encoding="utf-8") for file in (SOURCE / "files").glob("*.py")]
    named = {name for text in texts for name in re.findall(r'probe\.point\("(\w+)"\)', text)}
    assert named == set(KILL_POINTS)
