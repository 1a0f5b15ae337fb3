"""What surrounds the objects of a side: rules and settings of its bucket, its disk, its rights."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Known(StrEnum):
    """Whether something is so; a server that does not say leaves it unknown, which is not no."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


TITLES = {
    "versioning": "versioning",
    "object_lock": "object lock",
    "expires": "rules that remove objects",
    "archives": "rules that archive objects",
    "aborts_uploads": "rules that end uploads",
    "cors": "CORS rules",
    "public": "public access",
    "encryption": "encryption",
}
"""What conditions are called where people read them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing about a side: ``words`` say what it is, or why it is not known."""

    name: str
    known: Known
    words: str = ""

    @property
    def title(self) -> str:
        """Return what it is called where people read it."""
        return TITLES.get(self.name, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Room on a file system: bytes, and files; None where it does not count them."""

    free_bytes: int
    total_bytes: int
    free_files: int | None
