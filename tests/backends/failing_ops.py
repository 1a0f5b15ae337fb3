"""File systems that fail, or whose process dies, at the n-th call; and one that is watched."""

from __future__ import annotations

import os
from typing import Any

from crossfade.backends.local import FileOps

CALLS = frozenset(name for name in vars(FileOps) if not name.startswith("_"))
HARMLESS = frozenset(("close", "flock"))
"""A lock that is not granted is waited for, and nothing is left to fail when a file is closed."""


class Died(BaseException):
    """The process was killed: nothing after it runs."""


class QuickOps(FileOps):
    """Sync nothing: a test that cuts no power need not wait for the disk."""

    @staticmethod
    def fsync(fd: int) -> None:  # type: ignore[override]
        """Do nothing."""


class FailingOps(QuickOps):
    """Count calls from when it is armed, and fail at one of them.

    Attributes:
        at: which call fails, from 0; None for none.
        done: whether the failing call does its work before it fails.
        number: the error; None to die, and stay dead.
    """

    def __init__(self, number: int | None, *, done: bool = False) -> None:
        self.number = number
        self.done = done
        self.at: int | None = None
        self.calls: list[str] = []

    def arm(self, at: int) -> None:
        """Count from now on, and fail at that call."""
        self.at = at
        self.calls = []

    def disarm(self) -> None:
        """Work from now on."""
        self.at = None

    def __getattribute__(self, name: str) -> Any:
        real = super().__getattribute__(name)
        at = super().__getattribute__("at")
        if name not in CALLS or name in HARMLESS or at is None:
            return real

        def call(*args: Any, **options: Any) -> Any:
            count = len(self.calls)
            self.calls.append(name)
            if count < at or (count > at and self.number is not None):
                return real(*args, **options)
            if self.done and count == at:
                real(*args, **options)
            if self.number is None:
                raise Died
            raise OSError(self.number, os.strerror(self.number))

        return call
