"""What a run of backfill did, and how it tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True, kw_only=True)
class BackfillReport:
    """What a run did; ``failed`` and ``left`` name at most `Limits.keys_listed_max` keys, and why.

    Attributes:
        same: keys that the target held already; ``again`` keys that were counted before, and were
            gone over once more because they were compared too early to count.
        common, unlike: of what a plan listed, keys that the target holds too, and those of them
            with another size: a run writes the source's object over them.
        halted: why a run that could not go on ended early, or empty.
        failed_count: keys whose copy failed; each stays open.
        left_count: keys that another process holds, or that are in doubt, after the wait for them.
        marked: open keys that `repair` decides on.
        waiting: keys that a run waits for at its end, ``waiting_seconds`` at most.
        settling_seconds: for how long a run waits before it compares once more; requests that
            were sent before `begin` may land until then.
    """

    listed: int = 0
    listed_bytes: int = 0
    common: int = 0
    unlike: int = 0
    copied: int = 0
    copied_bytes: int = 0
    same: int = 0
    again: int = 0
    opened: int = 0
    extras: int = 0
    damaged: int = 0
    sealed_chunks: int = 0
    unsealed_reason: str = ""
    stopped: bool = False
    halted: str = ""
    failed: dict[str, str] = field(default_factory=dict)
    failed_count: int = 0
    left: dict[str, str] = field(default_factory=dict)
    left_count: int = 0
    marked: int = 0
    waiting: int = 0
    waiting_seconds: float = 0.0
    settling_seconds: float = 0.0
    position: str = ""
    seconds: float = 0.0

    @property
    def sealed(self) -> bool:
        """Whether the run went over everything, and every range is sealed."""
        return not self.unsealed_reason and not self.stopped and not self.halted

    @property
    def finished(self) -> bool:
        """Whether every range is sealed and nothing that was open at its end stayed so."""
        return self.sealed and not (self.failed_count or self.left_count or self.marked)


class OnProgress(Protocol):
    """Hears how far a run is, after each key."""

    def __call__(self, report: BackfillReport) -> None:
        """Look at the report so far; it goes on changing."""
