"""What a demo run is asked to do, and how much of everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from crossfade.core.objects import Side

MIGRATION = "files"
PROCESSES = 2


class Sabotage(StrEnum):
    """What one side does wrong, below the backend port, in one process."""

    LOST = "lost"
    STALE = "stale"
    RESURRECT = "resurrect"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How a demo is run.

    Attributes:
        operations: at least so many, by at least ``users`` users in two processes.
        files: how many of the Python installation's files are there before anything starts.
        reads_at_target: reads that the target answers at each stage from 10 %, at least.
        in_flight: operations under way at once in each process.
        stages: the shares of the target, in percent; the rollback comes in the one named.
        lose_worker: whether the worker is killed in the middle of backfill.
        outages: the sides that fail at that stage, one after the other, before and after it.
        outage_seconds: how long each of them fails.
        sabotage: what one side does wrong; the run then has to fail.
        chaos: how many processes are killed at random moments.
        seed: what chance is drawn from; a new one where not given.
        keep: leave directories, catalog and logs for a look.
        folder: where everything lies; a new folder for temporary files where not given.
        report: where the report goes.
        minutes_max: the run is given up after so long.
        quiet: say nothing.
    """

    operations: int = 30_000
    users: int = 600
    files: int = 3_300
    reads_at_target: int = 1_000
    in_flight: int = 16
    stages: tuple[int, ...] = (0, 1, 10, 50, 100)
    rollback_at: int = 50
    lose_worker: bool = True
    outages: tuple[Side, ...] = (Side.TARGET, Side.SOURCE)
    outage_seconds: float = 4.0
    sabotage: Sabotage | None = None
    chaos: int = 0
    seed: int | None = None
    keep: bool = False
    folder: Path | None = None
    report: Path = field(default_factory=lambda: Path("demo-report.json"))
    minutes_max: float = 10.0
    quiet: bool = False


LEASE_SECONDS = 2
LATE_SECONDS_MAX = 5
LOOK_SECONDS_MAX = 2
"""Shorter than the defaults (30, 120, 30), so that recovery can be watched; the run says so."""
