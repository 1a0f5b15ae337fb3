"""How often and after which pauses a request is repeated: exponential, with jitter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from crossfade.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_INITIAL_SECONDS = 0.05
WAIT_SECONDS_MAX = 2.0


class AgainError(Exception):
    """The attempt before this loop failed, or this one did: wait, and go on."""


def is_retryable(error: BaseException) -> bool:
    """Tell whether the same request may succeed later."""
    return isinstance(error, AgainError) or (isinstance(error, BackendError) and error.retryable)


def retrying(on: Callable[[BaseException], bool], attempts: int) -> AsyncRetrying:
    """Return the attempts of a loop whose first request was made before it.

    The first attempt only raises `AgainError`, so that the pause comes before the second: a
    request that succeeds at once never pays for the loop.
    """
    return AsyncRetrying(
        retry=retry_if_exception(on),
        stop=stop_after_attempt(attempts),
        # Not `wait_exponential_jitter`: its arguments are other ones from release to release.
        wait=wait_exponential(multiplier=WAIT_INITIAL_SECONDS, max=WAIT_SECONDS_MAX)
        + wait_random(0, WAIT_INITIAL_SECONDS),
        sleep=anyio.sleep,
        reraise=True,
    )
