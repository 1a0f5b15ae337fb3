"""Measure Crossfade beside the same calls without it: ``python -m benchmarks [--json]``."""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

import anyio

from benchmarks import rates, report
from benchmarks.comparisons import Measure, Row, compare_gets, compare_puts
from benchmarks.worlds import World, directory_world, memory_world

BODY_BYTES = 4_096
IN_FLIGHT = (1, 16)
RATES_IN_FLIGHT = (1, 16, 64)
KEYS = [f"users/u{number % 16:02}/{number:04}.bin" for number in range(256)]


async def compare_all(world: World, keys: list[str], rounds: int) -> list[Row]:
    rows: list[Row] = []
    for in_flight in IN_FLIGHT:
        some = keys if in_flight > 1 else keys[: len(keys) // 4]
        gets = Measure(operation="get, 4 KiB", in_flight=in_flight, rounds=rounds * 2)
        rows += await compare_gets(world, keys, gets)
        puts = Measure(operation="put, 4 KiB", in_flight=in_flight, rounds=rounds)
        rows += await compare_puts(world, some, puts)
    return rows


async def rates_of(world: World, rounds: int) -> list[rates.Rate]:
    found = [await rates.looks(world, in_flight=n, rounds=rounds) for n in RATES_IN_FLIGHT]
    found += [await rates.commits(world, in_flight=n, rounds=rounds) for n in RATES_IN_FLIGHT]
    return found


async def measure(folder: Path, rounds: int) -> tuple[list[Row], list[rates.Rate]]:
    body = random.Random(0).randbytes(BODY_BYTES)
    async with memory_world(body, KEYS) as world:
        rows = await compare_all(world, KEYS, rounds)
        found = await rates.routing(world, rounds)
        found += await rates_of(world, rounds)
    async with directory_world(folder, body, KEYS) as world:
        rows += await compare_all(world, KEYS, rounds)
        found += await rates_of(world, rounds)
    found.append(rates.fsync(folder, rounds))
    return rows, found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison")
    parser.add_argument("--folder", type=Path, help="where the directories are made for a while")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-", dir=asked.folder) as name:
        folder = Path(name)
        about = report.machine(folder)
        rows, found = anyio.run(measure, folder, asked.rounds)
    (report.as_json if asked.json else report.as_tables)(about, rows, found)


if __name__ == "__main__":
    main()
