"""How long one side is waited for, and letting go of what it answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from crossfade.errors import BackendUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from crossfade.ports import ObjectStream

T = TypeVar("T")

CLOSE_SECONDS_MAX = 5.0
"""How long letting go of a response may take where nobody can cancel it."""


def share_until(now: float, deadline: float, seconds_max: float = float("inf")) -> float:
    """Return until when a side may take after which another may be asked: half of what is left."""
    return now + min((deadline - now) / 2, seconds_max)


async def ask_until(until: float | None, asked: Awaitable[T], *, operation: str, key: str) -> T:
    """Wait for an answer until then; None leaves that to whoever is around.

    Raises:
        BackendUnavailableError: it did not come.
    """
    if until is None:
        return await asked
    with anyio.CancelScope(deadline=until):
        return await asked
    message = "the side did not answer in its share of the timeout"
    raise BackendUnavailableError(message, operation=operation, key=key)


async def let_go(stream: ObjectStream) -> None:
    """Close a response although its reader is being cancelled."""
    with anyio.move_on_after(CLOSE_SECONDS_MAX, shield=True):
        await stream.aclose()
