"""A local directory: what was there before, what is never followed, what tells that it is gone."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import stat
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import anyio
import pytest
from tests.rights import rights_hold

from crossfade.backends.local import FileOps, LocalBackend, reads
from crossfade.core.objects import NO_ATTRIBUTES, Attributes
from crossfade.errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    CapabilityError,
    CrossfadeError,
    IntegrityError,
    InvalidKeyError,
    InvalidMetadataError,
    ObjectNotFoundError,
    StorageFullError,
)
from crossfade.testing.conformance import TestBody, body_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

TYPED = Attributes(content_type="image/png", metadata={"ü": "日本"})
LARGE = bytes(range(256)) * 4096
OLD = 1_000_000_000


@asynccontextmanager
async def prepared(
    root: Path, ops: FileOps | None = None, *, create: bool = True
) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(root, ops=ops)
    try:
        await backend.prepare(create=create)
        yield backend
    finally:
        await backend.close()


async def get(backend: LocalBackend, key: str) -> bytes:
    stream = await backend.read(key)
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def put(
    backend: LocalBackend, key: str, data: bytes = b"data", attributes: Attributes = NO_ATTRIBUTES
) -> None:
    await backend.write(key, body_of(data), attributes)


async def keys(backend: LocalBackend, prefix: str = "") -> list[str]:
    return [info.key for info in (await backend.list(prefix=prefix)).objects]


def visible(root: Path) -> list[str]:
    """All paths below the root but Crossfade's own."""
    paths = (path.relative_to(root).as_posix() for path in root.rglob("*"))
    return sorted(path for path in paths if not path.startswith(".crossfade"))


class OneFailing(FileOps):
    """A named call fails while `armed`."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.armed = False

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "name") and self.armed:

            def fail(*_: object, **__: object) -> None:
                raise OSError(self.number, os.strerror(self.number))

            return fail
        return super().__getattribute__(name)


def descriptors() -> int:
    """Count the files that this process has open."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


# -- what was there before -------------------------------------------------------------------------


async def test_files_that_were_there_are_found_under_their_plain_names(tmp_path: Path) -> None:
    plain = ["100%.txt", "a b+c", "b/.hidden/c", "u42/photo.png", "x" * 255, "ü/日本.txt"]
    for name in plain:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    async with prepared(tmp_path) as backend:
        assert await keys(backend) == plain
        for name in plain:
            assert await get(backend, name) == name.encode()
            info = await backend.stat(name)
            assert info.attributes == NO_ATTRIBUTES
            assert info.modified is not None


async def test_ordinary_keys_are_plain_files_for_everybody_else(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        await put(backend, "u42/photo 1.png", b"png", TYPED)
        file = tmp_path / "u42" / "photo 1.png"
        assert file.read_bytes() == b"png"
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
        assert stat.S_IMODE((tmp_path / ".crossfade").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("seconds", "year"), [(253_402_300_800, 9999), (-62_135_596_801, 1), (0, 1970)]
)
async def test_a_time_that_no_date_can_say_is_shown_as_the_nearest(
    tmp_path: Path, seconds: int, year: int
) -> None:
    (tmp_path / "k").write_bytes(b"1")
    found = (tmp_path / "k").stat()
    # Few file systems keep such a time; tmpfs is one.
    kept = SimpleNamespace(st_mtime_ns=seconds * 10**9, st_ino=found.st_ino, st_size=found.st_size)
    modified = reads.info_of("k", cast("os.stat_result", kept), None).modified
    assert modified is not None
    assert modified.year == year


async def test_a_file_gives_way_to_a_directory_and_stays_readable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    long = "y" * 255
    async with prepared(tmp_path) as backend:
        await put(backend, long, b"long", TYPED)
        await put(backend, "a/b/c", b"below")
        await put(backend, f"{long}/x", b"below")
        assert visible(tmp_path)[:2] == ["%~+" + "y" * 252, "%~+" + "y" * 252 + "/%~=yyy"]
        assert (tmp_path / "%~=a").read_bytes() == b"before"
        assert await keys(backend) == ["a", "a/b/c", long, f"{long}/x"]
        assert await get(backend, "a") == b"before"
        assert (await backend.stat(long)).attributes == TYPED
        await backend.delete("a/b/c")
        assert not (tmp_path / "a").exists()  # empty directories go
        await put(backend, "a", b"after")
        assert (tmp_path / "%~=a").read_bytes() == b"after"
        await backend.delete("a")
        await put(backend, "a", b"again")
        assert (tmp_path / "a").read_bytes() == b"again"


@pytest.mark.parametrize("name", ["%~=a", "%~=alone", "%~-..", "%~-../x"])
async def test_a_file_that_is_called_like_an_escape_is_neither_lost_nor_renamed(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "a").write_bytes(b"plain")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"by hand")
    writes = {"%~=a": "a/b", "%~-..": "..", "%~-../x": "../x"}
    async with prepared(tmp_path) as backend:
        with pytest.raises(InvalidKeyError, match=rf"{name}' is called like a name.*rename it"):
            await keys(backend)
        if name in writes:
            with pytest.raises(InvalidKeyError, match="only Crossfade gives"):
                await put(backend, writes[name])
        assert (tmp_path / name).read_bytes() == b"by hand"
        assert await get(backend, "a") == b"plain"


async def test_a_file_stays_listed_beside_a_folder_that_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"plain")
    async with prepared(tmp_path) as backend:
        await put(backend, "a/b")
        await backend.delete("a/b")
        assert visible(tmp_path) == ["%~=a"]
        assert await keys(backend) == ["a"]
        await backend.delete("a")
        assert visible(tmp_path) == []
        assert list((tmp_path / ".crossfade" / "meta").rglob("*.note")) == []


async def test_a_folder_that_another_writer_made_first_leaves_no_note(tmp_path: Path) -> None:
    class Raced(FileOps):
        """Another writer makes each folder just before."""

        @staticmethod
        def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            os.mkdir(path, mode, dir_fd=dir_fd)
            os.mkdir(path, mode, dir_fd=dir_fd)

    async with prepared(tmp_path) as backend:
        await put(backend, "typed", b"1", TYPED)
    async with prepared(tmp_path, ops=Raced()) as backend:
        await put(backend, "a/b", b"1")
        assert await get(backend, "a/b") == b"1"
    assert list((tmp_path / ".crossfade").rglob("*.note")) == []


async def test_deleting_everything_leaves_nothing_behind(tmp_path: Path) -> None:
    names = ["a", "a/b", "a/b/c", "x" * 255, "x" * 255 + "/y", "x" * 600, "..", "//", "q/"]
    async with prepared(tmp_path) as backend:
        for key in names:
            await put(backend, key, b"", TYPED)
            await put(backend, key, b"new", TYPED)
        for key in names:
            await backend.delete(key)
    assert visible(tmp_path) == []
    assert not [p for p in (tmp_path / ".crossfade/meta").rglob("*") if p.is_file()]
    assert list((tmp_path / ".crossfade/tmp").iterdir()) == []


# -- attributes ------------------------------------------------------------------------------------


async def test_attributes_are_there_for_the_next_process(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        await put(backend, "key", b"data", TYPED)
    async with prepared(tmp_path, create=False) as backend:
        assert (await backend.stat("key")).attributes == TYPED


async def test_attributes_of_a_version_are_never_those_of_another(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        await put(backend, "key", b"data", TYPED)
        was = (tmp_path / "key").stat()
        replacement = tmp_path / "replacement"
        replacement.write_bytes(b"atad")
        os.utime(replacement, ns=(was.st_mtime_ns, was.st_mtime_ns))
        replacement.rename(tmp_path / "key")  # same time and size, another inode
        assert (await backend.stat("key")).attributes == NO_ATTRIBUTES
        await put(backend, "key", b"data", TYPED)
        (tmp_path / "key").write_bytes(b"edit")  # the same inode, written in place
        assert (await backend.stat("key")).attributes == NO_ATTRIBUTES


async def test_attributes_that_are_too_large_are_refused_as_such(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        large = Attributes(metadata={"note": "x" * (1 << 20)})
        with pytest.raises(InvalidMetadataError, match="the limit is 1,048,576"):
            await put(backend, "key", b"data", large)
        assert await keys(backend) == []


async def test_damaged_attributes_are_an_error_and_not_dropped(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        await put(backend, "key", b"data", TYPED)
        [sidecar] = [p for p in (tmp_path / ".crossfade/meta").rglob("*") if p.is_file()]
        sidecar.write_bytes(b"{}")
        for call in (backend.stat("key"), get(backend, "key")):
            with pytest.raises(IntegrityError, match="damaged"):
                await call
        await put(backend, "key", b"data", TYPED)
        assert (await backend.stat("key")).attributes == TYPED


@pytest.mark.parametrize("value", ["\ud800", "x" * (1 << 20)])
async def test_attributes_that_cannot_be_kept_are_refused(tmp_path: Path, value: str) -> None:
    async with prepared(tmp_path) as backend:
        await put(backend, "key", b"old", TYPED)
        with pytest.raises(BackendError, match="attributes"):
            await put(backend, "key", b"new", Attributes(metadata={"a": value}))
        assert await get(backend, "key") == b"old"
        assert (await backend.stat("key")).attributes == TYPED


# -- what is never followed ------------------------------------------------------------------------


def plant(path: Path, kind: str, outside: Path) -> None:
    match kind:
        case "a symbolic link":
            path.symlink_to(outside)
        case "a named pipe":
            os.mkfifo(path)
        case _:
            os.mknod(path, 0o666 | stat.S_IFSOCK)


KINDS = ["a symbolic link", "a named pipe", "a socket"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", ["file", "folder"])
async def test_what_is_no_file_is_refused_by_name(tmp_path: Path, kind: str, to: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "secret").write_bytes(b"secret")
    plant(root / "planted", kind, outside / "secret" if to == "file" else outside)
    async with prepared(root) as backend:
        await put(backend, "other")
        for key in ("planted", "planted/secret", "planted/new"):
            calls = (backend.stat(key), get(backend, key), put(backend, key), backend.delete(key))
            for call in calls:
                with pytest.raises(AccessDeniedError, match=f"planted.*{kind}"):
                    await call
        with pytest.raises(AccessDeniedError, match=f"planted.*{kind}"):
            await keys(backend)
        with pytest.raises(AccessDeniedError, match=f"planted.*{kind}"):
            await keys(backend, "planted/")
        assert await keys(backend, "other") == ["other"]
    assert [p.name for p in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert list((root / ".crossfade/tmp").iterdir()) == []


async def test_crossfades_own_folder_is_no_symbolic_link(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / ".crossfade").symlink_to(outside)
    with pytest.raises(AccessDeniedError, match=r"\.crossfade.*symbolic link"):
        async with prepared(root):
            pass
    assert list(outside.iterdir()) == []


async def test_keys_that_climb_stay_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").write_bytes(b"secret")
    climbing = ["../outside", "/etc/passwd", "a/../../outside", "..", "./../outside", "..\\outside"]
    async with prepared(root) as backend:
        for key in climbing:
            with pytest.raises(ObjectNotFoundError):
                await backend.stat(key)
            await put(backend, key, key.encode())
        assert await keys(backend) == sorted(climbing)
        for key in climbing:
            await backend.delete(key)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outside", "root"]
    assert (tmp_path / "outside").read_bytes() == b"secret"


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", b"%~-a", b"%~=", b"%~", b"%~+x", b"%~x", b"%~=" + b"x" * 251 + b"\xc3"]
)
async def test_a_name_that_spells_no_key_is_an_error_in_listings(
    tmp_path: Path, name: bytes
) -> None:
    (tmp_path / "folder").mkdir()
    with open(os.path.join(os.fsencode(tmp_path), b"folder", name), "wb"):  # noqa: PTH118, PTH123
        pass
    async with prepared(tmp_path) as backend:
        with pytest.raises(InvalidKeyError, match="rename it") as caught:
            await keys(backend)
        assert "folder" in str(caught.value)
        assert await keys(backend, "other") == []


async def test_a_path_too_long_for_a_key_is_an_error_in_listings(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(5):
        folder /= "x" * 250
    folder.mkdir(parents=True)
    (folder / "file").touch()
    async with prepared(tmp_path) as backend:
        with pytest.raises(InvalidKeyError, match="at most"):
            await keys(backend)


async def test_a_file_in_a_long_segments_way_is_named(tmp_path: Path) -> None:
    (tmp_path / ("%~+" + "x" * 252)).write_bytes(b"by hand")
    async with prepared(tmp_path) as backend:
        with pytest.raises(AccessDeniedError, match=r"%~\+x"):
            await put(backend, "x" * 300)


async def test_a_file_that_is_replaced_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(b"old")
    (tmp_path / "private").chmod(0o600)
    (tmp_path / "script").write_bytes(b"old")
    (tmp_path / "script").chmod(0o4755)
    other = 1_000 if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path / "private", other, -1)
    async with prepared(tmp_path) as backend:
        for name, body in (("private", b"new"), ("script", LARGE), ("private", LARGE)):
            await put(backend, name, body)
            assert (tmp_path / name).read_bytes() == body
    found = (tmp_path / "private").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, other)
    assert stat.S_IMODE((tmp_path / "script").stat().st_mode) == 0o4755


async def test_an_owner_that_may_not_be_kept_takes_set_id_along(tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"old")
    (tmp_path / "script").chmod(0o4750)
    ops = OneFailing("chown", errno.EPERM)
    ops.armed = True

    class AnothersFile(FileOps):
        def __getattribute__(self, name: str) -> Any:
            return ops.__getattribute__(name) if name == "chown" else super().__getattribute__(name)

        @staticmethod
        def stat(*args: Any, **options: Any) -> Any:
            found = os.stat(*args, **options)
            fields = {name: getattr(found, name) for name in dir(found) if name.startswith("st_")}
            return SimpleNamespace(**fields | {"st_uid": found.st_uid + 1})

    async with prepared(tmp_path) as backend:
        backend._tree.ops = AnothersFile()
        await put(backend, "script", b"new")
    assert stat.S_IMODE((tmp_path / "script").stat().st_mode) == 0o750


async def test_what_a_killed_writer_left_is_removed_a_minute_later(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        folder = tmp_path / ".crossfade" / "tmp"
        (folder / "left").touch()
        (folder / "new").touch()
        with (folder / "held").open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            for name in ("left", "held"):
                then = (folder / name).stat().st_mtime - 61
                os.utime(folder / name, (then, then))
            await backend.prepare(create=True)
        assert sorted(path.name for path in folder.iterdir()) == ["held", "new"]


# -- errors ----------------------------------------------------------------------------------------


async def test_a_missing_root_says_how_to_make_it(tmp_path: Path) -> None:
    for create in (True, False):
        with pytest.raises(BackendUnavailableError, match="mkdir -p"):
            await LocalBackend(tmp_path / "absent").prepare(create=create)
    (tmp_path / "file").touch()
    with pytest.raises(BackendUnavailableError, match="file' is no directory: give"):
        await LocalBackend(tmp_path / "file").prepare(create=True)
    assert not (tmp_path / "absent").exists()


async def test_errors_name_whole_paths(tmp_path: Path) -> None:
    for name in ("a/closed", "b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "closed").chmod(0)
    (tmp_path / "b").chmod(0o555)
    with rights_hold():
        async with prepared(tmp_path) as backend:
            with pytest.raises(AccessDeniedError, match="at '" + str(tmp_path / "a" / "closed")):
                await keys(backend)
            with pytest.raises(AccessDeniedError, match="at '" + str(tmp_path / "b" / "new")):
                await put(backend, "b/new")


async def test_something_else_in_the_own_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / ".crossfade").mkdir()
    (tmp_path / ".crossfade" / "tmp").touch()
    with pytest.raises(AccessDeniedError, match=r"\.crossfade/tmp' is a file"):
        await LocalBackend(tmp_path).prepare(create=True)


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.EROFS, "can be written"), (errno.EMFILE, "ulimit -n")]
)
async def test_an_error_s_hint_is_that_of_its_cause(tmp_path: Path, number: int, hint: str) -> None:
    ops = OneFailing("open", number)
    async with prepared(tmp_path, ops) as backend:
        ops.armed = True
        with pytest.raises(BackendError, match=rf"{tmp_path}/\.crossfade/tmp': .*{hint}"):
            await put(backend, "k")
        ops.armed = False


async def say_nothing(backend: LocalBackend) -> None:
    """Nothing may be concluded from a root that is not the one that was opened."""
    for call in (
        backend.stat("absent"),
        get(backend, "absent"),
        put(backend, "new"),
        backend.delete("held"),
        backend.list(),
        backend.list(prefix="absent/"),
    ):
        with pytest.raises(BackendUnavailableError, match=r"no longer|directory"):
            await call


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("left", ["nothing", "an empty directory", "another side"])
async def test_an_unmounted_root_is_never_taken_for_an_empty_one(
    tmp_path: Path, create: bool, left: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "held").write_bytes(b"held")
    async with prepared(root, create=create) as backend:
        root.rename(tmp_path / "moved")
        if left != "nothing":
            root.mkdir()
        if left == "another side":
            async with prepared(root):
                pass
        await say_nothing(backend)
        if left == "an empty directory" and create:
            with pytest.raises(BackendUnavailableError, match="mount the volume"):
                await backend.prepare(create=True)
        if left != "nothing":
            (tmp_path / "moved").rename(tmp_path / "again")
            root.rename(tmp_path / "wrong")
            (tmp_path / "again").rename(root)
        else:
            (tmp_path / "moved").rename(root)
        await backend.prepare(create=create)
        assert await get(backend, "held") == b"held"
    assert (root / "held").exists()


async def test_a_side_without_its_own_folder_is_not_the_side_any_more(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        await put(backend, "held")
        (tmp_path / ".crossfade").rename(tmp_path / "elsewhere")
        await say_nothing(backend)


async def test_a_source_that_cannot_be_written_is_read_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    async with prepared(tmp_path, create=False) as backend:
        assert await get(backend, "a") == b"a"
        assert await keys(backend) == ["a"]
        with pytest.raises(ObjectNotFoundError):
            await backend.stat("b")
        assert [p.name for p in tmp_path.iterdir()] == ["a"]
        async with prepared(tmp_path) as other:  # Another process begins to write.
            await put(other, "a", b"b", TYPED)
        assert (await backend.stat("a")).attributes == TYPED


@pytest.mark.parametrize(
    ("call", "number", "kind"),
    [
        ("mkdir", errno.EROFS, AccessDeniedError),
        ("mkdir", errno.EACCES, AccessDeniedError),
        ("mkdir", errno.ENOSPC, StorageFullError),
        ("open", errno.EACCES, AccessDeniedError),
        ("open", errno.EMFILE, BackendUnavailableError),
        ("stat", errno.ESTALE, BackendUnavailableError),
    ],
)
async def test_preparing_tells_what_stands_in_the_way(
    tmp_path: Path, call: str, number: int, kind: type[BackendError]
) -> None:
    ops = OneFailing(call, number)
    ops.armed = True
    with pytest.raises(kind):
        async with prepared(tmp_path, ops):
            pass


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EIO, BackendUnavailableError),
        (errno.EROFS, AccessDeniedError),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "utime"])
async def test_a_full_disk_leaves_the_old_object(
    tmp_path: Path, call: str, number: int, kind: type[BackendError]
) -> None:
    ops = OneFailing(call, number)
    async with prepared(tmp_path, ops) as backend:
        await put(backend, "key", b"old", TYPED)
        for data, in_memory in ((b"new", True), (LARGE, True), (LARGE, False)):
            ops.armed = True
            with pytest.raises(kind):
                await backend.write("key", body_of(data, in_memory=in_memory), TYPED)
            ops.armed = False
            assert await get(backend, "key") == b"old"
            assert (await backend.stat("key")).attributes == TYPED
            assert list((tmp_path / ".crossfade/tmp").iterdir()) == []


@pytest.mark.parametrize("call", ["stat", "open", "pread"])
async def test_a_disk_that_fails_is_never_not_found(tmp_path: Path, call: str) -> None:
    ops = OneFailing(call, errno.EIO)
    async with prepared(tmp_path, ops) as backend:
        await put(backend, "key", LARGE, TYPED)
        ops.armed = True
        calls = {
            "stat": (backend.stat("key"), backend.stat("absent"), get(backend, "absent")),
            "open": (backend.stat("a/b"), get(backend, "key"), get(backend, "absent")),
            "pread": (backend.stat("key"), get(backend, "key")),
        }
        for failing in calls[call]:
            with pytest.raises(BackendUnavailableError):
                await failing
        ops.armed = False
        for others in calls.values():
            for unused in others:
                unused.close()


async def test_a_file_system_that_folds_names_or_times_is_refused(tmp_path: Path) -> None:
    class FoldsCase(FileOps):
        def __getattribute__(self, name: str) -> Any:
            if name != "stat":
                return super().__getattribute__(name)

            def folded(path: Any, **options: Any) -> os.stat_result:
                upper = path.replace(b"-a-", b"-A-") if isinstance(path, bytes) else path
                return os.stat(upper, **options)  # noqa: PTH116 - as it is called

            return folded

    class KeepsSeconds(FileOps):
        def __getattribute__(self, name: str) -> Any:
            if name != "utime":
                return super().__getattribute__(name)

            def coarse(fd: int, *, ns: tuple[int, int]) -> None:
                os.utime(fd, (ns[0] // 10**9, ns[1] // 10**9))

            return coarse

    for ops, what in ((FoldsCase(), "different names"), (KeepsSeconds(), "nanoseconds")):
        with pytest.raises(CapabilityError, match=what):
            async with prepared(tmp_path, ops):
                pass
    assert list((tmp_path / ".crossfade/tmp").iterdir()) == []


async def test_a_name_that_the_file_system_cannot_hold_is_refused(tmp_path: Path) -> None:
    ops = OneFailing("rename", errno.EILSEQ)
    async with prepared(tmp_path, ops) as backend:
        ops.armed = True
        with pytest.raises(InvalidKeyError):
            await put(backend, "key")
        ops.armed = False
        assert await keys(backend) == []


async def test_another_file_system_below_the_root_is_refused(tmp_path: Path) -> None:
    ops = OneFailing("rename", errno.EXDEV)
    async with prepared(tmp_path, ops) as backend:
        ops.armed = True
        with pytest.raises(BackendError, match="mounted"):
            await put(backend, "key")


async def test_every_error_is_one_of_crossfades(tmp_path: Path) -> None:
    for number in sorted(errno.errorcode):
        ops = OneFailing("open", number)
        async with prepared(tmp_path, ops) as backend:
            ops.armed = True
            for call in (get(backend, "key"), put(backend, "key"), backend.delete("key")):
                with pytest.raises(CrossfadeError):
                    await call
            ops.armed = False


# -- left over, cancelled, changed meanwhile -------------------------------------------------------


async def test_what_a_killed_process_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        folder = tmp_path / ".crossfade" / "tmp"
        for name in ("old", "new"):
            (folder / name).write_bytes(b"part")
        os.utime(folder / "old", (OLD, OLD))

        class SlowBody:
            size = len(LARGE)
            sha256 = body_of(LARGE).sha256
            data = None

            async def chunks(self) -> AsyncIterator[bytes]:
                yield LARGE[:1000]
                [busy] = [p for p in folder.iterdir() if p.name not in {"old", "new"}]
                os.utime(busy, (OLD, OLD))
                await LocalBackend(tmp_path).prepare(create=True)
                yield LARGE[1000:]

        await backend.write("key", SlowBody(), NO_ATTRIBUTES)
        assert [p.name for p in folder.iterdir()] == ["new"]
        assert await get(backend, "key") == LARGE
        assert await keys(backend) == ["key"]


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_cancelled_caller_goes_on_while_a_hung_disk_keeps_its_thread(
    tmp_path: Path, library: str
) -> None:
    begun, release = threading.Event(), threading.Event()

    class Hangs(OneFailing):
        def __getattribute__(self, name: str) -> Any:
            if name == "fsync" and self.armed:
                begun.set()
                assert release.wait(20)
                return os.fsync
            return FileOps.__getattribute__(self, name)

    async def run() -> None:
        ops = Hangs("", 0)
        async with prepared(tmp_path, ops) as backend:
            await put(backend, "key", b"old")
            ops.armed = True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(put, backend, "key", b"new")
                while not begun.is_set():
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert await get(backend, "key") == b"old"
            ops.armed = False
            release.set()
            while await get(backend, "key") == b"old":  # It lands late, and whole.
                await anyio.lowlevel.checkpoint()
            assert await get(backend, "key") == b"new"

    anyio.run(run, backend=library)


async def test_a_cancelled_stream_of_chunks_leaves_no_temporary_file(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        started = anyio.Event()

        class Endless:
            size = len(LARGE)
            sha256 = "0" * 64
            data = None

            async def chunks(self) -> AsyncIterator[bytes]:
                yield LARGE[:1000]
                started.set()
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.write, "key", Endless(), NO_ATTRIBUTES)
            await started.wait()
            tasks.cancel_scope.cancel()
        assert list((tmp_path / ".crossfade/tmp").iterdir()) == []
        assert await keys(backend) == []


async def test_a_file_written_in_place_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(LARGE)
    async with prepared(tmp_path) as backend:
        for change in (b"", LARGE[::-1]):
            stream = await backend.read("key")
            with (tmp_path / "key").open("r+b") as file:
                file.truncate(300_000 if not change else len(LARGE))
                file.write(change)
            with pytest.raises(IntegrityError, match="while it was read"):
                async for _ in stream:
                    pass
            await stream.aclose()
            (tmp_path / "key").write_bytes(LARGE)


async def test_closing_a_stream_closes_its_file(tmp_path: Path) -> None:
    async with prepared(tmp_path) as backend:
        await put(backend, "key", LARGE)
        before = descriptors()
        streams = [await backend.read("key") for _ in range(10)]
        assert descriptors() == before + 10
        for stream in streams:
            await stream.aclose()
        assert descriptors() == before


async def test_no_descriptor_is_left_open_by_any_verb(tmp_path: Path) -> None:
    odd = ["a", "a/b", "a/b/c", "x" * 255, "x" * 255 + "/y", "x" * 600, "//"]
    async with prepared(tmp_path) as backend:
        await put(backend, "warm", LARGE, TYPED)
        before = descriptors()
        for key in odd:
            await put(backend, key, LARGE, TYPED)
            await get(backend, key)
            await backend.stat(key)
            await backend.list(limit=1)
            await backend.list()
            short = TestBody(pieces=[b"x"], size=2, sha256="")
            with pytest.raises(IntegrityError):
                await backend.write(key, short, TYPED)
            with pytest.raises(ObjectNotFoundError):
                await backend.stat(key + "/absent")
        for key in odd:
            await backend.delete(key)
        assert descriptors() == before


async def test_objects_that_vanish_during_a_listing_are_left_out(tmp_path: Path) -> None:
    class Deletes(FileOps):
        """Before a directory's names are read, what is in it goes, and it goes too."""

        going: ClassVar[list[list[Path]]] = []

        def __getattribute__(self, name: str) -> Any:
            if name == "flock" and self.going:
                for path in self.going.pop(0):
                    path.rmdir() if path.is_dir() else path.unlink()
            return super().__getattribute__(name)

    ops = Deletes()
    async with prepared(tmp_path, ops) as backend:
        for key in ("a", "b", "c/d", "e/f/g", "h"):
            await put(backend, key)
        folder = tmp_path / "e" / "f"
        # The root's names, those of `c`, of `e`, of `e/f`.
        ops.going = [[tmp_path / "a"], [tmp_path / "c/d", tmp_path / "c"], [], []]  # type: ignore[misc]
        ops.going[3] += [folder / "g", folder]
        assert await keys(backend) == ["b", "h"]
