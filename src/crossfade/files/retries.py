"""How often and after which pauses a request is repeated: exponential, with jitter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stamina

from crossfade.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from stamina import Attempt

WAIT_INITIAL_SECONDS = 0.05
WAIT_SECONDS_MAX = 2.0


class AgainError(Exception):
    """The attempt before this loop failed, or this one did: wait, and go on."""


def is_retryable(error: Exception) -> bool:
    """Tell whether the same request may succeed later."""
    return isinstance(error, AgainError) or (isinstance(error, BackendError) and error.retryable)


def retrying(on: Callable[[Exception], bool], attempts: int) -> AsyncIterator[Attempt]:
    """Return the attempts of a loop whose first request was made before it.

    The first attempt only raises `AgainError`, so that the pause comes before the second: a
    request that succeeds at once never pays for the loop.
    """
    return stamina.retry_context(
        on=on,
        attempts=attempts,
        timeout=None,
        wait_initial=WAIT_INITIAL_SECONDS,
        wait_max=WAIT_SECONDS_MAX,
    ).__aiter__()
