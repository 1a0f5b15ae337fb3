"""What happened on the data plane, in the past tense."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossfade.core.objects import Side


class Role(StrEnum):
    """Why a side was asked."""

    SERVE = "serve"
    MIRROR = "mirror"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Fact:
    """One side was asked for one operation.

    Attributes:
        error: the code of the error (`CrossfadeError.code`), or None.
        seconds: from the request to its outcome.
    """

    migration: str
    operation: str
    side: Side
    role: Role
    error: str | None
    seconds: float
