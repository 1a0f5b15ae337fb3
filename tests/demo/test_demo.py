"""The demo in small: it keeps every promise, and finds whatever one side does wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from crossfade.core.objects import Side
from crossfade.errors import ConfigurationError, MissingExtraError
from crossfade.faces.cli.exits import Exit
from crossfade.testing.demo import DemoOptions, DemoReport, Sabotage, Sides, places, run_demo

KEYS = {
    "sides",
    "operations",
    "users",
    "objects_backfilled",
    "reads",
    "rollbacks",
    "recovered_intents",
    "fallbacks",
    "failed",
    "failed_without_fault",
    "slowest_ms",
    "open_at_end",
    "stale",
    "lost",
    "resurrected",
    "differences",
    "seconds",
    "promises_kept",
}


def small(folder: Path) -> DemoOptions:
    """Return a run of some seconds; everything stays below the folder."""
    return DemoOptions(
        sides=Sides.LOCAL_LOCAL,
        operations=1_500,
        users=60,
        files=400,
        reads_at_target=100,
        in_flight=6,
        stages=(0, 1, 50, 100),
        outages=(Side.TARGET,),
        outage_seconds=0.5,
        seed=7,
        keep=True,
        folder=folder / "run",
        report=folder / "demo-report.json",
        quiet=True,
    )


def test_a_run_shows_everything_and_keeps_every_promise(tmp_path: Path) -> None:
    report = run_demo(small(tmp_path))
    assert report.broken == []
    assert report.missed == []
    assert report.exit_code == 0
    assert report.operations >= 1_500
    assert report.objects_backfilled >= 360
    assert report.reads["100"]["target"] >= 100
    assert report.fallbacks
    assert report.recovered_intents
    assert report.rollbacks == 1
    written = json.loads((tmp_path / "demo-report.json").read_text())
    assert written == report.document()
    assert set(written) == KEYS
    assert written["promises_kept"] is True


@pytest.mark.parametrize(
    ("sides", "killed"), [(Sides.LOCAL_S3, Side.TARGET), (Sides.S3_S3, Side.SOURCE)]
)
def test_a_run_between_servers_keeps_every_promise(
    tmp_path: Path, sides: Sides, killed: Side
) -> None:
    options = replace(
        small(tmp_path),
        sides=sides,
        outages=(killed,),
        operations=600,
        files=300,
        users=40,
        reads_at_target=40,
    )
    report = run_demo(options)
    assert (report.broken, report.missed) == ([], [])
    assert report.sides == sides.value
    assert report.objects_backfilled >= 270
    assert report.reads["100"]["target"] >= 40
    assert report.fallbacks
    assert report.recovered_intents
    assert (tmp_path / "run" / "servers.sh").stat().st_mode & 0o777 == 0o600


def test_a_run_that_is_told_to_end_takes_its_servers_and_its_folder_along(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "crossfade.faces.cli", "demo", "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "the users arrive" in line or "0 %" in line:
            break
    process.terminate()
    said.append(process.stdout.read())
    process.stdout.close()
    assert process.wait() == Exit.TERMINATED, said
    assert not folder.exists()
    commands = [each.read_bytes() for each in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [each for each in commands if str(folder).encode() in each]


def test_servers_that_are_not_installed_are_named_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> object:
        return None if name == "swift" else name

    monkeypatch.setattr(places, "find_spec", found)
    for sides in (Sides.LOCAL_S3, Sides.S3_S3):
        with pytest.raises(MissingExtraError, match=r"swift is not installed.*crossfade\[demo\]"):
            run_demo(replace(small(tmp_path), sides=sides))
    assert not list(tmp_path.iterdir())


def test_each_sabotage_is_found_and_its_key_is_named(tmp_path: Path) -> None:
    def sabotaged(kind: Sabotage) -> DemoReport:
        folder = tmp_path / kind.value
        folder.mkdir()
        options = replace(small(folder), files=60, sabotage=kind, outages=(), lose_worker=False)
        return run_demo(options)

    with ThreadPoolExecutor() as pool:
        reports = dict(zip(Sabotage, pool.map(sabotaged, Sabotage), strict=True))
    for kind, report in reports.items():
        done = (tmp_path / kind.value / "run" / "sabotage.txt").read_text()
        key = done.strip().partition(": ")[2]
        assert done.startswith(kind.value)
        assert any(repr(key) in line for line in report.broken), (kind, report.broken)
        assert report.exit_code == 1
        assert not report.promises_kept
    counts = [getattr(reports[kind], name) for kind, name in COUNTED.items()]
    assert min(counts) > 0, reports


COUNTED = {
    Sabotage.LOST: "lost",
    Sabotage.STALE: "stale",
    Sabotage.RESURRECT: "resurrected",
    Sabotage.CORRUPT: "differences",
}


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep me")
    with pytest.raises(ConfigurationError, match="not empty"):
        run_demo(small(tmp_path))
    assert (folder / "mine.txt").read_text() == "keep me"
