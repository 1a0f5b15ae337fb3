"""What another process does between two calls of ours, placed there by hand."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING, Any

import pytest
from tests.backends.failing_ops import Died, FailingOps

from crossfade.backends.local import FileOps, LocalBackend
from crossfade.backends.local.notes import take_note
from crossfade.backends.local.tree import digest_of
from crossfade.core.objects import NO_ATTRIBUTES, Attributes
from crossfade.errors import BackendUnavailableError, ObjectNotFoundError
from crossfade.testing.conformance import body_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Between(FileOps):
    """Do something before calls of a name; it gets the call's first argument."""

    def __init__(self, **actions: Callable[[Any], object]) -> None:
        self.actions = actions
        self.count = dict.fromkeys(actions, 0)

    def __getattribute__(self, name: str) -> Any:
        real = super().__getattribute__(name)
        if name.startswith("_") or name not in vars(FileOps):
            return real
        action = self.actions.get(name)

        def call(first: Any, *args: Any, **options: Any) -> Any:
            if action is not None:
                self.count[name] += 1
                action(first)
            return real(first, *args, **options)

        return call


def once(action: Callable[[], object]) -> Callable[[Any], object]:
    """Do it the first time alone."""
    left = [action]
    return lambda _: left.pop()() if left else None


async def put(backend: LocalBackend, key: str, data: bytes = b"data") -> None:
    await backend.write(key, body_of(data), Attributes(content_type="text/x"))


async def get(backend: LocalBackend, key: str) -> bytes:
    return b"".join([chunk async for chunk in await backend.read(key)])


def is_held(lock: Path, kind: int) -> bool:
    with lock.open("r+b") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_a_keys_file_is_put_moved_and_deleted_under_its_lock_alone(tmp_path: Path) -> None:
    lock = tmp_path / ".crossfade" / "locks" / digest_of("a")[:2]
    moves = tmp_path / ".crossfade" / "moves"
    seen: list[str] = []

    def look(name: str) -> Callable[[Any], object]:
        def note(first: Any) -> None:
            if name == "rename" and first == b"a":
                assert is_held(moves, fcntl.LOCK_SH)  # Nobody reads names while a file moves.
                seen.append("moved")
            elif name == "unlink" and b"." in first:
                return  # attributes, which belong to one version
            assert is_held(lock, fcntl.LOCK_EX)
            seen.append(name)

        return note

    ops = Between(rename=look("rename"), unlink=look("unlink"))
    backend = LocalBackend(tmp_path, ops=ops)
    ops.actions = {}
    await backend.prepare(create=True)
    ops.actions = {"rename": look("rename"), "unlink": look("unlink")}
    await put(backend, "a")
    await put(backend, "a")
    await backend.delete("a")
    await put(backend, "a")
    # The write below moves the file under the lock of `a`, and is then put under its own.
    actions, ops.actions = ops.actions, {}
    other = LocalBackend(tmp_path, ops=Between(rename=once(lambda: look("rename")(b"a"))))
    await put(other, "a/b")
    ops.actions = actions
    await put(backend, "a")
    await backend.delete("a")
    await backend.close()
    await other.close()
    assert seen == [
        *("rename", "rename", "unlink", "rename"),
        *("moved", "rename"),
        *("rename", "unlink"),
    ]


async def test_names_are_read_while_no_file_may_move(tmp_path: Path) -> None:
    moves = tmp_path / ".crossfade" / "moves"
    held: list[bool] = []
    backend = LocalBackend(tmp_path)
    await backend.prepare(create=True)
    await put(backend, "a/b")
    ops = Between(scandir=lambda _: held.append(is_held(moves, fcntl.LOCK_EX)))
    reader = LocalBackend(tmp_path, ops=ops)
    assert [info.key for info in (await reader.list()).objects] == ["a/b"]
    assert held == [True, True]
    await backend.close()
    await reader.close()


async def test_a_file_that_moves_between_the_two_looks_is_found(tmp_path: Path) -> None:
    other = LocalBackend(tmp_path)
    await other.prepare(create=True)
    for verb in ("stat", "read", "list"):
        key = f"key-{verb}"
        await put(other, key)

        def move(key: str = key) -> None:
            take_note(other._tree, key, (b"%~=" + key.encode(),))
            (tmp_path / key).rename(tmp_path / f"%~={key}")
            (tmp_path / key).mkdir()

        def act(first: Any, move: Callable[[], None] = move, key: str = key) -> None:
            if first == key.encode() and (tmp_path / key).is_file():
                move()

        backend = LocalBackend(tmp_path, ops=Between(stat=act, open=act))
        if verb == "list":
            assert key in [info.key for info in (await backend.list()).objects]
        else:
            assert (await backend.stat(key)).size == 4
            assert await get(backend, key) == b"data"
        assert (tmp_path / key).is_dir()
        await backend.close()
    await other.close()


@pytest.mark.parametrize("call", ["mkdir", "rename"])
async def test_a_writer_whose_directory_is_pruned_makes_it_again(tmp_path: Path, call: str) -> None:
    pruned: list[str] = []

    def act(first: Any) -> None:
        if (call == "mkdir") == (first == b"b") and len(pruned) < 2:
            pruned.append(call)
            if call == "rename":
                (tmp_path / "a" / "b").rmdir()
            (tmp_path / "a").rmdir()

    ops = Between()
    backend = LocalBackend(tmp_path, ops=ops)
    await backend.prepare(create=True)
    ops.count[call] = 0
    ops.actions = {call: act}
    await put(backend, "a/b/c")
    assert pruned == [call, call]
    assert await get(backend, "a/b/c") == b"data"
    await backend.close()


async def test_a_writer_who_meets_a_new_directory_writes_beside_it(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    await backend.prepare(create=True)
    meeting = LocalBackend(tmp_path, ops=Between(rename=once((tmp_path / "a").mkdir)))
    await put(meeting, "a")
    assert (tmp_path / "%~=a").read_bytes() == b"data"
    assert await get(backend, "a") == b"data"
    await backend.close()
    await meeting.close()


async def test_directories_that_never_rest_end_in_an_error_and_not_in_a_loop(
    tmp_path: Path,
) -> None:
    ops = Between()
    backend = LocalBackend(tmp_path, ops=ops)
    await backend.prepare(create=True)
    ops.count["rename"] = 0
    ops.actions = {"rename": lambda _: (tmp_path / "a").rmdir()}
    with pytest.raises(BackendUnavailableError, match="changed 100 times"):
        await put(backend, "a/b")
    assert list((tmp_path / ".crossfade/tmp").iterdir()) == []
    await backend.close()


async def test_an_object_replaced_between_its_bytes_and_its_attributes_is_read_again(
    tmp_path: Path,
) -> None:
    other = LocalBackend(tmp_path)
    await other.prepare(create=True)
    await put(other, "a", b"old")

    def replace() -> None:
        new = tmp_path / "new"
        new.write_bytes(b"new")
        new.rename(tmp_path / "a")
        for sidecar in (tmp_path / ".crossfade" / "meta").glob("*/*"):
            sidecar.unlink()  # as a writer does once its version is in place

    reading = once(replace)
    ops = Between(open=lambda first: reading(first) if b"." in bytes(first) else None)
    backend = LocalBackend(tmp_path, ops=ops)
    ops.actions, actions = {}, ops.actions
    await backend.prepare(create=False)
    ops.actions = actions
    ops.count["open"] = 0
    stream = await backend.read("a")
    assert b"".join([chunk async for chunk in stream]) == b"new"
    assert stream.info.attributes == NO_ATTRIBUTES
    await backend.close()
    await other.close()


async def test_of_two_files_put_there_by_hand_the_hidden_one_never_comes_to_light(
    tmp_path: Path,
) -> None:
    for at in range(60):
        root = tmp_path / str(at)
        root.mkdir()
        (root / "a").write_bytes(b"plain")
        (root / "%~=a").write_bytes(b"beside")
        ops = FailingOps(None)
        backend = LocalBackend(root, ops=ops)
        await backend.prepare(create=True)
        ops.arm(at)
        died = False
        try:
            await backend.delete("a")
        except Died:
            died = True
        ops.disarm()
        try:
            assert await get(backend, "a") == b"plain"
        except ObjectNotFoundError:
            assert not (root / "%~=a").exists()
        await backend.close()
        if not died:
            assert list(root.iterdir()) == [root / ".crossfade"]
            return
    pytest.fail("too many calls")
