"""The worker: recovery and the copier of every migration, until it is told to stop."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from crossfade.core.facts import Role
from crossfade.core.records import Operation
from crossfade.core.settings import Workers
from crossfade.setup.opened import open as open_crossfade

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.facts import Fact
    from crossfade.setup.configuration import Configuration
    from crossfade.setup.opened import Crossfade

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkReport:
    """What a worker did.

    Attributes:
        copied: how many copies and deletes the other side took.
        recovered: how many intents were ended whose holders were gone.
        failed: how much work ended with an error that is not Crossfade's own; the log has it, and
            the keys stay open.
    """

    migrations: tuple[str, ...]
    copied: int
    recovered: int
    failed: int
    seconds: float


class _Copies:
    """Counts what mirrors and recovery brought to the other side."""

    def __init__(self) -> None:
        self.count = 0

    def observe(self, fact: Fact) -> None:
        """Hear what a side was asked."""
        changes = fact.operation in (Operation.PUT, Operation.DELETE)
        self.count += fact.role is Role.MIRROR and changes and fact.error is None


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
    began, copies = anyio.current_time(), _Copies()
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async with open_crossfade(configuration, workers=Workers.INLINE, observer=copies) as xf:
            if on_started is not None:
                on_started(xf)
            async for _ in signals:
                break
    names = tuple(configuration.migrations)
    files = [xf.files(name) for name in names]
    return WorkReport(
        migrations=names,
        copied=copies.count,
        recovered=sum(len(each.recovery.recovered) for each in files),
        failed=sum(each.engine.background.failed for each in files),
        seconds=anyio.current_time() - began,
    )
