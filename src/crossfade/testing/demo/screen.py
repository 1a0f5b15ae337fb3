"""What a run shows while it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TOLD_SECONDS = 5.0
"""How often a line is printed where no terminal shows what goes on."""


class Screen:
    """Lines for what happened, and one that changes for what is going on."""

    def __init__(self, *, quiet: bool) -> None:
        self.console = Console(quiet=quiet, highlight=False)
        self._status = self.console.status("Starting")
        self._began = time.monotonic()
        self._told = self._began

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def happened(self, text: str) -> None:
        """Print a line."""
        self._told = time.monotonic()
        self.console.print(f"{self.seconds:6.1f} s  {text}", markup=False, soft_wrap=True)

    def going_on(self, text: str) -> None:
        """Show what is going on; without a terminal now and then."""
        self._status.update(text)
        if not self.console.is_terminal and time.monotonic() >= self._told + TOLD_SECONDS:
            self.happened(f"… {text}")
