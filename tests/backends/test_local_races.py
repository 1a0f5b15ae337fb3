"""Threads and processes that work on one directory, and processes that are killed in it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import IO

import anyio
import pytest
from tests.backends.failing_ops import QuickOps
from tests.backends.hammer import CLASHING, STAYS, read, write

from crossfade.backends.local import LocalBackend
from crossfade.core.objects import NO_ATTRIBUTES
from crossfade.testing.conformance import body_of

pytestmark = pytest.mark.anyio

HAMMER = Path(__file__).parent / "hammer.py"


def start(what: str, root: Path, seed: int, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(HAMMER), what, str(root), str(seed), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_processes_that_work_on_keys_in_each_others_way_disturb_nobody(
    tmp_path: Path,
) -> None:
    backend = LocalBackend(tmp_path)
    await backend.prepare(create=True)
    await write(backend, STAYS, f"{STAYS}#0")
    processes = [start("clash", tmp_path, seed, 60) for seed in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    listed = [info.key for info in (await backend.list()).objects]
    found = [key for key in sorted((*CLASHING, STAYS)) if await read(backend, key) is not None]
    assert listed == found
    for key in listed:
        await backend.delete(key)
    await backend.close()
    assert [p.name for p in tmp_path.iterdir()] == [".crossfade"]
    assert list((tmp_path / ".crossfade/tmp").iterdir()) == []


async def test_a_file_that_moves_out_of_a_directorys_way_is_there_all_the_time(
    tmp_path: Path,
) -> None:
    backend = LocalBackend(tmp_path, ops=QuickOps())
    await backend.prepare(create=True)
    looks = 0
    for number in range(60):
        key = f"{'x' * (250 + number % 8)}{number:02}" if number % 2 else f"k{number}"
        await backend.write(key, body_of(b"stays"), NO_ATTRIBUTES)
        done = False

        async def look_on(key: str = key) -> None:
            nonlocal looks
            while not done:  # noqa: B023 - of this round
                assert (await backend.stat(key)).size == 5
                stream = await backend.read(key)
                assert [chunk async for chunk in stream] == [b"stays"]
                page = await backend.list(prefix=key)
                assert page.objects[0].key == key
                looks += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look_on)
            tasks.start_soon(look_on)
            for below in ("/a", "/b/c", "//"):
                await backend.write(key + below, body_of(b""), NO_ATTRIBUTES)
            for below in ("/a", "/b/c", "//"):
                await backend.delete(key + below)
            done = True
    assert looks > 60
    await backend.close()


def kill_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """Let a process say so many lines, kill it, and return all that it said."""
    said: list[str] = []
    output: IO[str] | None = process.stdout
    assert output is not None
    for line in output:
        said.append(line)
        if len(said) == lines:
            process.kill()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -9, errors
    return [line for line in said if line.endswith("\n")]


async def test_a_process_killed_while_it_writes_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    chance = random.Random(7)
    interrupted = 0
    for round_number in range(4):
        root = tmp_path / str(round_number)
        root.mkdir()
        process = start("versions", root, round_number, 1_000_000)
        lines = kill_after(process, chance.randrange(20, 60))
        begun: dict[str, int] = {}
        done: dict[str, int] = {}
        for line in lines:
            what, key, count = line.split()
            {"begun": begun, "done": done}[what][key] = int(count)
        backend = LocalBackend(root)
        await backend.prepare(create=True)
        for key in CLASHING:
            version = await read(backend, key)
            number = -1 if version is None else int(version.partition("#")[2])
            # A line that the kill cut off may stand for one version more.
            assert done.get(key, -1) <= number, f"{key!r} lost {done[key]}, it has {number}"
            interrupted += begun.get(key, -1) != done.get(key, -1)
        listed = [info.key for info in (await backend.list()).objects]
        assert listed == sorted(set(listed))
        assert set(done) <= set(listed)
        await write(backend, CLASHING[0], f"{CLASHING[0]}#{10**6}")
        assert await read(backend, CLASHING[0]) == f"{CLASHING[0]}#{10**6}"
        await backend.close()
    assert interrupted
