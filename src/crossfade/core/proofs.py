"""What a verification pass keeps of each key, and when the pass is a fresh proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core.counts import counted

if TYPE_CHECKING:
    from crossfade.core.records import MigrationRow


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


def refusal(row: MigrationRow) -> str:
    """Rule 9: say why the last verification pass is no fresh proof; "" when it is one."""
    if row.proof is None:
        return "no verification pass has run over all ranges"
    if row.proof.drift:
        return f"the last verification found {counted(row.proof.drift, 'difference')}"
    if row.proof.unconfirmed:
        return f"the last verification left {counted(row.proof.unconfirmed, 'key')} unconfirmed"
    if row.proof.begun_at <= row.changed_at:
        return "a range was sealed or repaired since the last verification began"
    return ""
