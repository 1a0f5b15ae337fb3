"""What a verification pass keeps of each key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofEntry:
    """One key that was found the same on both sides.

    Attributes:
        sha256, size: of the bytes; both sides' entity tags are those that were read.
        proved_at: seconds since 1970.
    """

    key: str
    source_tag: str
    target_tag: str
    sha256: str
    size: int
    proved_at: float
