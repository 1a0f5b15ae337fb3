"""Several processes on one catalog, and processes that are killed while they write it."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import apsw
import pytest

from crossfade.stores.sqlite import SqliteCatalog

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).with_name("catalog_process.py")
TIMEOUT = 60


def begin(*processes: subprocess.Popen[str]) -> None:
    """Let them write once all of them have opened the catalog."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


@contextmanager
def started(path: Path, what: str, name: str, rounds: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(PROGRAM), str(path), what, name, str(rounds)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_two_processes_never_hold_one_key_at_once_and_lose_no_commit(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    rounds = 150
    with (
        started(path, "exclude", "one", rounds) as one,
        started(path, "exclude", "two", rounds) as two,
    ):
        begin(one, two)
        told = [process.communicate(timeout=TIMEOUT)[0] for process in (one, two)]
        assert [one.returncode, two.returncode] == [0, 0]
    held: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in "".join(told).splitlines():
        key, begun, ended = line.split()
        held[key].append((float(begun), float(ended)))
    assert sum(map(len, held.values())) == 2 * rounds
    for spans in held.values():
        assert all(earlier[1] < later[0] for earlier, later in pairwise(sorted(spans)))

    catalog = SqliteCatalog(path)
    found = dict((await catalog.look_between("m", "", None)).records)
    assert {key: record.attempts for key, record in found.items()} == {"counter": 2 * rounds}
    await catalog.close()


@pytest.mark.parametrize("lines", [1, 40, 333, 1_000])
async def test_a_killed_process_loses_nothing_that_it_was_told(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "catalog.db"
    with started(path, "append", "k", 100_000) as process:
        begin(process)
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        # What it was told and printed before it died counts too; a torn last line does not.
        told += process.stdout.read().splitlines(keepends=True)
    acknowledged = {line.rstrip() for line in told if line.endswith("\n")}
    assert len(acknowledged) >= lines

    catalog = SqliteCatalog(path)
    found = await catalog.look_between("m", "", None)
    kept = {key for key, _ in found.records}
    assert acknowledged <= kept
    # At most the one change that each of the eight callers waited for, or had not yet printed.
    assert len(kept - acknowledged) <= 8
    await catalog.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


async def test_a_process_goes_on_while_another_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with (
        started(path, "append", "killed", 100_000) as killed,
        started(path, "append", "other", 20) as other,
    ):
        begin(killed, other)
        assert other.stdout is not None
        told = [other.stdout.readline()]
        killed.kill()
        # Not `communicate`: what was buffered beside the first line would be lost.
        told += other.stdout.readlines()
        assert other.wait(TIMEOUT) == 0
    assert len(told) == 8 * 20
    catalog = SqliteCatalog(path)
    found = await catalog.look_between("m", "other/", "other0")
    assert len(found.records) == 8 * 20
    await catalog.close()
