"""A process that writes one catalog; each line that it prints is a fact that it was told.

It begins to write once it is sent a line.

``python catalog_process.py <catalog> exclude|append <name> <rounds>``
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from dataclasses import replace
from functools import partial

from crossfade.core.intents import Ask, Marked, Outcome, Wait
from crossfade.core.objects import Pair, Side
from crossfade.core.protocol import commit, mark
from crossfade.core.records import Decision, Look, MigrationRow, Operation, Record
from crossfade.core.settings import Timing
from crossfade.stores.sqlite import SqliteCatalog

ROW = MigrationRow(name="m", source="a", target="b", salt="s", algorithm="1")
TIMING = Timing()
TAKEN = Pair(Outcome.OK, Outcome.OK)
KEYS = 3


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the parent reads it


def counted(look: Look) -> Decision[int]:
    """Count one more change in a record's attempts."""
    record = look.record or Record(authority=Side.SOURCE)
    return Decision(replace(record, attempts=record.attempts + 1), record.attempts)


async def exclude(catalog: SqliteCatalog, name: str, rounds: int) -> None:
    """Mark and commit a few keys beside others; print from when to when each was held."""
    chance = random.Random(name)
    done = 0
    while done < rounds:
        key = f"k{chance.randrange(KEYS)}"
        ask = Ask(token=f"{name}-{done}", holder=name, operation=Operation.PUT, digest=None)
        answer = await catalog.change("m", key, partial(mark, ask=ask, timing=TIMING))
        if isinstance(answer, Wait):
            continue
        assert isinstance(answer, Marked)
        begun = time.monotonic()
        await catalog.change("m", "counter", counted)
        ended = time.monotonic()
        decide = partial(commit, token=ask.token, outcomes=TAKEN, timing=TIMING)
        own = await catalog.change("m", key, decide)
        assert own
        say(key, begun, ended)
        done += 1


async def append(catalog: SqliteCatalog, name: str, rounds: int) -> None:
    """Open keys one after the other, several callers at once; print each that was acknowledged."""

    async def caller(number: int) -> None:
        for place in range(rounds):
            key = f"{name}/{number}/{place:06}"
            await catalog.change("m", key, counted)
            say(key)

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(caller(number))


async def main(path: str, what: str, name: str, rounds: str) -> None:
    catalog = SqliteCatalog(path)
    await catalog.prepare(ROW)
    say("ready")
    sys.stdin.readline()
    await {"exclude": exclude, "append": append}[what](catalog, name, int(rounds))
    await catalog.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
