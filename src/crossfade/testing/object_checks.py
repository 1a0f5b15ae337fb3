"""Checks of what one object is: its bytes, attributes, versions, and bodies that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint

from crossfade.core.objects import NO_ATTRIBUTES, Attributes, ByteRange
from crossfade.errors import IntegrityError, ObjectNotFoundError, PreconditionError
from crossfade.testing.suite import (
    CHUNK_BYTES,
    FULL,
    LARGE,
    SIZES,
    TestBody,
    body_of,
    fail,
    get,
    put,
    registered,
    require_agreement,
    require_listed,
    require_refused,
    require_same,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.ports import Backend


@registered
async def returns_the_bytes_it_took(backend: Backend) -> None:
    """Bodies of all sizes, offered whole or in chunks, come back as they were."""
    for size in SIZES:
        for in_memory in (True, False):
            data = LARGE[:size]
            key = f"{size}-{in_memory}"
            written = await backend.write(key, body_of(data, in_memory=in_memory), NO_ATTRIBUTES)
            info, read = await get(backend, key)
            if read != data:
                fail(f"{size:,} bytes came back as {len(read):,} or other ones")
            require_same((info.key, info.size), (key, size), "what a read says")
            require_agreement(await backend.stat(key), written, "what stat says after a write")
            require_agreement(info, written, "what a read says after a write")


@registered
async def reads_a_write_at_once(backend: Backend) -> None:
    """After a write, an overwrite and a delete every verb sees it."""
    for round_number in range(3):
        for data in (b"first", b"second, longer", b""):
            written = await put(backend, "key", data)
            require_same((await get(backend, "key"))[1], data, f"bytes of round {round_number}")
            require_same(
                (await backend.stat("key")).etag, written.etag, "the tag after an overwrite"
            )
        await backend.delete("key")
        await require_refused(backend.stat("key"), ObjectNotFoundError, "stat after delete")


@registered
async def keeps_attributes_as_declared(backend: Backend) -> None:
    """What is declared is kept exactly, the rest not at all, and nothing outlives its version."""
    kept = backend.capabilities.attributes_kept
    for attributes in (FULL, Attributes(metadata={"only": "this"}), NO_ATTRIBUTES, FULL):
        await put(backend, "key", b"bytes", attributes)
        for info in (await backend.stat("key"), (await get(backend, "key"))[0]):
            require_same(info.attributes, attributes.kept(kept), "the attributes")
    await backend.delete("key")
    await put(backend, "key", b"bytes")
    require_same((await backend.stat("key")).attributes, NO_ATTRIBUTES, "attributes after a delete")


@registered
async def reads_ranges(backend: Backend) -> None:
    """Bytes from the first to the last asked for; a range beyond the end is refused."""
    if not backend.capabilities.range_reads:
        return
    await put(backend, "key", LARGE)
    await put(backend, "empty", b"")
    size = len(LARGE)
    ends = ((0, 0), (0, None), (1, 1), (7, 4_711), (CHUNK_BYTES - 1, CHUNK_BYTES), (1, size - 1))
    for start, end in (*ends, (size - 1, None), (size - 5, size + 5), (5, 2 * CHUNK_BYTES)):
        info, data = await get(backend, "key", ByteRange(start=start, end=end))
        if data != LARGE[start : None if end is None else end + 1]:
            fail(f"the range {start}-{end} gave {len(data):,} bytes, or other ones")
        require_same(info.size, size, "the size that a ranged read says")
    beyond = ByteRange(start=size)
    await require_refused(get(backend, "key", beyond), PreconditionError, "a range beyond the end")
    first = ByteRange(start=0)
    await require_refused(
        get(backend, "empty", first), PreconditionError, "a range of an empty object"
    )


@registered
async def reads_on_condition(backend: Backend) -> None:
    """A read with `if_match` returns that version or refuses."""
    if not backend.capabilities.conditional_reads:
        return
    old = await put(backend, "key", b"old")
    require_same((await get(backend, "key", if_match=old.etag))[1], b"old", "a conditional read")
    new = await put(backend, "key", b"new")
    require_same((await get(backend, "key", if_match=new.etag))[1], b"new", "a conditional read")
    for etag in (old.etag, "no-such-tag"):
        stale = get(backend, "key", if_match=etag)
        await require_refused(stale, PreconditionError, f"a read of the tag {etag!r}")
    absent = get(backend, "absent", if_match=new.etag)
    await require_refused(absent, ObjectNotFoundError, "a conditional read of an absent key")


@registered
async def refuses_bodies_that_differ(backend: Backend) -> None:
    """A body shorter, longer or other than announced is refused and changes nothing."""
    await put(backend, "held", b"held", FULL)
    before = await backend.stat("held")
    for data in (b"some bytes", LARGE[: CHUNK_BYTES + 5], LARGE):
        honest = body_of(data)
        wrongs = {"shorter": data[:-1], "longer": data + b"!", "other": data[:-1] + b"?"}
        for what, wrong in {**wrongs, "empty": b""}.items():
            for in_memory in (True, False):
                pieces = body_of(wrong).pieces
                body = TestBody(
                    pieces=pieces, size=len(data), sha256=honest.sha256, in_memory=in_memory
                )
                for key in ("held", "absent"):
                    write = backend.write(key, body, NO_ATTRIBUTES)
                    await require_refused(write, IntegrityError, f"a body that is {what}")
    require_same(await backend.stat("held"), before, "the object after refused writes")
    require_same((await get(backend, "held"))[1], b"held", "the bytes after refused writes")
    await require_listed(backend, ["held"], "the keys after refused writes")


@registered
async def drops_a_write_whose_body_breaks(backend: Backend) -> None:
    """When reading the body fails in the middle, its error comes through and nothing changes."""

    class Broken(Exception):  # noqa: N818 - a caller's own
        pass

    class BrokenBody:
        size = len(LARGE)
        sha256 = body_of(LARGE).sha256
        data = None

        async def chunks(self) -> AsyncIterator[bytes]:
            await checkpoint()
            yield LARGE[:CHUNK_BYTES]
            raise Broken

    await put(backend, "held", b"held")
    for key in ("held", "absent"):
        try:
            await backend.write(key, BrokenBody(), NO_ATTRIBUTES)
        except Broken:
            continue
        fail("a write whose body broke was taken for done")
    require_same((await get(backend, "held"))[1], b"held", "the bytes after a write that broke")
    await require_listed(backend, ["held"], "the keys after a write that broke")


@registered
async def tells_versions_apart(backend: Backend) -> None:
    """Every overwrite has a tag of its own, the one with the same bytes too, unless tags recur."""
    tags = [(await put(backend, "key", data)).etag for data in (b"a", b"b", b"b", b"a", b"a")]
    await backend.delete("key")
    tags.append((await put(backend, "key", b"a")).etag)
    if backend.capabilities.tags_recur:
        tags = tags[:2]
    require_same(len(set(tags)), len(tags), f"the number of tags in {tags!r}")
    if not all(tags):
        fail("an empty tag")


@registered
async def lets_go_of_streams(backend: Backend) -> None:
    """A stream can be closed early and twice; one that goes on never mixes versions."""
    await put(backend, "key", LARGE)
    stream = await backend.read("key")
    async for _ in stream:
        break
    await stream.aclose()
    await stream.aclose()
    stream = await backend.read("key")
    await put(backend, "key", LARGE[::-1])
    try:
        data = b"".join([chunk async for chunk in stream])
    except IntegrityError:
        return
    finally:
        await stream.aclose()
    if data not in (LARGE, LARGE[::-1]):
        fail("a stream mixed two versions")


@registered
async def prepares_again(backend: Backend) -> None:
    """Preparing a side that is in use changes nothing."""
    await put(backend, "key", b"held")
    for create in (True, False, True):
        await backend.prepare(create=create)
    require_same((await get(backend, "key"))[1], b"held", "the bytes after preparing again")
    await require_listed(backend, ["key"], "the keys after preparing again")
