"""A side in a local directory: durable, atomic, for any key, and never outside its root.

Every verb is one call in a thread, but for bodies and objects over `STREAM_CHUNK_BYTES`, which
take one a chunk. A cancelled write that had begun goes on in its thread: it may take effect, as
a request to any store may, and never in part.

The root holds the objects' files under their keys, as `names` spells them, and a folder
``.crossfade``: ``tmp`` for what is being written, ``meta`` for attributes, ``locks``.

Attributes are bound to a file's inode and time. A copy of the directory made with other tools
has the bytes alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from anyio import move_on_after

from crossfade.backends.bodies import (
    STREAM_CHUNK_BYTES,
    BodyCheck,
    BytesStream,
    opened_chunks,
    read_whole,
)
from crossfade.backends.listing import page_size
from crossfade.backends.local import listings, probes, reads, writes
from crossfade.backends.local.inventory import Inventory, mode_of_new, take_inventory
from crossfade.backends.local.ops import FileOps
from crossfade.backends.local.problems import MissingError, translated
from crossfade.backends.local.tree import Tree
from crossfade.backends.threads import Threads
from crossfade.core.capabilities import Capabilities
from crossfade.core.objects import check_key
from crossfade.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crossfade.core.objects import Attributes, ByteRange, ObjectInfo, ObjectPage
    from crossfade.ports import Body, ObjectStream

T = TypeVar("T")

THREADS_MAX = 16
_DISCARD_SECONDS_MAX = 5.0
_CAPABILITIES = Capabilities(page_keys_max=10_000)


class LocalBackend:
    """Objects in a directory.

    Args:
        root: the directory; it must exist. It may be a symbolic link, nothing below it may.
        known: whether it was used before: a directory without ``.crossfade``, such as that of a
            volume that is not mounted, is refused then.
        threads_max: how many calls go on at once; the others wait.
        ops: the calls to the operating system, replaced in tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        known: bool = False,
        threads_max: int = THREADS_MAX,
        ops: FileOps | None = None,
    ) -> None:
        self._root = root.absolute()
        self._tree = Tree(self._root, ops or FileOps(), known=known)
        self._threads = Threads(threads_max, "crossfade-local")

    @property
    def capabilities(self) -> Capabilities:
        """Everything, for any key."""
        return _CAPABILITIES

    @property
    def location(self) -> str:
        """Return ``local://`` and the path."""
        return f"local://{os.fspath(self._root)}"

    async def prepare(self, *, create: bool) -> None:
        """Check the directory; with ``create`` make the own folder and remove what was left over.

        Raises:
            BackendUnavailableError: there is no such directory, or another one in its place.
            AccessDeniedError: this process may not read or write it.
            CapabilityError: its file system folds names, or keeps times too coarsely.
        """
        await self._run("prepare", "", self._prepare, create)

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object; ObjectNotFoundError when there is none."""
        check_key(key)
        return await self._run("stat", key, reads.stat, self._tree, key)

    async def read(
        self, key: str, *, byte_range: ByteRange | None = None, if_match: str | None = None
    ) -> ObjectStream:
        """Begin to read an object; a small one is read at once."""
        check_key(key)
        found = await self._run("read", key, reads.read, self._tree, key, byte_range, if_match)
        if isinstance(found, BytesStream):
            return found
        return reads.FileStream(self._tree, self._threads, found)

    async def write(self, key: str, body: Body, attributes: Attributes) -> ObjectInfo:
        """Put an object whole, durably, with its attributes."""
        check_key(key)
        data = body.data
        if data is None and body.size <= STREAM_CHUNK_BYTES:
            data = await read_whole(key, body)
        check = BodyCheck(key, body)
        if data is None:
            return await self._write_chunks(key, body, check, attributes)
        return await self._run(
            "write", key, writes.write_whole, self._tree, key, check, data, attributes
        )

    async def _write_chunks(
        self, key: str, body: Body, check: BodyCheck, attributes: Attributes
    ) -> ObjectInfo:
        write = await self._run("write", key, writes.Write, self._tree, key, check, attributes)
        try:
            async with opened_chunks(body) as chunks:
                async for chunk in chunks:
                    await self._run("write", key, write.add, chunk)
            return await self._run("write", key, write.finish)
        except BaseException:
            with move_on_after(_DISCARD_SECONDS_MAX, shield=True):
                await self._run("write", key, write.discard)
            raise

    async def delete(self, key: str) -> None:
        """Delete an object durably; an absent one is no error."""
        check_key(key)
        await self._run("delete", key, writes.delete, self._tree, key)

    async def list(
        self, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> ObjectPage:
        """Return a page of keys, read afresh.

        Raises:
            AccessDeniedError: a symbolic link, a named pipe or a device is among them.
            InvalidKeyError: a file's name stands for no key.
        """
        count = page_size(limit, _CAPABILITIES.page_keys_max)
        return await self._run("list", "", listings.page, self._tree, prefix, after, count)

    async def inventory(self) -> Inventory:
        """Go over all files, past what is no object, and tell of both."""
        return await self._run("list", "", take_inventory, self._tree)

    async def mode_of_new(self) -> int:
        """Return the mode that a new file gets here."""
        return await self._run("prepare", "", mode_of_new, self._tree)

    async def close(self) -> None:
        """Let go of descriptors and threads; calls under way end by themselves."""
        self._threads.close()
        self._tree.close()

    def _prepare(self, create: bool) -> None:  # noqa: FBT001 - goes through `_run`
        self._tree.open(create=create)
        if create:
            writes.sweep(self._tree)
            probes.check(self._tree)
        self._tree.verify("prepare", "")

    async def _run(self, operation: str, key: str, function: Callable[..., T], *args: object) -> T:
        return await self._threads.run(self._call, operation, key, function, *args)

    def _call(self, operation: str, key: str, function: Callable[..., T], *args: object) -> T:
        with translated(operation, key):
            try:
                return function(*args)
            except MissingError:
                self._tree.verify(operation, key)
        message = f"{self.location} holds no such object"
        raise ObjectNotFoundError(message, operation=operation, key=key)
