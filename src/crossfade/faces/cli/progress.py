"""Progress for whoever watches a terminal; nothing where nobody does."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from crossfade.core.counts import counted
from crossfade.faces.cli.words import bytes_text, seconds_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    from crossfade.control.backfilling import Watch
    from crossfade.control.survey.surveying import Progress as SurveyProgress
    from crossfade.faces.cli.output import Output
    from crossfade.files.backfill_report import BackfillReport
    from crossfade.files.verification import VerificationReport

    OnBackfill = Callable[[BackfillReport, Watch], None]
    OnSurvey = Callable[[SurveyProgress], None]
    OnVerify = Callable[[VerificationReport], None]

_REFRESHES_PER_SECOND = 4


class RateColumn(TextColumn):
    """Keys per second, over the last seconds."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """Return the rate, or a dash while it is not known."""
        speed = task.finished_speed or task.speed
        self.text_format = "-/s" if speed is None else f"{speed:,.0f}/s"
        return super().render(task)


@contextmanager
def backfill_bar(output: Output) -> Iterator[OnBackfill]:
    """Show a bar with rate and time left; the latter once the keys are counted."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    with _progress(output, *columns) as progress:
        task = progress.add_task("backfill", total=None, words="")
        noted = _Noted(output)

        def tell(report: BackfillReport, watch: Watch) -> None:
            words = [bytes_text(report.copied_bytes), report.unsealed_reason, _wait(report)]
            text = "; ".join(part for part in words if part)
            progress.update(task, completed=watch.done(report), total=watch.total, words=text)
            noted.tell(_wait(report))

        yield tell


class _Noted:
    """Says once, where no bar is shown, what a run waits for."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._waits = output.json or output.err.is_terminal

    def tell(self, wait: str) -> None:
        if wait and not self._waits:
            self._output.note(wait)
        self._waits = bool(wait) or self._output.json or self._output.err.is_terminal


def _wait(report: BackfillReport) -> str:
    """Say what a run waits for, and how long that may take; empty while it works."""
    if report.settling_seconds:
        return (
            f"waiting {seconds_text(report.settling_seconds)} for requests that were sent before "
            "`begin` and may still land; then everything is compared once more"
        )
    if report.waiting:
        keys = counted(report.waiting, "open key")
        return (
            f"waiting for {keys}, held by another process or in doubt, "
            f"at most {seconds_text(report.waiting_seconds)}"
        )
    return ""


@contextmanager
def verify_bar(output: Output) -> Iterator[OnVerify]:
    """Show how many keys and bytes were compared."""
    columns = (SpinnerColumn(), TextColumn("{task.fields[words]}"), TimeElapsedColumn())
    with _progress(output, *columns) as progress:
        task = progress.add_task("verify", total=None, words="")

        def tell(report: VerificationReport) -> None:
            # A chunk's keys are judged when all of it is read, so the bytes run ahead.
            judged = f"{report.compared:,} keys the same, {report.differences:,} different so far"
            progress.update(task, words=f"{bytes_text(report.bytes)} read; {judged}")

        yield tell


@contextmanager
def survey_bar(output: Output) -> Iterator[OnSurvey]:
    """Show what a survey does, and how many keys and bytes it has listed."""
    columns = (SpinnerColumn(), TextColumn("{task.fields[words]}"), TimeElapsedColumn())
    with _progress(output, *columns) as progress:
        task = progress.add_task("check", total=None, words="")

        def tell(done: SurveyProgress) -> None:
            listed = f"{done.objects:,} keys, {bytes_text(done.bytes)}"
            progress.update(task, words=f"{done.doing}; {listed}")

        yield tell


def _progress(output: Output, *columns: ProgressColumn) -> Progress:
    return Progress(
        *columns,
        console=output.err,
        transient=True,
        refresh_per_second=_REFRESHES_PER_SECOND,
        disable=output.json or not output.err.is_terminal,
    )
