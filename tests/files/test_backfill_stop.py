from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

import crossfade
from crossfade.files.bodies import BytesBody as Body
from crossfade.setup.sides import forget_memory_sides

if TYPE_CHECKING:
    from crossfade.files.backfill_report import BackfillReport

pytestmark = pytest.mark.anyio


async def test_a_run_that_waits_for_older_writers_stops_at_once() -> None:
    forget_memory_sides()
    raw = {
        "crossfade": {"enabled": True, "late_seconds_max": 3_600},
        "migrations": {"m": {"enabled": True, "source": "memory://a", "target": "memory://b"}},
    }
    reports: list[BackfillReport] = []
    async with crossfade.open(raw, environ={}) as xf:
        await xf.files("m").engine.sides.source.write("k", Body(b"1"), crossfade.Attributes())
        await xf.begin("m")
        waiting = anyio.Event()
        run = xf.files("m").backfill(on_progress=lambda _: waiting.set())

        async def go() -> None:
            reports.append(await run.run())

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(go)
                await waiting.wait()
                await anyio.wait_all_tasks_blocked()
                run.stop()
    assert reports[0].stopped
    assert reports[0].copied == 1
