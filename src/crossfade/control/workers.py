"""The worker: recovery and the copier of every migration, until it is told to stop."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from crossfade.core.settings import Workers
from crossfade.setup.opened import open as open_crossfade

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.setup.configuration import Configuration
    from crossfade.setup.opened import Crossfade

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkReport:
    """What a worker did.

    Attributes:
        recovered: how many intents were ended whose holders were gone.
        failed: how much work ended with an error that is not Crossfade's own; the log has it, and
            the keys stay open.
    """

    migrations: tuple[str, ...]
    recovered: int
    failed: int
    seconds: float


async def work(
    configuration: Configuration, *, on_started: Callable[[Crossfade], None] | None = None
) -> WorkReport:
    """Recover and copy until SIGTERM or SIGINT; what is under way then is drained.

    Args:
        configuration: every migration of it is worked on.
        on_started: called once everything runs.

    Raises:
        StoreError: the catalog cannot be opened.
        BackendError: a side of a migration that has not begun is away.
    """
    began = anyio.current_time()
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async with open_crossfade(configuration, workers=Workers.INLINE) as xf:
            if on_started is not None:
                on_started(xf)
            async for _ in signals:
                break
    names = tuple(configuration.migrations)
    files = [xf.files(name) for name in names]
    return WorkReport(
        migrations=names,
        recovered=sum(len(each.recovery.recovered) for each in files),
        failed=sum(each.engine.background.failed for each in files),
        seconds=anyio.current_time() - began,
    )
