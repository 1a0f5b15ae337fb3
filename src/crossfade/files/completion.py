"""Complete: drop the way back, once everything is closed and freshly proved (rule 9)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crossfade.core import protocol
from crossfade.errors import AlreadyCompleteError, IllegalTransitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.records import Census, MigrationRow
    from crossfade.files.engine import Engine

POLL_SECONDS = 0.05


def _anything_goes(census: Census) -> None:
    """Demand nothing beside rule 9."""


async def complete(
    engine: Engine, *, require: Callable[[Census], None] = _anything_goes
) -> MigrationRow:
    """Let the target alone answer from here on.

    New marks wait, at most `Timing.complete_wait`, until no record is left; then what is checked
    is committed in the same transaction.

    Args:
        engine: the migration's.
        require: an operator's own condition, looked at in both transactions; it raises to refuse.

    Raises:
        AlreadyCompleteError: it was completed before.
        IllegalTransitionError: something stands in the way; it names it, and keys.
    """
    catalog, name = engine.catalog, engine.name
    row = await catalog.change_row(name, partial(_hold_marks, engine, require))
    if row.completed:
        message = f"{name!r} is complete already"
        raise AlreadyCompleteError(message, hint="reads and writes go to the target alone")
    deadline = engine.clock() + engine.timing.complete_wait
    try:
        while True:
            refusal, census = await commit_complete(engine, require)
            if not refusal:
                return (await catalog.census(name)).migration
            if not protocol.only_open(census, engine.timing):
                raise _refused(name, refusal, census)
            if engine.clock() >= deadline:
                engine.probe.reached("complete refused for an open key")
                raise _refused(name, refusal, census)
            await anyio.sleep(POLL_SECONDS)
    finally:
        with anyio.CancelScope(shield=True):
            await catalog.change_row(name, _let_marks_go_on)


async def commit_complete(
    engine: Engine, require: Callable[[Census], None] = _anything_goes
) -> tuple[str, Census]:
    """Check everything and commit in one transaction; the answer is why not, or ""."""
    decide = partial(_complete, engine, require)
    return await engine.catalog.change_row(engine.name, decide)


def _hold_marks(
    engine: Engine, require: Callable[[Census], None], census: Census
) -> tuple[MigrationRow, MigrationRow]:
    row = census.migration
    if not row.completed:
        require(census)
        row = replace(row, completing_until=census.now + engine.timing.complete_wait)
    return row, row


def _let_marks_go_on(census: Census) -> tuple[MigrationRow, None]:
    return replace(census.migration, completing_until=None), None


def _complete(
    engine: Engine, require: Callable[[Census], None], census: Census
) -> tuple[MigrationRow, tuple[str, Census]]:
    require(census)
    refusal = protocol.complete_refusal(census, engine.timing)
    if refusal:
        return census.migration, (refusal, census)
    return replace(census.migration, completed=True), ("", census)


def _refused(name: str, refusal: str, census: Census) -> IllegalTransitionError:
    message = f"{name!r} cannot be completed: {refusal}"
    return IllegalTransitionError(message, keys=census.open_keys, hint=_next_step(name, census))


def _next_step(name: str, census: Census) -> str:
    """Say what removes what stands in the way, in the order in which it is looked at."""
    if census.extras or census.marked:
        repair = f"`crossfade repair {name} --from source` or `--from target`"
        return f"decide with {repair}, then verify; `crossfade key {name} KEY` shows one"
    if census.unsealed:
        return f"`crossfade backfill {name}` copies and seals what is left"
    if census.open_count:
        return (
            "the service, or `crossfade worker`, copies what is open; "
            f"`crossfade backfill {name}` does too, and names what cannot be copied"
        )
    return f"`crossfade verify {name}` makes a fresh proof"
