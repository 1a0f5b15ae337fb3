"""Processes that kill themselves at a named point of the data plane, as a crash would.

``CROSSFADE_KILL_AT=copier_after_mark:40`` sends SIGKILL to the process when it stands at that
point for the 40th time: nothing is flushed, closed or cancelled.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from crossfade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

KILL_AT_VARIABLE = "CROSSFADE_KILL_AT"

KILL_POINTS = (
    "after_mark",
    "before_request",
    "after_request",
    "after_announce",
    "before_commit",
    "after_put_before_commit",
    "copier_staged",
    "copier_after_mark",
    "copier_before_commit",
)
"""Every point at which a process that holds an intent can be killed."""


class KillProbe:
    """A `Probe` that kills the process at one point; without one it does nothing."""

    def __init__(self, kill_at: str = "") -> None:
        self._name = ""
        self._left = 0
        if kill_at:
            self.arm(kill_at)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> KillProbe:
        """Read the point from ``CROSSFADE_KILL_AT``."""
        return cls((os.environ if environ is None else environ).get(KILL_AT_VARIABLE, ""))

    def arm(self, kill_at: str) -> None:
        """Kill from now on at the nth time at a point, ``name:nth``.

        Raises:
            ConfigurationError: no such point, or no number from 1.
        """
        name, _, nth = kill_at.partition(":")
        if name not in KILL_POINTS or not (nth.isdecimal() and int(nth)):
            message = f"{KILL_AT_VARIABLE} is {kill_at!r}, which is no point to be killed at"
            hint = f"write one of {', '.join(KILL_POINTS)}, a colon and a number from 1"
            raise ConfigurationError(message, hint=hint)
        self._name, self._left = name, int(nth)

    def reached(self, name: str) -> None:
        """Ignore it."""

    async def point(self, name: str) -> None:
        """Stand at a point, or die at it."""
        if name != self._name:
            return
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
