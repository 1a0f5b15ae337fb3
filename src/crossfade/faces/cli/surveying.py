"""`check SOURCE TARGET`: what a survey found, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.control.checkup import Level
from crossfade.control.survey.report import SurveyReport, Verdict
from crossfade.control.survey.surveying import Options, survey
from crossfade.core.counts import counted
from crossfade.core.surroundings import Known
from crossfade.errors import ConfigurationError
from crossfade.faces.cli.exits import Exit
from crossfade.faces.cli.output import Answer, Output
from crossfade.faces.cli.probe_table import show_probe
from crossfade.faces.cli.progress import survey_bar
from crossfade.faces.cli.words import bytes_text, key_text, seconds_text
from crossfade.setup.prices import load_prices

if TYPE_CHECKING:
    from crossfade.control.survey.report import SideReport, Times
    from crossfade.control.survey.troubles import Trouble
    from crossfade.core.bills import Bill
    from crossfade.core.estimates import Estimate
    from crossfade.faces.cli.options import Common

_CODES = {
    Verdict.READY: Exit.DONE,
    Verdict.LOSSES: Exit.LOSSES,
    Verdict.NOT_READY: Exit.PROBLEMS,
    Verdict.UNKNOWN: Exit.INTERRUPTED,
}
_STYLES = {Verdict.READY: "green", Verdict.NOT_READY: "red"}
_ORDER = (Level.PROBLEM, Level.WARNING, Level.NOTE)
_PREFIXES_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyWanted:
    """What the command line asks of a survey."""

    probe: bool = False
    limit: int | None = None
    seconds: float | None = None
    prices: Path | None = None


async def check_places(source: str, target: str, wanted: SurveyWanted, common: Common) -> Answer:
    """Survey two places, and answer with the verdict's exit code."""
    for name, number in (("--limit", wanted.limit), ("--seconds", wanted.seconds)):
        if number is not None and not 0 < number < float("inf"):
            message = f"{name} is {number:g}"
            raise ConfigurationError(message, hint="give a number above 0")
    options = Options(
        prices=load_prices(wanted.prices),
        probe=wanted.probe,
        keys_max=wanted.limit,
        listing_seconds_max=wanted.seconds,
    )
    output = common.output()
    with survey_bar(output) as tell:
        report = await survey(source, target, options, tell)
    code = _CODES[report.verdict]
    if report.stopped.startswith("stopped by"):
        code = Exit.TERMINATED if report.stopped.endswith("SIGTERM") else Exit.INTERRUPTED
    return Answer(data=report, show=lambda said: _show(said, report), code=code)


def _show(output: Output, report: SurveyReport) -> None:
    for name, one in (("source", report.source), ("target", report.target)):
        _show_side(output, name, one)
    if report.probe is not None:
        output.line("what the target does:", "bold")
        show_probe(output, report.probe)
    output.line("what it takes:", "bold")
    _show_times(output, report.times)
    for name, bill in (("source", report.bills.source), ("target", report.bills.target)):
        output.line(f"  {name}: {_bill_text(bill, report.currency)}")
    output.line()
    for trouble in sorted(report.troubles, key=lambda one: _ORDER.index(one.level)):
        _show_trouble(output, trouble)
    looked = f"{counted(report.requests, 'request')} in {seconds_text(report.seconds)}"
    if report.stopped:
        output.warn(f"{report.stopped}: what follows holds for what was seen")
    output.line(
        f"looked closely at {report.looked:,} of {report.source.objects:,} objects; {looked}"
    )
    output.line(f"verdict: {report.verdict}", f"bold {_STYLES.get(report.verdict, 'yellow')}")
    output.line(_next(report))


def _show_side(output: Output, name: str, one: SideReport) -> None:
    size = f"{counted(one.objects, 'object')}, {bytes_text(one.bytes)}"
    least = "" if one.whole else "at least "
    output.line(f"{name} {one.place}: {least}{size}", "bold")
    if one.objects:
        rows = [
            (key_text(amount.prefix), f"{amount.objects:,}", bytes_text(amount.bytes))
            for amount in one.largest_prefixes[:_PREFIXES_SHOWN]
        ]
        if one.beside:
            rows.append(("(below no prefix)", f"{one.beside:,}", ""))
        output.table((f"largest of {one.prefixes:,} prefixes", "objects>", "bytes>"), rows)
        sizes = [
            (
                "larger" if each.up_to is None else f"up to {bytes_text(each.up_to)}",
                f"{each.objects:,}",
                bytes_text(each.bytes),
            )
            for each in one.sizes
        ]
        output.table(("sizes", "objects>", "bytes>"), sizes)
    for known in Known:
        some = [each for each in one.conditions if each.known is known]
        if some and known is Known.YES:
            for each in some:
                output.line(f"  {each.title}: {each.words or known}")
        elif some:
            output.line(f"  {known}: {', '.join(each.title for each in some)}")
    if one.disk is not None:
        free, total = bytes_text(one.disk.free_bytes), bytes_text(one.disk.total_bytes)
        output.line(f"  disk: {free} free of {total}")


def _show_times(output: Output, times: Times) -> None:
    sample = f"{counted(times.reads, 'read')} of {bytes_text(times.read_bytes)}"
    how = (
        f"{counted(times.writes, 'write')}"
        if times.writes
        else "nothing written (a guess, see --probe)"
    )
    for name, estimate in (("copy", times.copy), ("one proof", times.proof)):
        output.line(f"  {name}: {_estimate_text(estimate)}")
    output.line(f"    measured: {sample}, {how}, {times.at_once} at once")


def _estimate_text(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not known: too little could be measured"
    least, most = seconds_text(estimate.least), seconds_text(estimate.most)
    return f"about {seconds_text(estimate.seconds)}, likely {least} to {most}"


def _bill_text(bill: Bill, currency: str) -> str:
    usage = bill.usage
    asked = f"{usage.writes:,} writes and listings, {usage.reads:,} reads"
    if usage.bytes_out:
        asked += f", {bytes_text(usage.bytes_out)} out"
    if bill.price is None or bill.cost is None or bill.month is None:
        return f"{asked}; no price is known: give a table with --prices"
    if not bill.price.as_of:
        return f"{asked}; nothing is charged"
    return (
        f"{asked}; about {bill.cost:,.2f} {currency} once, {bill.month:,.2f} {currency} a month "
        f"(prices of {bill.price.as_of}: {bill.price.name})"
    )


def _show_trouble(output: Output, trouble: Trouble) -> None:
    side = f"{trouble.side}: " if trouble.side else ""
    style = "red" if trouble.level is Level.PROBLEM else ""
    output.line(f"{trouble.level}: {side}{trouble.message}", style)
    if trouble.examples:
        output.line(f"  for example {', '.join(key_text(key) for key in trouble.examples)}")
    if trouble.hint:
        output.line(f"  {trouble.hint}")


def _next(report: SurveyReport) -> str:
    match report.verdict:
        case Verdict.READY:
            return "Next: `crossfade init`, and write both URLs into crossfade.toml."
        case Verdict.LOSSES:
            return (
                "Decide whether you can live with each warning, or do what it says; then "
                "`crossfade init`, and write both URLs into crossfade.toml."
            )
        case Verdict.NOT_READY:
            return "Do what each problem says, and check again."
        case _:
            return "Check again, and let it come to its end, or give --limit."
