"""Checks of many tasks at once: whole versions, one winner, no disturbance."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from anyio import create_task_group
from anyio.lowlevel import checkpoint

from crossfade.core.objects import Attributes
from crossfade.errors import ObjectNotFoundError
from crossfade.testing.suite import (
    fail,
    get,
    guarded,
    in_order,
    patiently,
    put,
    registered,
    require_listed,
    require_same,
)

if TYPE_CHECKING:
    from crossfade.core.objects import ObjectInfo
    from crossfade.ports import Backend


_OVERWRITES = 40
_VERSIONS = 20
_READERS = 4


@registered
async def overwrites_atomically(backend: Backend) -> None:
    """Readers beside a writer see one whole version: bytes, size, attributes."""
    if not backend.capabilities.atomic_overwrite or not backend.capabilities.undisturbed:
        return
    failures: list[str] = []
    done = False

    async def read_on(_: int) -> None:
        while not done and not failures:
            await checkpoint()
            failures.extend(_torn(backend, *await get(backend, "key")))

    await _put_version(backend, 0)
    async with create_task_group() as tasks:
        for number in range(_READERS):
            tasks.start_soon(guarded, read_on, number, failures)
        for number in range(_OVERWRITES):
            await _put_version(backend, number % _VERSIONS)
        done = True
    if failures:
        fail(failures[0])


async def _put_version(backend: Backend, number: int) -> None:
    data = bytes([number]) * (1 + number * 20_000)
    await put(backend, "key", data, Attributes(content_type=f"v/{number}"))


def _torn(backend: Backend, info: ObjectInfo, data: bytes) -> list[str]:
    number = data[0] if data else 0
    expected = Attributes(content_type=f"v/{number}").kept(backend.capabilities.attributes_kept)
    if data != bytes([number]) * (1 + number * 20_000):
        return [f"a reader got {len(data):,} bytes that are no version"]
    if info.size != len(data) or info.attributes != expected:
        return ["a reader got the bytes of one version, size or attributes of another"]
    return []


@registered
async def serves_many_at_once(backend: Backend) -> None:
    """Writers, readers and deleters of different keys do not disturb each other."""
    if not backend.capabilities.undisturbed:
        return
    failures: list[str] = []

    async def live(number: int) -> None:
        key = _key(number)
        for round_number in range(4):
            data = f"{number}.{round_number}".encode() * (1 + number)
            await put(backend, key, data)
            if (await get(backend, key))[1] != data:
                failures.append(f"{key!r} has other bytes than were just written")
            await backend.delete(key)
            try:
                await patiently(partial(backend.stat, key))
                failures.append(f"{key!r} is there after its delete")
            except ObjectNotFoundError:
                continue
        await put(backend, key, b"")

    async with create_task_group() as tasks:
        for number in range(16):
            tasks.start_soon(guarded, live, number, failures)
    if failures:
        fail(failures[0])
    keys = in_order(_key(number) for number in range(16))
    await require_listed(backend, keys, "the keys in the end")


def _key(number: int) -> str:
    return f"{number % 4}/{'x/' * (number % 3)}{number}"


@registered
async def lets_one_of_many_writers_win(backend: Backend) -> None:
    """Writers of one key at once: in the end it is what one of them wrote, whole."""
    if not backend.capabilities.undisturbed:
        return

    async def write(number: int) -> None:
        data = bytes([number]) * (number * 1_000)
        await put(backend, "key", data, Attributes(content_type=f"v/{number}"))

    failures: list[str] = []
    async with create_task_group() as tasks:
        for number in range(1, 17):
            tasks.start_soon(guarded, write, number, failures)
    if failures:
        fail(failures[0])
    info, data = await get(backend, "key")
    number = data[0] if data else 0
    require_same(data, bytes([number]) * (number * 1_000), "the bytes in the end")
    require_same(await backend.stat("key"), info, "what stat and read say in the end")
    expected = Attributes(content_type=f"v/{number}").kept(backend.capabilities.attributes_kept)
    require_same(info.attributes, expected, "the attributes in the end")
