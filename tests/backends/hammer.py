"""Processes that work on one directory: `python hammer.py clash|versions ROOT SEED ROUNDS`.

Every body says which key it was written to, by whom, and when, as its attributes do: a reader
can tell from what it got whether it is one whole version.
"""

from __future__ import annotations

import random
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from crossfade.backends.local import LocalBackend
from crossfade.core.objects import Attributes, ByteRange
from crossfade.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLASHING = ("a", "a/b", "a/b/c", "a/", "x" * 255, "x" * 255 + "/y")
STAYS = "a/b/stays"
SIZE_MAX = 300_000


class Chunks:
    """A body that is only offered in chunks."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self.sha256 = sha256(data).hexdigest()
        self.data = None
        self._bytes = data

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, self.size, 100_000):
            yield self._bytes[at : at + 100_000]


def bytes_of(version: str) -> bytes:
    """Return the bytes that a version has: its own name, over and over."""
    size = int(sha256(version.encode()).hexdigest()[:8], 16) % SIZE_MAX
    head = version.encode() + b"|"
    return head + head * (size // len(head) if size % 3 == 0 else size % 7)


async def write(backend: LocalBackend, key: str, version: str) -> None:
    await backend.write(key, Chunks(bytes_of(version)), Attributes(content_type=version))


async def read(backend: LocalBackend, key: str) -> str | None:
    """Return the version that is there; AssertionError when it is not a whole one."""
    try:
        stream = await backend.read(key)
    except ObjectNotFoundError:
        return None
    data = b"".join([chunk async for chunk in stream])
    await stream.aclose()
    version = data.partition(b"|")[0].decode()
    assert data == bytes_of(version), f"{key!r} holds no whole version, {data[:60]!r}"
    assert version.partition("#")[0] == key, f"{key!r} holds {version!r}"
    attributes = stream.info.attributes
    assert attributes is not None
    assert attributes.content_type == version, f"{version!r} has {attributes.content_type!r}"
    return version


async def one_clash(backend: LocalBackend, chance: random.Random, version: str) -> None:
    key = chance.choice(CLASHING)
    match chance.randrange(6):
        case 0 | 1:
            await write(backend, key, f"{key}#{version}")
        case 2:
            await backend.delete(key)
        case 3:
            await read(backend, key)
        case 4:
            await write(backend, STAYS, f"{STAYS}#{version}")
        case _:
            assert await read(backend, STAYS) is not None, f"{STAYS!r} was not found"
            listed = [info.key for info in (await backend.list(prefix="a")).objects]
            assert STAYS in listed, f"{STAYS!r} was not listed"
            assert listed == sorted(set(listed))
            await backend.read(STAYS, byte_range=ByteRange(start=0, end=0))


async def clash(root: Path, seed: int, rounds: int) -> None:
    """Put, delete, read and list keys that are in each other's way, in several tasks at once."""
    backend = LocalBackend(root)
    await backend.prepare(create=True)

    async def work(task: int) -> None:
        chance = random.Random(f"{seed}.{task}")
        for number in range(rounds):
            await one_clash(backend, chance, f"{seed}.{task}.{number}")

    async with anyio.create_task_group() as tasks:
        for task in range(4):
            tasks.start_soon(work, task)
    await backend.close()


async def versions(root: Path, seed: int, rounds: int) -> None:
    """Write ever newer versions of a few keys, and say so when each is there."""
    backend = LocalBackend(root)
    await backend.prepare(create=True)
    chance = random.Random(seed)
    for number in range(rounds):
        key = chance.choice(CLASHING)
        print(f"begun {key} {number}", flush=True)  # noqa: T201 - for the parent
        await write(backend, key, f"{key}#{number}")
        print(f"done {key} {number}", flush=True)  # noqa: T201 - for the parent


if __name__ == "__main__":
    work = {"clash": clash, "versions": versions}[sys.argv[1]]
    anyio.run(work, Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
