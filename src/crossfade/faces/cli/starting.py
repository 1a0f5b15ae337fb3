"""The commands of the first minutes: `init` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from crossfade.control import checkup
from crossfade.control.checkup import CheckReport, Level
from crossfade.core.counts import counted
from crossfade.faces.cli.exits import Exit, UsageError
from crossfade.faces.cli.options import COMMON, Common
from crossfade.faces.cli.output import Answer, Output
from crossfade.faces.cli.probe_table import show_probe
from crossfade.faces.cli.surveying import SurveyWanted, check_places
from crossfade.setup.starting import write_example

_MARKS = {Level.PROBLEM: "problem", Level.WARNING: "warning", Level.NOTE: "note"}


def init(
    folder: Path = Path(),
    /,
    *,
    force: Annotated[bool, Parameter(negative="")] = False,
    common: Common = COMMON,
) -> Answer:
    """Write a commented crossfade.toml to start from, and keep it out of git.

    Example: `crossfade init`, then edit crossfade.toml, then `crossfade check`.

    Args:
        folder: where to write.
        force: write over files that are there.
    """
    _ = common
    started = write_example(folder, force=force)

    def show(output: Output) -> None:
        for path in started.written:
            output.line(f"wrote {path}")
        for name in started.ignored:
            output.line(f"added {name} to {folder / '.gitignore'}")
        output.line("Name your source and target in it, then run `crossfade check`.")

    data = {"written": [str(path) for path in started.written], "ignored": started.ignored}
    return Answer(data=data, show=show)


async def check(
    source: str | None = None,
    target: str | None = None,
    /,
    *,
    probe: Annotated[bool, Parameter(negative="")] = False,
    limit: int | None = None,
    seconds: float | None = None,
    prices: Path | None = None,
    common: Common = COMMON,
) -> Answer:
    """Check a configuration, or two places before there is one, and say what stands in the way.

    Without arguments: checks the configuration, and lists and probes both sides of each migration.
    A directory gets a folder `.crossfade`, and a bucket is written to below `.crossfade/probe/`,
    which is removed again. Nothing is copied.

    With two URLs, written as in a configuration: says what a move from one to the other would
    lose, cost and take. Nothing is written, but with --probe below `.crossfade/` of the target.

    Example: `crossfade check --json`; and before anything else
    `crossfade check local:///srv/files "s3://bucket?endpoint=https://host:9000"`

    Args:
        source: the URL of the place to move from.
        target: the URL of the place to move to.
        probe: find out by doing what the target can, and how fast it writes.
        limit: list so many keys of each place, and judge by them.
        seconds: list for so long, and judge by what was seen.
        prices: a table of prices in place of the one that comes with Crossfade.
    """
    wanted = SurveyWanted(probe=probe, limit=limit, seconds=seconds, prices=prices)
    if source is not None and target is not None:
        return await check_places(source, target, wanted, common)
    if source is not None:
        message = "check takes two URLs, or none"
        raise UsageError(message, "give `crossfade check SOURCE TARGET`")
    if wanted != SurveyWanted():
        message = "--probe, --limit, --seconds and --prices go with two URLs"
        raise UsageError(message, "give `crossfade check SOURCE TARGET`")
    report = await checkup.check(common.load())
    data = {
        "ok": not report.problems,
        "migrations": report.migrations,
        "findings": report.findings,
        "probes": report.probes,
    }
    code = Exit.PROBLEMS if report.problems else Exit.DONE
    return Answer(data=data, show=lambda output: _show(output, report), code=code)


def _show(output: Output, report: CheckReport) -> None:
    for probe in report.probes:
        output.line(f"{probe.migration}: {probe.side} {probe.report.location}", "bold")
        show_probe(output, probe.report)
    for finding in report.findings:
        where = f"{finding.migration}: " if finding.migration else ""
        style = "red" if finding.level is Level.PROBLEM else ""
        output.line(f"{_MARKS[finding.level]}: {where}{finding.message}", style)
    checked = counted(len(report.migrations), "migration")
    if report.problems:
        output.line(f"{checked} checked, {counted(report.problems, 'problem')}")
    else:
        output.line(f"{checked} checked: nothing stands in the way")
