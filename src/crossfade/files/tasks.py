"""Task groups whose failure is the failure of a task, not a group of failures."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from crossfade.errors import CrossfadeError, InvariantError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskGroup

log = logging.getLogger("crossfade.files")


@asynccontextmanager
async def task_group() -> AsyncIterator[TaskGroup]:
    """Open a task group that raises a failure as it was raised, groups of the body's own included.

    Of several failures the one comes out that nothing may swallow (a bug, the end of the process),
    else the body's, else the first where all are Crossfade's own; the others are logged. Where
    none of that chooses one, the group of all is raised.
    """
    of_body: BaseException | None = None
    chosen: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            try:
                yield group
            except BaseException as error:
                of_body = error
                raise
    except BaseExceptionGroup as failures:
        chosen = _choose(failures, of_body)
    if chosen is not None:
        raise chosen  # Out here, where its context stays its own.


def _choose(failures: BaseExceptionGroup, of_body: BaseException | None) -> BaseException:
    """Return what comes out; the group itself holds what the tasks and the body raised."""
    found = failures.exceptions
    grave = [one for one in found if _is_grave(one)]
    if len(found) == 1:
        chosen = found[0]
    elif grave:
        chosen = grave[0] if len(grave) == 1 else failures
    elif of_body is not None and any(one is of_body for one in found):
        chosen = of_body
    elif all(isinstance(one, CrossfadeError) for one in found):
        chosen = found[0]
    else:
        chosen = failures
    if chosen is not failures:
        for one in found:
            if one is not chosen:
                log.error("a task failed too: %s", one, exc_info=one)
    return chosen


def _is_grave(failure: BaseException) -> bool:
    return isinstance(failure, InvariantError) or not isinstance(failure, Exception)
