"""Checks of bodies that are staged first and put into their place later."""

from __future__ import annotations

from array import array
from functools import cache
from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint

from crossfade.core.objects import NO_ATTRIBUTES
from crossfade.errors import BackendError, IntegrityError, ObjectNotFoundError
from crossfade.ports import Backend, Stager
from crossfade.testing.suite import (
    FULL,
    TestBody,
    body_of,
    fail,
    get,
    keys_of,
    put,
    registered,
    require_agreement,
    require_refused,
    require_same,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.ports import Staged

STAGED_BYTES_MAX = 64 << 20
"""A side that stages only what is larger than that is not asked to by these checks."""


@cache
def _bytes(size: int) -> bytes:
    """Return bytes in which no piece is like another."""
    return array("I", range(-(-size // 4))).tobytes()[:size]


def _body(backend: Backend, more: int = 1) -> TestBody | None:
    """Return the smallest body that is staged, and a little more; None where nothing is."""
    least = backend.capabilities.staged_bytes_min
    if least is None or least > STAGED_BYTES_MAX:
        return None
    return body_of(_bytes(least + more), in_memory=False)


def _stager(backend: Backend) -> Stager:
    if not isinstance(backend, Stager):
        fail("it declares staged_bytes_min and has neither stage nor part_bytes")
    return backend


async def _staged(backend: Backend, key: str, body: TestBody) -> Staged:
    return await _stager(backend).stage(key, body, FULL)


async def _require_held(backend: Backend, body: TestBody, what: str) -> None:
    """Fail unless the key is there as it was staged."""
    info, data = await get(backend, "key")
    require_same(data == b"".join(body.pieces), expected=True, what=f"the bytes {what}")
    kept = FULL.kept(backend.capabilities.attributes_kept)
    require_same(info.attributes, kept, f"the attributes {what}")


@registered
async def shows_nothing_before_it_is_completed(backend: Backend) -> None:
    """What is staged is in no answer, absent key or not, before its completion; then whole."""
    body = _body(backend)
    if body is None:
        return
    for held in (None, b"held"):
        if held is not None:
            await put(backend, "key", held)
        staged = await _staged(backend, "key", body)
        if held is None:
            await require_refused(backend.stat("key"), ObjectNotFoundError, "stat of a staged key")
            await require_refused(
                get(backend, "key"), ObjectNotFoundError, "a read of a staged key"
            )
        else:
            require_same((await get(backend, "key"))[1], held, "the bytes beside what is staged")
        require_same(await keys_of(backend), [] if held is None else ["key"], "the keys before")
        written = await staged.complete()
        require_agreement(await backend.stat("key"), written, "what stat says after it")
        require_same(await keys_of(backend), ["key"], "the keys after it")
        await _require_held(backend, body, "after it")
        await staged.drop()
        await _require_held(backend, body, "after letting go of what is in its place")
        await backend.delete("key")


@registered
async def drops_what_was_staged(backend: Backend) -> None:
    """After a drop nothing is left, an object that is there stays, and nothing completes it."""
    body = _body(backend)
    if body is None:
        return
    staged = await _staged(backend, "absent", body)
    await staged.drop()
    await staged.drop()
    await require_refused(staged.complete(), BackendError, "a completion after the drop")
    require_same(await keys_of(backend), [], "the keys after a drop")
    await put(backend, "key", b"held")
    staged = await _staged(backend, "key", body)
    await staged.drop()
    await require_refused(staged.complete(), BackendError, "a completion after the drop")
    require_same((await get(backend, "key"))[1], b"held", "the bytes after a drop")
    require_same(await keys_of(backend), ["key"], "the keys after a drop")


@registered
async def completes_as_a_write_of_now(backend: Backend) -> None:
    """A completion replaces what was written meanwhile; once answered it changes nothing more."""
    body = _body(backend)
    if body is None:
        return
    first, second = await _staged(backend, "key", body), await _staged(backend, "key", body)
    await put(backend, "key", b"written meanwhile")
    written = await first.complete()
    await _require_held(backend, body, "after a completion that followed a write")
    require_agreement(await first.complete(), written, "what a second completion says")
    await put(backend, "key", b"written after it")
    await first.complete()
    await first.drop()
    require_same((await get(backend, "key"))[1], b"written after it", "the bytes after one more")
    await second.complete()
    await _require_held(backend, body, "after the completion of another one")


class _BrokenError(Exception):
    """What reading a caller's body raised."""


class _BreakingBody:
    """A body that cannot be read to its end."""

    data = None

    def __init__(self, body: TestBody) -> None:
        self.size = body.size
        self.sha256 = body.sha256
        self._first = body.pieces[0]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the first piece, and break."""
        await checkpoint()
        yield self._first
        raise _BrokenError


@registered
async def stages_only_what_was_announced(backend: Backend) -> None:
    """A body that differs, or breaks, is not staged; small and large ones are written alike."""
    body = _body(backend)
    if body is None:
        return
    wrong = TestBody(pieces=[*body.pieces[:-1], b"?"], size=body.size, sha256=body.sha256)
    await require_refused(_staged(backend, "key", wrong), IntegrityError, "a body that differs")
    try:
        await _stager(backend).stage("key", _BreakingBody(body), NO_ATTRIBUTES)
    except _BrokenError:
        require_same(await keys_of(backend), [], "the keys after bodies that were refused")
    else:
        fail("a body that broke was taken for staged")
    for more in (-1, 0, 1):
        found = _body(backend, more)
        assert found is not None
        await backend.write("key", found, FULL)
        await _require_held(backend, found, f"of a write of {found.size:,}")
