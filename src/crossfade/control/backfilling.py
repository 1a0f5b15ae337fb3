"""A run of backfill that can be watched, and stopped with a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from crossfade.control.workers import STOP_SIGNALS
from crossfade.core.steering import Step
from crossfade.errors import BackendError
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Callable

    from crossfade.files.backfill import Backfill
    from crossfade.files.backfill_report import BackfillReport
    from crossfade.setup.opened import Crossfade


class Watch:
    """How far a run is.

    Attributes:
        total: the keys that a run looks at, once they are counted; None until then.
    """

    def __init__(self) -> None:
        self.total: int | None = None

    def done(self, report: BackfillReport) -> int:
        """Return how many keys of the current pass are done.

        What was compared too soon after `begin` is gone over again, so that the report counts
        more keys than there are.
        """
        keys = (
            report.copied
            + report.same
            + report.again
            + report.opened
            + report.extras
            + report.damaged
            + report.failed_count
        )
        if not self.total or not keys:
            return keys
        return keys - self.total * ((keys - 1) // self.total)


async def backfill(
    xf: Crossfade,
    migration: str,
    *,
    on_progress: Callable[[BackfillReport, Watch], None] | None = None,
) -> tuple[BackfillReport, signal.Signals | None]:
    """Run backfill until it is done, or SIGINT or SIGTERM; then the keys under way are finished.

    Returns:
        What it did, and the signal that stopped it, if one did.

    Raises:
        LeaseHeldError: another process backfills this migration.
        AlreadyCompleteError: the migration is complete.
        BackendError: a side cannot be listed.
    """
    watch = Watch()

    def tell(report: BackfillReport) -> None:
        if on_progress is not None:
            on_progress(report, watch)

    run = xf.files(migration).backfill(on_progress=tell)
    await xf.require(migration, Step.BACKFILL)
    tell(run.report)
    heard: list[signal.Signals] = []
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async with task_group() as group:
            group.start_soon(_stop_by_signal, run, signals, heard)
            if on_progress is not None:
                group.start_soon(_count, xf, migration, watch)
            report = await run.run()
            group.cancel_scope.cancel()
    tell(report)
    return report, heard[0] if heard else None


async def _count(xf: Crossfade, migration: str, watch: Watch) -> None:
    """List beside the run what it has to go over: without a number there is no time left."""
    try:
        watch.total = (await xf.files(migration).backfill().plan()).listed
    except BackendError:
        # The run meets the same failure, and tells it.
        return


async def _stop_by_signal(
    run: Backfill, signals: AsyncIterator[signal.Signals], heard: list[signal.Signals]
) -> None:
    async for each in signals:
        heard.append(each)
        run.stop()
