"""Measure a backfill with its proof beside `rclone copy` and `rclone check --download`.

    python -m benchmarks.backfills [--json] [--rounds 3] [--objects 5000]

Both move the same objects between the same two `rclone serve s3`, each round into a new bucket, by
turns; both copy and then compare all bytes. What counts is the ratio within one round. Seconds are
those of whole processes, their start included; CPU is that of the clients, without the servers.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.comparisons import Beside, Row
from benchmarks.measuring import spread
from crossfade.testing.servers import ACCESS_KEY, ENVIRONMENT, SECRET_KEY, rclone_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from crossfade.testing.servers import RunningServer

OBJECT_BYTES = 4 << 10
OBJECTS = 5_000
IN_FLIGHT = 16
_CONFIGURATION = """\
[crossfade]
enabled = true
late_seconds_max = 0  # nobody writes while this is measured

[store]
url = "sqlite:///catalog.db"

[migrations.objects]
enabled = true
source = "{source}"
target = "{target}"
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that a command took, on the clock and on CPUs."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] = ENVIRONMENT) -> Cost:
    """Run a command to its end; RuntimeError with what it said when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    wall = time.perf_counter() - began
    if done.returncode:
        message = f"{command!r} ended with {done.returncode}: {done.stdout[-2000:]!r}"
        raise RuntimeError(message)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, used)


@dataclass(frozen=True, slots=True)
class Sides:
    """The bucket to move, and the server that it goes to."""

    source: RunningServer
    bucket: str
    target: RunningServer


def with_rclone(sides: Sides, folder: Path, _: int) -> dict[str, Cost]:
    """Copy and check with rclone, as its users do it."""
    target = sides.target.new_bucket()
    places = [f"old:{sides.bucket}", f"new:{target}"]
    remotes = _remote("old", sides.source) | _remote("new", sides.target)
    program = [_rclone(), "--config", "/dev/null", "--no-traverse", "--s3-no-check-bucket"]
    # Of a probe's key that is too long for it, this server's listing goes on to show the name.
    program += ["--exclude", "/.crossfade/**"]
    at_once = ["--transfers", str(IN_FLIGHT), "--checkers", str(IN_FLIGHT)]
    copied = run([*program, *at_once, "copy", *places], folder, remotes)
    checked = run([*program, *at_once, "check", "--download", *places], folder, remotes)
    return {"rclone copy": copied, "rclone copy, check --download": copied + checked}


def with_crossfade(sides: Sides, folder: Path, number: int) -> dict[str, Cost]:
    """Begin, backfill and verify from the command line."""
    place = folder / f"crossfade-{number}"
    place.mkdir()
    text = _CONFIGURATION.format(
        source=sides.source.url(sides.bucket), target=sides.target.url(sides.target.new_bucket())
    )
    (place / "crossfade.toml").write_text(text, encoding="utf-8")
    program = [sys.executable, "-m", "crossfade.faces.cli"]
    copied = run([*program, "begin", "objects", "--json"], place)
    copied += run([*program, "backfill", "objects", "--json"], place)
    verified = run([*program, "verify", "objects", "--json"], place)
    return {"crossfade backfill": copied, "crossfade backfill, verify": copied + verified}


def _remote(name: str, server: RunningServer) -> dict[str, str]:
    """Return the variables by which rclone knows a server under a name."""
    settings = {
        "type": "s3",
        "provider": "Rclone",
        "endpoint": server.endpoint,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
    }
    prefix = f"RCLONE_CONFIG_{name.upper()}_"
    return {prefix + setting.upper(): value for setting, value in settings.items()}


def _rclone() -> str:
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"


@contextmanager
def opened_sides(folder: Path, objects: int) -> Iterator[Sides]:
    """Run both servers, the source's with its objects."""
    with rclone_server(folder / "a") as source, rclone_server(folder / "b") as target:
        bucket = source.new_bucket()
        rng = random.Random(0)
        for number in range(objects):
            path = folder / "a" / "buckets" / bucket / f"u{number // 100:03}" / f"{number:05}.bin"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(rng.randbytes(OBJECT_BYTES))
        yield Sides(source, bucket, target)


def measure(folder: Path, objects: int, rounds: int) -> list[Row]:
    """Run both ways by turns; one round more goes before, uncounted."""
    costs: dict[str, list[Cost]] = {}
    with opened_sides(folder, objects) as sides:
        for number in range(rounds + 1):
            ways = [with_rclone, with_crossfade]
            found: dict[str, Cost] = {}
            for way in ways if number % 2 else reversed(ways):
                found |= way(sides, folder, number)
            for name, cost in found.items() if number else ():
                costs.setdefault(name, []).append(cost)
    return [_row(name, costs, objects) for name in sorted(costs)]


def _row(name: str, costs: dict[str, list[Cost]], objects: int) -> Row:
    beside = []
    if name.startswith("crossfade"):
        than = "rclone copy, check --download"
        pairs = list(zip(costs[name], costs[than], strict=True))
        wall = spread([other.wall / mine.wall for mine, other in pairs])
        beside = [Beside(than=than, wall=wall, cpu=spread([o.cpu / mine.cpu for mine, o in pairs]))]
    return Row(
        sides="rclone",
        operation=f"move {objects:,} objects of 4 KiB, each",
        in_flight=IN_FLIGHT,
        way=name,
        seconds=spread([cost.wall / objects for cost in costs[name]]),
        cpu_seconds=spread([cost.cpu / objects for cost in costs[name]]),
        beside=tuple(beside),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backfills", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison")
    parser.add_argument("--objects", type=int, default=OBJECTS, help="how many are moved")
    parser.add_argument("--folder", type=Path, help="where servers keep their files for a while")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-", dir=asked.folder) as name:
        folder = Path(name)
        about = report.machine(folder)
        rows = measure(folder, asked.objects, asked.rounds)
    (report.as_json if asked.json else report.as_tables)(about, rows, ())


if __name__ == "__main__":
    main()
