"""The figures as tables, or as one JSON document."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.comparisons import Row
    from benchmarks.measuring import Spread
    from benchmarks.rates import Rate


def machine(folder: Path) -> dict[str, str | float]:
    """Say what the figures were taken on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "file_system": file_system(folder),
        "load_at_start": round(os.getloadavg()[0], 1),
    }


def file_system(folder: Path) -> str:
    """Return the kind of file system that a folder is on; "" where the system does not say."""
    try:
        with open("/proc/mounts", encoding="utf-8") as mounts:  # noqa: PTH123 - no file of ours
            found = [line.split()[1:3] for line in mounts]
    except OSError:
        return ""
    path = f"{folder.resolve()}/"
    points = [
        (len(point), kind) for point, kind in found if path.startswith(point.rstrip("/") + "/")
    ]
    return max(points, default=(0, ""))[1]


def as_json(about: dict[str, str | float], rows: Sequence[Row], rates: Sequence[Rate]) -> None:
    document = {"machine": about, "comparisons": rows, "rates": rates}
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def as_tables(about: dict[str, str | float], rows: Sequence[Row], rates: Sequence[Rate]) -> None:
    console = Console()
    console.print(" · ".join(f"{name} {value}" for name, value in about.items()))
    console.print(
        "The median of rounds by turns (lowest to highest). Beside a call without Crossfade: "
        "1.0 is as fast, 0.5 half as fast."
    )
    for operation in dict.fromkeys(row.operation for row in rows):
        console.print(_comparisons(operation, [r for r in rows if r.operation == operation]))
    if rates:
        console.print(_rates(rates))


def _comparisons(operation: str, rows: Sequence[Row]) -> Table:
    table = Table(title=operation)
    table.add_column("sides")
    table.add_column("in flight", justify="right")
    table.add_column("way", no_wrap=True)
    names = dict.fromkeys(beside.than for row in rows for beside in row.beside)
    for name in ("µs", "CPU µs", *(f"{o}beside {n}" for n in names for o in ("", "CPU "))):
        table.add_column(name, justify="right")
    group = None
    for row in rows:
        if group not in (None, (row.sides, row.in_flight)):
            table.add_section()
        group = (row.sides, row.in_flight)
        shares = [shown(one) for beside in row.beside for one in (beside.wall, beside.cpu)]
        costs = [shown(one, 1e6) for one in (row.seconds, row.cpu_seconds)]
        table.add_row(row.sides, str(row.in_flight), row.way, *costs, *shares)
    return table


def _rates(rates: Sequence[Rate]) -> Table:
    table = Table(title="What a call pays in Crossfade itself")
    table.add_column("what")
    table.add_column("in flight", justify="right")
    table.add_column("", justify="right")
    table.add_column("unit")
    for one in rates:
        table.add_row(one.what, str(one.in_flight), shown(one.value), one.unit)
    return table


def shown(found: Spread, factor: float = 1.0) -> str:
    values = (found.median * factor, found.lowest * factor, found.highest * factor)
    middle, low, high = (f"{value:,.2f}" if value < 10 else f"{value:,.0f}" for value in values)
    return f"{middle} ({low} to {high})"
