"""Which keys a server holds: each is put with bytes of its own, read back, and listed.

They lie so deep below the probe's folder that a server which takes them for paths stays in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from crossfade.backends.s3.client import Failure
from crossfade.backends.s3.probe_requests import OK, UnreadableListingError, said
from crossfade.core.objects import KEY_BYTES_MAX
from crossfade.core.probed import KeySeen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crossfade.backends.s3.probe_requests import Asker

FOLDER = "keys/in/here/"
KEYS = (
    *("plain", "a//b", "folder", "folder/", "nest", "nest/inner", "case", "CASE"),
    *("dots/../up", "dots/./here", "%2F", "%25", "a b+c", "back\\slash", "marks?*:|<>\"'&#"),
    *("\u00e9", "e\u0301", "日本", "😀", "tab\there", "line\nbreak", "\x01", "\x7f", "nul\x00"),
    "x" * 300,
)
"""Two of them with accents look the same, and are not."""
_SEGMENT = "y" * 199 + "/"
_LISTING_SECONDS_MAX = 5.0
_POLL_SECONDS = 0.25


def long_key(prefix: str) -> str:
    """Return a key that fills all bytes that a key may have behind a prefix."""
    room = KEY_BYTES_MAX - len(prefix.encode())
    text = _SEGMENT * (room // len(_SEGMENT) + 1)
    return text[: room - 1].rstrip("/").ljust(room, "z")


async def keys_seen(asker: Asker) -> tuple[KeySeen, ...]:
    """Try every key.

    Raises:
        BackendError: the server is away.
    """
    prefix = asker.client.address.prefix + asker.folder + FOLDER
    keys = (*KEYS, long_key(prefix))
    failed = await _put(asker, keys)
    for key in keys:
        if key not in failed:
            words = await _read(asker, key, keys)
            if words:
                failed[key] = words
    held = [key for key in keys if key not in failed]
    for key in await _unlisted(asker, held):
        failed[key] = "is not listed"
    return tuple(
        KeySeen(key=key, held=key not in failed, words=failed.get(key, "")) for key in keys
    )


def _bytes_of(key: str, keys: Sequence[str]) -> bytes:
    return b"%04d" % keys.index(key)


async def _put(asker: Asker, keys: Sequence[str]) -> dict[str, str]:
    failed = {}
    for key in keys:
        try:
            answer = await asker.send("PUT", FOLDER + key, body=_bytes_of(key, keys))
        except Failure as failure:
            if not failure.sent:
                # Nothing answers any more: that says nothing about the key.
                await asker.ask("HEAD", "plain")
            failed[key] = "is answered with a broken connection"
            continue
        if answer.status not in OK:
            failed[key] = f"is refused with {said(answer)}"
    return failed


async def _read(asker: Asker, key: str, keys: Sequence[str]) -> str:
    """Return what is wrong with a key that was taken; empty if it is held."""
    try:
        answer = await asker.send("GET", FOLDER + key)
    except Failure:
        return "is taken, and reading it breaks the connection"
    if answer.status not in OK:
        return f"is taken, and then answered with {said(answer)}"
    if answer.body == _bytes_of(key, keys):
        return ""
    others = [other for other in keys if _bytes_of(other, keys) == answer.body]
    return f"is taken for {ascii(others[0])[:24]}" if others else "comes back with other bytes"


async def _unlisted(asker: Asker, held: Sequence[str]) -> list[str]:
    """Return the keys that no listing shows, once it had time to."""
    missing = list(held)
    deadline = anyio.current_time() + _LISTING_SECONDS_MAX
    while True:
        try:
            found = set(await asker.listed(asker.folder + FOLDER))
        except UnreadableListingError:
            return await _unlisted_each(asker, held)
        missing = [key for key in held if key not in found]
        if not missing or anyio.current_time() > deadline:
            return missing
        await anyio.sleep(_POLL_SECONDS)


async def _unlisted_each(asker: Asker, held: Sequence[str]) -> list[str]:
    missing = []
    for key in held:
        try:
            found = await asker.listed(asker.folder + FOLDER + key)
        except UnreadableListingError:
            found = {}
        if "" not in found:
            missing.append(key)
    return missing
