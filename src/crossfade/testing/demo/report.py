"""What a run says at its end: a table for people, and a file for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from rich.table import Table

from crossfade.testing.demo.options import LATE_SECONDS_MAX, LEASE_SECONDS, LOOK_SECONDS_MAX

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

KEYS = (
    "sides",
    "operations",
    "users",
    "objects_backfilled",
    "reads",
    "rollbacks",
    "recovered_intents",
    "fallbacks",
    "failed",
    "failed_without_fault",
    "slowest_ms",
    "open_at_end",
    "stale",
    "lost",
    "resurrected",
    "differences",
    "seconds",
    "promises_kept",
)


@dataclass(slots=True, kw_only=True)
class DemoReport:
    """What happened, and whether every promise was kept.

    Attributes:
        sides: what source and target are, as `--sides` takes it.
        reads: for each stage, the reads that each side answered.
        recovered_intents: the tokens of intents whose holder was killed or too slow.
        failed: operations that ended with an error; a refused condition is none.
        differences: keys that differ between the sides, or hold what nobody wrote.
        broken: a sentence for each promise that was broken, with its keys.
        missed: what the run set out to show and did not.
        notes: what else is to be said.
    """

    sides: str = ""
    operations: int = 0
    users: int = 0
    objects_backfilled: int = 0
    reads: dict[str, dict[str, int]] = field(default_factory=dict)
    rollbacks: int = 0
    recovered_intents: list[str] = field(default_factory=list)
    fallbacks: int = 0
    failed: int = 0
    failed_without_fault: int = 0
    slowest_ms: float = 0.0
    open_at_end: int = 0
    stale: int = 0
    lost: int = 0
    resurrected: int = 0
    differences: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def promises_kept(self) -> bool:
        """Whether no promise was broken."""
        return not self.broken

    @property
    def exit_code(self) -> int:
        """0 when every promise was kept and everything shown, 1 for the former, 2 the latter."""
        if self.broken:
            return 1
        return 2 if self.missed else 0

    def document(self) -> dict[str, object]:
        """Return what `demo-report.json` holds."""
        return {name: getattr(self, name) for name in KEYS}

    def write(self, path: Path) -> None:
        """Write `demo-report.json`."""
        data = msgspec.json.format(msgspec.json.encode(self.document()), indent=2)
        path.write_bytes(data + b"\n")


def show(report: DemoReport, console: Console) -> None:
    """Print the table, and below it what was broken or missed."""
    table = Table(title="What happened", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for label, value in _rows(report):
        table.add_row(label, value)
    console.print(table)
    console.print(
        f"Times in this run: lease_seconds={LEASE_SECONDS}, late_seconds_max={LATE_SECONDS_MAX}, "
        f"look_seconds_max={LOOK_SECONDS_MAX} (defaults: 30, 120, 30)",
        soft_wrap=True,
    )
    for line in report.notes:
        console.print(line, markup=False, soft_wrap=True)
    for line in report.broken:
        console.print(f"BROKEN: {line}", style="red", markup=False, soft_wrap=True)
    for line in report.missed:
        console.print(f"NOT SHOWN: {line}", style="yellow", markup=False, soft_wrap=True)
    if report.exit_code == 0:
        console.print("Every promise was kept.", style="green")


def _rows(report: DemoReport) -> list[tuple[str, str]]:
    rows = [
        ("source, target", report.sides.replace(",", ", ")),
        ("operations", f"{report.operations:,}"),
        ("users", f"{report.users:,}"),
        ("objects backfilled", f"{report.objects_backfilled:,}"),
    ]
    for stage, sides in report.reads.items():
        both = f"{sides['source']:,} / {sides['target']:,}"
        rows.append((f"reads at {stage} %, source / target", both))
    rows += [
        ("rollbacks", f"{report.rollbacks:,}"),
        ("recovered intents", f"{len(report.recovered_intents):,}"),
        ("fallbacks", f"{report.fallbacks:,}"),
        ("failed", f"{report.failed:,}"),
        ("failed without a fault", f"{report.failed_without_fault:,}"),
        ("slowest", f"{report.slowest_ms:,.0f} ms"),
        ("open at the end", f"{report.open_at_end:,}"),
        ("stale / lost / resurrected", f"{report.stale} / {report.lost} / {report.resurrected}"),
        ("differences", f"{report.differences:,}"),
        ("seconds", f"{report.seconds:,.1f}"),
    ]
    return rows
