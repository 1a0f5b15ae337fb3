"""Keys in the byte order of UTF-8, which is the order of Python's strings."""

from __future__ import annotations

SURROGATES = range(0xD800, 0xE000)
LAST = 0x10FFFF


def end_of_prefix(prefix: str) -> str | None:
    """Return the smallest key greater than every key with the prefix; None when there is none."""
    for place in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[place])
        if code == LAST:
            continue
        following = SURROGATES.stop if code + 1 in SURROGATES else code + 1
        return prefix[:place] + chr(following)
    return None


def start_after(key: str) -> str:
    """Return the smallest key greater than this one."""
    return key + "\0"


def key_before(start: str) -> str:
    """Return the key that a bound made by `start_after` came from; "" for the first bound."""
    return start.removesuffix("\0")


def least(one: str | None, other: str | None) -> str | None:
    """Return the smaller of two upper bounds; None is no bound."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
