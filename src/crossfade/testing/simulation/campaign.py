"""Many schedules: the promises over a range of seeds, resumable, and the scoreboard of rules."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING

from crossfade.testing.simulation.chance import Chance
from crossfade.testing.simulation.kernel import simulate
from crossfade.testing.simulation.mutations import MUTATIONS, without
from crossfade.testing.simulation.plan import draw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = 250


@dataclass(slots=True, kw_only=True)
class Campaign:
    """How far a range of seeds is, and what it showed.

    Attributes:
        following: the first seed that has not run.
        broken: violations by seed, which is a string so that the state is JSON.
        marks: in how many schedules each was reached.
        seconds: of wall time, over all runs.
    """

    following: int = 0
    broken: dict[str, list[str]] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def run(
    path: Path, count: int, *, on_progress: Callable[[Campaign], None] | None = None
) -> Campaign:
    """Run the seeds 0 to ``count``; what ran before, by the state in ``path``, is not run again."""
    campaign = Campaign(**json.loads(path.read_text())) if path.exists() else Campaign()
    with _pool() as pool:
        while campaign.following < count:
            began = time.monotonic()
            stop = min(campaign.following + BLOCK, count)
            marks = Counter(campaign.marks)
            for seed, violations, reached in pool.map(
                _one, range(campaign.following, stop), chunksize=10
            ):
                marks.update(reached)
                if violations:
                    campaign.broken[str(seed)] = violations
            campaign.marks = dict(sorted(marks.items()))
            campaign.following = stop
            campaign.seconds += time.monotonic() - began
            path.write_text(json.dumps(asdict(campaign), indent=1))
            if on_progress is not None:
                on_progress(campaign)
    return campaign


def hunt(name: str, seeds: range) -> int | None:
    """Return a seed that catches the rule taken out; None when none does.

    With the rule in its place the same schedule must be clean: only then the rule was caught.
    Worlds in which the rule is known to count come first.
    """
    _be_quiet()
    corner = MUTATIONS[name].corner
    for seed in sorted(seeds, key=lambda seed: corner_of(seed) != corner):
        with without(name):
            mutant = simulate(seed)
        if mutant.violations and not simulate(seed).violations:
            return seed
    return None


def corner_of(seed: int) -> str:
    """Return which corner the seed's world is; "" when none."""
    return draw(Chance(seed)).corner


def scoreboard(
    seeds: range, *, on_found: Callable[[str, int | None], None]
) -> dict[str, int | None]:
    """Hunt for every rule, a few at once."""
    with _pool() as pool:
        found = {name: pool.submit(hunt, name, seeds) for name in MUTATIONS}
        for name, future in found.items():
            on_found(name, future.result())
        return {name: future.result() for name, future in found.items()}


def _one(seed: int) -> tuple[int, list[str], list[str]]:
    outcome = simulate(seed)
    return seed, list(outcome.violations), sorted(outcome.marks)


def _pool() -> ProcessPoolExecutor:
    workers = os.cpu_count() or 1
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_be_quiet)


def _be_quiet() -> None:
    """A schedule breaks much on purpose: its warnings are no news."""
    logging.getLogger("crossfade").setLevel(logging.CRITICAL)
