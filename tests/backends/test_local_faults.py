"""A call to the operating system that fails, or is the last one, at every place it can."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
from tests.backends.failing_ops import Died, FailingOps, QuickOps

from crossfade.backends.local import FileOps, LocalBackend
from crossfade.core.objects import NO_ATTRIBUTES, Attributes
from crossfade.errors import (
    BackendError,
    BackendUnavailableError,
    ObjectNotFoundError,
    OutcomeUnknownError,
    StorageFullError,
)
from crossfade.testing.conformance import body_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

State = tuple[bytes, Attributes] | None
OLD: State = (b"old bytes", Attributes(content_type="text/old", metadata={"v": "1"}))
NEW: State = (b"new", Attributes(content_type="text/new"))
CALLS_MAX = 200


async def state(root: Path, key: str) -> State:
    """Look with fresh eyes, as the next process would: whole, in listings too, or absent."""
    backend = LocalBackend(root, ops=QuickOps())
    try:
        await backend.prepare(create=True)
        listed = [info for info in (await backend.list()).objects if info.key == key]
        try:
            stream = await backend.read(key)
        except ObjectNotFoundError:
            assert listed == []
            return None
        data = b"".join([chunk async for chunk in stream])
        assert listed[0].etag == stream.info.etag
        assert (await backend.stat(key)) == stream.info
        assert stream.info.attributes is not None
        return data, stream.info.attributes
    finally:
        await backend.close()


async def put(backend: LocalBackend, key: str, what: State) -> None:
    assert what is not None
    await backend.write(key, body_of(what[0]), what[1])


class Change:
    """A change of a key that is tried again and again, each time with another call failing."""

    def __init__(self, key: str, old: State, new: State, beside: tuple[str, ...] = ()) -> None:
        self.key = key
        self.old = old
        self.new = new
        self.beside = beside

    async def set_up(self, root: Path) -> None:
        root.mkdir()
        backend = LocalBackend(root, ops=QuickOps())
        await backend.prepare(create=True)
        if self.old is not None:
            await put(backend, self.key, self.old)
        for key in self.beside:
            await put(backend, key, OLD)
        await backend.close()

    async def carry_out(self, backend: LocalBackend) -> None:
        if self.new is None:
            await backend.delete(self.key)
        else:
            await put(backend, self.key, self.new)


LONG = "x" * 255
CHANGES = {
    "create": Change("a", None, NEW),
    "create deep": Change("a/b/c", None, NEW),
    "overwrite": Change("a/b", OLD, NEW),
    "overwrite, plain": Change("a/b", OLD, (b"new", NO_ATTRIBUTES)),
    "delete": Change("a/b", OLD, None),
    "delete absent": Change("a/b", None, None),
    "create beside": Change("a", None, NEW, beside=("a/b",)),
    "overwrite beside": Change("a", OLD, NEW, beside=("a/b",)),
    "delete beside": Change("a", OLD, None, beside=("a/b",)),
    "create below a file": Change("a/b/c", None, NEW, beside=("a", "a/b")),
    "delete below a file": Change("a/b", OLD, None, beside=("a",)),
    "create below a long file": Change(f"{LONG}/x", None, NEW, beside=(LONG,)),
    "overwrite a long one beside": Change(LONG, OLD, NEW, beside=(f"{LONG}/x",)),
}


async def try_each_call(
    tmp_path: Path,
    change: Change,
    ops: FailingOps,
    attempt: Callable[[LocalBackend, Path], Awaitable[bool]],
) -> None:
    """Fail at the first call, then at the second … until the change goes through untouched."""
    for at in range(CALLS_MAX):
        root = tmp_path / str(at)
        await change.set_up(root)
        backend = LocalBackend(root, ops=ops)
        ops.disarm()
        await backend.prepare(create=True)
        ops.arm(at)
        reached = await attempt(backend, root)
        ops.disarm()
        await backend.close()
        for key in change.beside:
            assert await state(root, key) == OLD, f"{key!r} after call {at} failed"
        if not reached:
            assert at > 3, "hardly a call was made"
            return
    pytest.fail(f"more than {CALLS_MAX} calls")


@pytest.mark.parametrize(
    ("name", "number", "done"),
    [
        *((name, errno.EIO, done) for name in CHANGES for done in (False, True)),
        # A file system that has no room says so before it does anything.
        *((name, errno.ENOSPC, False) for name in ("overwrite", "create below a file")),
    ],
)
async def test_an_error_at_any_call_leaves_the_old_or_the_new_and_says_which(
    tmp_path: Path, name: str, number: int, done: bool
) -> None:
    change = CHANGES[name]
    ops = FailingOps(number, done=done)
    kinds: set[type[BackendError]] = set()

    async def attempt(backend: LocalBackend, root: Path) -> bool:
        failed: BackendError | None = None
        try:
            await change.carry_out(backend)
        except BackendError as error:
            failed = error
            kinds.add(type(error))
        reached = len(ops.calls) > (ops.at or 0)
        calls = ops.calls[: (ops.at or 0) + 1]
        ops.disarm()
        found = await state(root, change.key)
        match failed:
            case None:
                assert found == change.new, calls
            case OutcomeUnknownError():
                assert found in (change.old, change.new), calls
            case _:
                assert found == change.old, calls
        leftover = list((root / ".crossfade" / "tmp").iterdir())
        assert leftover == [] or calls[-1] == "open", calls
        return reached

    await try_each_call(tmp_path, change, ops, attempt)
    expected = StorageFullError if number == errno.ENOSPC else BackendUnavailableError
    assert kinds <= {expected, OutcomeUnknownError}
    assert OutcomeUnknownError in kinds


@pytest.mark.parametrize("name", CHANGES)
async def test_dying_at_any_call_leaves_the_old_or_the_new_whole(tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    ops = FailingOps(None)
    seen: set[bool] = set()

    async def attempt(backend: LocalBackend, root: Path) -> bool:
        died = False
        try:
            await change.carry_out(backend)
        except Died:
            died = True
        found = await state(root, change.key)
        assert found in ((change.old, change.new) if died else (change.new,)), ops.calls
        seen.add(found == change.new)
        again = LocalBackend(root, ops=QuickOps())
        await change.carry_out(again)  # Whatever was left stands in nobody's way.
        await again.close()
        assert await state(root, change.key) == change.new
        return died

    await try_each_call(tmp_path, change, ops, attempt)
    assert True in seen


async def test_everything_is_synced_in_the_order_that_makes_a_write_durable(
    tmp_path: Path,
) -> None:
    done: list[str] = []

    class Watched(FileOps):
        names: dict[int, str] = {}  # noqa: RUF012 - one instance

        def __getattribute__(self, name: str) -> Any:
            real = super().__getattribute__(name)
            names = super().__getattribute__("names")

            def opened(path: Any, *args: Any, **options: Any) -> Any:
                fd = real(path, *args, **options)
                names[fd] = path.decode() if isinstance(path, bytes) else "root"
                return fd

            def synced(fd: int) -> None:
                real(fd)
                done.append(f"fsync {names[fd]}")

            def moved(old: bytes, new: bytes, **options: Any) -> None:
                real(old, new, **options)
                done.append(f"rename {new.decode()}")

            def made(path: bytes, *args: Any, **options: Any) -> None:
                real(path, *args, **options)
                done.append(f"mkdir {path.decode()}")

            def removed(path: bytes, **options: Any) -> None:
                real(path, **options)
                done.append(f"unlink {'old attributes' if b'.' in path else path.decode()}")

            watchers = {
                "open": opened,
                "fsync": synced,
                "rename": moved,
                "mkdir": made,
                "unlink": removed,
            }
            return watchers.get(name, real)

    backend = LocalBackend(tmp_path, ops=Watched())
    await backend.prepare(create=True)
    await put(backend, "a/b", OLD)
    done.clear()
    await put(backend, "a/b", NEW)
    *before, renamed, synced, dropped = done
    assert [what for what in before if what.startswith("mkdir")] == []
    assert len(before) == 3  # the attributes, their folder, the data
    assert all(what.startswith("fsync") for what in before)
    assert (renamed, synced, dropped) == ("rename b", "fsync a", "unlink old attributes")
    done.clear()
    await put(backend, "c/d", (b"", NO_ATTRIBUTES))
    assert done[1:] == ["mkdir c", "fsync root", "rename d", "fsync c"]
    done.clear()
    await backend.delete("a/b")
    assert done == ["unlink b", "fsync a", "unlink old attributes"]
    await backend.close()
