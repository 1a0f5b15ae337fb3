"""The worker of a run: recovery, mirrors and backfill, as `crossfade worker` and `backfill` do."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import anyio

from crossfade.errors import CrossfadeError
from crossfade.testing.demo.child import Child, child
from crossfade.testing.demo.oplog import Backfilled
from crossfade.testing.demo.options import MIGRATION

if TYPE_CHECKING:
    from crossfade.files.backfill_report import BackfillReport

AGAIN_SECONDS = 0.25


class Backfilling:
    """Backfill, again and again until every range is sealed."""

    def __init__(self, me: Child) -> None:
        self._me = me
        self._before = 0
        self._copied = 0

    async def go_on(self) -> None:
        """Backfill until everything is sealed, or it is time to end."""
        while not self._me.stopping.is_set():
            self._before = self._copied
            try:
                report = await self._me.xf.backfill(MIGRATION, on_progress=self._tell)
            except CrossfadeError as error:
                self._me.log.write(Backfilled(self._copied, ended=str(error)))
            else:
                ended = report.unsealed_reason
                self._copied = self._before + report.copied
                self._me.log.write(Backfilled(self._copied, report.finished, ended))
                if report.finished:
                    return
            with anyio.move_on_after(AGAIN_SECONDS):
                await self._me.stopping.wait()

    def _tell(self, report: BackfillReport) -> None:
        copied = self._before + report.copied
        if copied > self._copied:
            self._copied = copied
            self._me.log.write(Backfilled(copied))


async def work(root: str, name: str, seed: str) -> None:
    """Work until the run says stop."""
    async with child(root, name, seed) as me, anyio.create_task_group() as group:
        group.start_soon(Backfilling(me).go_on)
        await me.stopping.wait()
        group.cancel_scope.cancel()


def main() -> None:
    """Run as a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("name")
    parser.add_argument("seed")
    asked = parser.parse_args()
    anyio.run(work, asked.root, asked.name, asked.seed)


if __name__ == "__main__":
    main()
