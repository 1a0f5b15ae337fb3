"""Gets and puts through Crossfade beside the same calls without it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring import Candidate, Spread, compare
from benchmarks.worlds import MIRRORS
from crossfade.core.settings import Mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measuring import Result
    from benchmarks.peers import Peer
    from benchmarks.worlds import World

CROSSFADE = "crossfade"
ALONE = "alone"
AT_ONCE = "both at once"
IN_TURN = "one by one"
ANSWERED = "async, answers alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """How fast one way is beside another: 1 as fast, 0.5 half as fast; ``cpu``: on CPU alone."""

    than: str
    wall: Spread
    cpu: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one way to do a thing costs.

    Attributes:
        seconds, cpu_seconds: of one operation.
    """

    sides: str
    operation: str
    in_flight: int
    way: str
    seconds: Spread
    cpu_seconds: Spread
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How something is measured.

    Attributes:
        operation: what the rows are called.
        peers: other clients that do the same on the same server.
    """

    operation: str
    in_flight: int
    rounds: int
    peers: Sequence[Peer] = ()


async def compare_gets(world: World, keys: Sequence[str], how: Measure) -> list[Row]:
    """Compare a get with two looks with a read of the side alone."""
    get = Candidate(name=CROSSFADE, call=partial(world.get_with, Mirror.SYNC))
    alone = Candidate(name=ALONE, call=world.get_alone)
    others = [Candidate(name=peer.name, call=peer.get) for peer in how.peers]
    return await _compare_with_alone(world, keys, how, [alone, get, *others])


async def compare_lists(world: World, calls: Sequence[str], how: Measure) -> list[Row]:
    """Compare a listing of everything with that of the side alone, as often as there are calls."""

    async def alone(_: str) -> None:
        await world.list_alone()

    async def through(_: str) -> None:
        await world.list_with(Mirror.SYNC)

    others = [Candidate(name=peer.name, call=peer.list) for peer in how.peers]
    candidates = [Candidate(name=ALONE, call=alone), Candidate(name=CROSSFADE, call=through)]
    return await _compare_with_alone(world, calls, how, [*candidates, *others])


async def _compare_with_alone(
    world: World, keys: Sequence[str], how: Measure, candidates: Sequence[Candidate]
) -> list[Row]:
    result = await compare(candidates, keys, in_flight=how.in_flight, rounds=how.rounds)
    names = [candidate.name for candidate in candidates]
    return [_row(result, world.kind, how.operation, name, than=(ALONE,)) for name in names]


async def compare_puts(world: World, keys: Sequence[str], how: Measure) -> list[Row]:
    """Compare puts, by each way to mirror, with writes of both sides alone."""
    alone = [
        Candidate(name=AT_ONCE, call=world.put_at_once),
        Candidate(name=IN_TURN, call=world.put_in_turn),
    ]
    puts = [
        Candidate(
            name=str(mirror),
            call=partial(world.put_with, mirror),
            settle=partial(world.drain, mirror),
        )
        for mirror in MIRRORS
    ]
    others = [Candidate(name=peer.name, call=peer.put) for peer in how.peers]
    candidates = (*alone, *puts, *others)
    result = await compare(candidates, keys, in_flight=how.in_flight, rounds=how.rounds)
    row = partial(_row, result, world.kind, how.operation, than=(AT_ONCE, IN_TURN))
    answered = row(str(Mirror.ASYNC), until="answered", way=ANSWERED)
    rows = [row(candidate.name) for candidate in candidates]
    return [*rows[:2], answered, *rows[2:]]


def _row(
    result: Result,
    sides: str,
    operation: str,
    name: str,
    *,
    than: tuple[str, ...],
    until: str = "settled",
    way: str = "",
) -> Row:
    cpu = "cpu" if until == "settled" else "answered_cpu"
    beside = tuple(
        Beside(
            than=other,
            wall=result.share(name, until, other, "settled"),
            cpu=result.share(name, cpu, other, "cpu"),
        )
        for other in than
        if name not in than
    )
    return Row(
        sides=sides,
        operation=operation,
        in_flight=result.in_flight,
        way=way or name,
        seconds=result.seconds(name, until),
        cpu_seconds=result.seconds(name, cpu),
        beside=beside,
    )
