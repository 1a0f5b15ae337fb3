"""Measure Crossfade on S3 servers beside the same client without it, and beside other clients.

python -m benchmarks.object_stores [--json] [--rounds 5] [--server instant]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from benchmarks import report
from benchmarks.comparisons import Measure, compare_gets, compare_lists, compare_puts
from benchmarks.peers import peers
from benchmarks.worlds import bucket_world
from crossfade.testing.servers import ENVIRONMENT, RunningServer, rclone_server, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.comparisons import Row

SMALL_BYTES = 4 << 10
LARGE_BYTES = 64 << 20
IN_FLIGHT = (1, 16, 64)
SMALL = [f"users/u{number // 16:02}/{number:04}-{SMALL_BYTES}.bin" for number in range(256)]
LARGE = [f"large/{number}-{LARGE_BYTES}.bin" for number in range(1)]
LISTINGS = [""] * 32


@contextmanager
def instant_server(_: Path) -> Iterator[RunningServer]:
    """Run the server that answers at once."""
    server = RunningServer("s3", [sys.executable, "-m", "benchmarks.instant_server", "{port}"])
    with running(server):
        yield server


SERVERS = {"instant": instant_server, "rclone": rclone_server}


async def measure(kind: str, server: RunningServer, folder: Path, rounds: int) -> list[Row]:
    """Measure on one server."""

    def url(_: str) -> str:
        return server.url(server.new_bucket())

    small = await measure_small(kind, url, folder, rounds)
    return small + await measure_large(kind, url, folder, max(rounds // 2, 1))


async def measure_small(
    kind: str, url: Callable[[str], str], folder: Path, rounds: int
) -> list[Row]:
    rows: list[Row] = []
    body = bytes(SMALL_BYTES)
    async with (
        bucket_world(kind, folder / f"{kind}-small", url, body, SMALL) as world,
        peers(world.urls, body) as others,
    ):
        for in_flight in IN_FLIGHT:
            some = SMALL if in_flight > 1 else SMALL[: len(SMALL) // 4]
            how = Measure(
                operation="get, 4 KiB", in_flight=in_flight, rounds=rounds * 2, peers=others
            )
            rows += await compare_gets(world, some, how)
            how = Measure(operation="put, 4 KiB", in_flight=in_flight, rounds=rounds, peers=others)
            rows += await compare_puts(world, some, how)
        how = Measure(operation="list, 256 keys", in_flight=4, rounds=rounds, peers=others)
        rows += await compare_lists(world, LISTINGS, how)
    return rows


async def measure_large(
    kind: str, url: Callable[[str], str], folder: Path, rounds: int
) -> list[Row]:
    body = bytes(LARGE_BYTES)
    async with (
        bucket_world(kind, folder / f"{kind}-large", url, body, LARGE) as world,
        peers(world.urls, body) as others,
    ):
        gets = Measure(operation="get, 64 MiB", in_flight=1, rounds=rounds, peers=others)
        puts = Measure(operation="put, 64 MiB", in_flight=1, rounds=rounds, peers=others)
        return [*await compare_gets(world, LARGE, gets), *await compare_puts(world, LARGE, puts)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.object_stores", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison")
    parser.add_argument("--folder", type=Path, help="where servers keep their files for a while")
    parser.add_argument("--server", choices=sorted(SERVERS), help="this one alone")
    asked = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-", dir=asked.folder) as name:
        folder = Path(name)
        about = report.machine(folder)
        for kind in (asked.server,) if asked.server else sorted(SERVERS):
            with SERVERS[kind](folder / kind) as server:
                rows += anyio.run(measure, kind, server, folder, asked.rounds)
    (report.as_json if asked.json else report.as_tables)(about, rows, ())


if __name__ == "__main__":
    main()
