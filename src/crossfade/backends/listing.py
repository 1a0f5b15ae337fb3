"""What every listing has in common."""

from __future__ import annotations


def page_size(limit: int | None, page_keys_max: int) -> int:
    """Return how many keys a page holds: at least one, or a listing would never go on."""
    return page_keys_max if limit is None else max(1, min(limit, page_keys_max))
