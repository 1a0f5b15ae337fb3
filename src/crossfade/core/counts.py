"""How many of something, in words."""

from __future__ import annotations


def counted(count: int, singular: str, plural: str = "") -> str:
    """Return ``1 key``, ``2 keys``; the plural is the singular with an s where not given."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
