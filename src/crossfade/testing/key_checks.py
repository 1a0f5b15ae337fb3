"""Checks of keys and listings: none changed, none taken for another, all in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.core.objects import Attributes
from crossfade.errors import InvalidKeyError, ObjectNotFoundError
from crossfade.testing.suite import (
    FULL,
    ILLEGAL_KEYS,
    ODD_KEYS,
    declared,
    fail,
    get,
    holdable,
    in_order,
    put,
    registered,
    require_listed,
    require_refused,
    require_same,
    require_shown,
    short,
)

if TYPE_CHECKING:
    from crossfade.ports import Backend


@registered
async def holds_odd_keys_side_by_side(backend: Backend) -> None:
    """No key is changed, and none is taken for another: put, list, stat, read, delete."""
    keys = holdable(backend, ODD_KEYS)
    kept = backend.capabilities.attributes_kept
    for key in keys:
        await put(backend, key, key.encode(), Attributes(content_type=f"text/{len(key)}"))
    await require_listed(backend, in_order(keys), "the keys listed")
    for key in keys:
        info, data = await get(backend, key)
        require_same(data, key.encode(), f"the bytes of {key!r}")
        require_same(info.key, key, "the key of a read")
        described = await backend.stat(key)
        require_same(described.key, key, "the key of stat")
        expected = Attributes(content_type=f"text/{len(key)}").kept(kept)
        require_same(described.attributes, expected, f"the attributes of {key!r}")
    for count, key in enumerate(keys, 1):
        await backend.delete(key)
        await require_refused(backend.stat(key), ObjectNotFoundError, f"stat of {key!r}, deleted")
        if count % 8 == 0:
            what = f"keys without {keys[:count]!r}"
            await require_listed(backend, in_order(keys[count:]), what)
    await require_listed(backend, [], "the keys listed after deleting all")


@registered
async def refuses_illegal_keys(backend: Backend) -> None:
    """Keys that are no keys are refused by every verb, and so are those it cannot hold."""
    undeclared = [key for key in ODD_KEYS if key not in declared(backend, ODD_KEYS)]
    for key in ILLEGAL_KEYS:
        shown = short(key)
        await require_refused(backend.stat(key), InvalidKeyError, f"stat of {shown}")
        await require_refused(backend.read(key), InvalidKeyError, f"read of {shown}")
        await require_refused(backend.delete(key), InvalidKeyError, f"delete of {shown}")
    for key in (*ILLEGAL_KEYS, *undeclared):
        await require_refused(put(backend, key, b""), InvalidKeyError, f"write of {short(key)}")


@registered
async def deletes_what_is_not_there(backend: Backend) -> None:
    """Deleting an absent key is no error and touches no other one."""
    keys = holdable(backend, ("a", "a/b/c", "b/"))
    for key in keys:
        await put(backend, key, b"")
    for key in ("absent", "a/b", "a/", "b", "A", "b//", "absent"):
        await backend.delete(key)
    await require_listed(backend, keys, "the keys after deleting absent ones")
    for key in (*keys, *keys):
        await backend.delete(key)
    await require_listed(backend, [], "the keys after deleting all twice")


@registered
async def says_not_found_of_absent_keys_alone(backend: Backend) -> None:
    """An absent key is positively not found, whatever lies beside it."""
    await put(backend, "a", b"")
    await put(backend, "b/c", b"")
    for key in ("absent", "a/", "a/b", "A", "b", "b/", "b/c/d", "b/c/"):
        await require_refused(backend.stat(key), ObjectNotFoundError, f"stat of {key!r}")
        await require_refused(backend.read(key), ObjectNotFoundError, f"read of {key!r}")
    for key in ("a", "b/c"):
        require_same((await get(backend, key))[1], b"", f"the bytes of {key!r}")


@registered
async def lists_in_byte_order_by_pages(backend: Backend) -> None:
    """Prefix, after and limit select from the keys in the order of their UTF-8 bytes."""
    names = ("a", "a.txt", "a/b", "a/b/c", "a//", "a0", "aé", "b/c", "B", "\uffff", "😀", "a/é")
    keys = in_order(holdable(backend, names))
    for key in keys:
        await put(backend, key, key.encode())
    for limit in (1, 2, 5, None):
        await require_listed(backend, keys, f"keys in pages of {limit}", limit=limit)
    for prefix in ("", "a", "a/", "a/b", "a//", "b/", "c", "zz", "a0x"):
        for after in ("", *keys, "a/", "a/b/", "a/zzz", "b", "\U0010ffff"):
            expected = [key for key in keys if key.startswith(prefix) and key > after]
            for limit in (1, 3, None):
                page = await backend.list(prefix=prefix, after=after, limit=limit)
                what = f"keys with {prefix!r} after {after!r}, at most {limit}"
                require_same([info.key for info in page.objects], expected[:limit], what)
                require_same(
                    page.truncated, len(expected) > len(page.objects), f"truncated: {what}"
                )


@registered
async def lists_what_stat_says(backend: Backend) -> None:
    """A listing has the size and the tag of the current version, and no attributes."""

    async def look() -> list[tuple[object, ...]]:
        found = (await backend.list()).objects
        return [(info.key, info.size, info.etag, info.attributes) for info in found]

    for data in (b"one", b"three"):
        written = await put(backend, "key", data, FULL)
        expected = [("key", len(data), written.etag, None)]
        await require_shown(backend, look, expected, "key, size, tag and attributes in a listing")
    await backend.delete("key")
    await require_listed(backend, [], "the keys after a delete")


@registered
async def limits_pages_as_declared(backend: Backend) -> None:
    """No page has more keys than were asked for, nor than are declared."""
    most_declared = backend.capabilities.page_keys_max
    keys = [f"{number:02}" for number in range(min(most_declared + 1, 20))]
    for key in keys:
        await put(backend, key, b"")
    await require_listed(backend, keys, "the keys listed")
    for limit in (1, 7, None, most_declared + 1):
        page = await backend.list(limit=limit)
        most = most_declared if limit is None else min(limit, most_declared)
        if len(page.objects) > most:
            fail(f"a page of {len(page.objects)} keys where at most {most} are allowed")
