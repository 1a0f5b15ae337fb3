"""What a demo run is asked to do, and how much of everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from crossfade.core.objects import Side

MIGRATION = "files"
PROCESSES = 2
IN_FLIGHT = 16
SERVERS_IN_FLIGHT = 6


class Sabotage(StrEnum):
    """What one side does wrong, below the backend port, in one process."""

    LOST = "lost"
    STALE = "stale"
    RESURRECT = "resurrect"
    CORRUPT = "corrupt"


class Kind(StrEnum):
    """What a side is: a directory, or a bucket of a server."""

    LOCAL = "local"
    S3 = "s3"


class Sides(StrEnum):
    """What source and target are."""

    LOCAL_LOCAL = "local,local"
    LOCAL_S3 = "local,s3"
    S3_S3 = "s3,s3"

    @property
    def source(self) -> Kind:
        """What the files are moved from."""
        return Kind(self.value.partition(",")[0])

    @property
    def target(self) -> Kind:
        """What they are moved to."""
        return Kind(self.value.partition(",")[2])

    @property
    def kinds(self) -> tuple[Kind, Kind]:
        """Both of them."""
        return self.source, self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How a demo is run.

    Attributes:
        sides: what source and target are.
        operations: at least so many, by at least ``users`` users in two processes.
        files: how many of the Python installation's files are there before anything starts.
        reads_at_target: reads that the target answers at each stage from 10 %, at least.
        in_flight: operations under way at once in each process; where not given, as many as the
            sides take without making callers wait too long.
        stages: the shares of the target, in percent; the rollback comes in the one named.
        lose_worker: whether the worker is killed in the middle of backfill.
        outages: the sides that fail at that stage, one after the other, before and after it: a
            server is killed.
        outage_seconds: how long each of them fails.
        sabotage: what one side does wrong; the run then has to fail.
        chaos: how many processes and servers are killed at random moments.
        seed: what chance is drawn from; a new one where not given.
        keep: leave directories, catalog and logs for a look.
        folder: where everything lies; a new folder for temporary files where not given.
        report: where the report goes.
        minutes_max: the run is given up after so long.
        quiet: say nothing.
    """

    sides: Sides = Sides.S3_S3
    operations: int = 30_000
    users: int = 600
    files: int = 3_300
    reads_at_target: int = 1_000
    in_flight: int | None = None
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
    minutes_max: float = 20.0
    quiet: bool = False

    @property
    def users_at_once(self) -> int:
        """How many users of one process do something at once.

        A server with more requests at once than it serves within `LOOK_SECONDS_MAX` would work for
        callers who have asked the other side meanwhile.
        """
        if self.in_flight is not None:
            return self.in_flight
        return SERVERS_IN_FLIGHT if Kind.S3 in self.sides.kinds else IN_FLIGHT


LEASE_SECONDS = 2
LATE_SECONDS_MAX = 5
LOOK_SECONDS_MAX = 2
"""Shorter than the defaults (30, 120, 30), so that recovery can be watched; the run says so."""
