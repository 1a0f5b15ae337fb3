"""Signals of a command: SIGTERM ends it as Ctrl-C does, and a question hears Ctrl-C at once."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminated:
    """Whether SIGTERM, and not Ctrl-C, ended this process's command."""

    def __init__(self) -> None:
        self.seen = False

    def listen(self) -> None:
        """End the command at SIGTERM as at Ctrl-C, where it does not listen for itself."""
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, *_: object) -> None:
        self.seen = True
        signal.raise_signal(signal.SIGINT)


TERMINATED = Terminated()


@contextmanager
def hears_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt at once: an event loop would hear it only after a blocking read."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
