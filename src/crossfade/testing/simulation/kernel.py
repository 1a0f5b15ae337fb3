"""Runs one schedule on a virtual clock; the same seed gives the same schedule."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.errors import MissingExtraError
from crossfade.testing.simulation.chance import Chance
from crossfade.testing.simulation.judge import Judge
from crossfade.testing.simulation.plan import draw
from crossfade.testing.simulation.verdict import check_history
from crossfade.testing.simulation.world import World

if TYPE_CHECKING:
    from types import ModuleType

    from crossfade.testing.simulation.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one schedule showed.

    Attributes:
        violations: broken promises, as sentences; empty when all were kept.
        marks: the interesting states that were reached.
        trace: a digest of everything that happened, in its order.
        calls: operations of clients; ``seconds`` of virtual time.
        faults: what was broken until everything healed.
    """

    seed: int
    violations: tuple[str, ...]
    marks: frozenset[str]
    trace: str
    calls: int
    faults: int
    seconds: float
    plan: Plan


def simulate(seed: int) -> Outcome:
    """Run the schedule of a seed.

    Raises:
        MissingExtraError: Trio is not installed.
    """
    trio = _trio()
    from crossfade.testing.simulation.clock import VirtualClock

    chance, clock = Chance(seed), VirtualClock()
    plan = draw(chance)
    judge = Judge(chance, plan, clock)
    _repeatable(seed)
    try:
        trio.run(World(judge).run, clock=clock)
    except Exception as error:  # noqa: BLE001 - whatever a schedule brings up is a finding
        judge.violation(f"the schedule broke: {_innermost(error)!r}")
    check_history(judge)
    return Outcome(
        seed=seed,
        violations=tuple(dict.fromkeys(judge.violations)),
        marks=frozenset(judge.marks),
        trace=judge.trace,
        calls=len(judge.calls),
        faults=judge.faults_before_the_end,
        seconds=clock.current_time(),
        plan=plan,
    )


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _repeatable(seed: int) -> None:
    """Make Trio's scheduling and every pause between attempts follow from the seed."""
    import trio._core._run as scheduler

    random.seed(seed)
    setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)  # noqa: B010 - Trio's own switch
    scheduler._r.seed(seed)  # noqa: SLF001


def _trio() -> ModuleType:
    try:
        import trio
    except ImportError as error:
        message = "the simulation needs Trio"
        raise MissingExtraError(message, hint="pip install 'crossfade[demo]'") from error
    return trio
