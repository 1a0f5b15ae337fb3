"""Processes that end with the one that started them, also when that is killed.

``python -m crossfade.testing.bound PARENT COMMAND...`` becomes the command, bound to the process
with that number. It works on Linux; elsewhere the command is started all the same.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def bind_to_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone; what it executes stays bound.

    The parent is, for the kernel, the thread that started the process: it has to live as long.

    Args:
        parent: the number of the process that started this one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"the process {parent} that started this one is gone")


if __name__ == "__main__":
    bind_to_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - what it was told to become
