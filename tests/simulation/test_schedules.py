"""Schedules of the real data plane: promises kept, marks reached, the same seed the same run."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from crossfade.errors import BackendUnavailableError
from crossfade.files import staging
from crossfade.files.facade import Files
from crossfade.testing.simulation import MARKS, Outcome, simulate
from crossfade.testing.simulation.corners import ASSEMBLING, CORNERS
from crossfade.testing.simulation.mutations import MUTATIONS, kept_seeds, without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crossfade.core.objects import ObjectInfo

SEEDS = 500
MARK_SHARE = 0.01


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("crossfade")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)  # Other tests of the same worker read the log.


def _run(seed: int) -> Outcome:
    logging.getLogger("crossfade").setLevel(logging.CRITICAL)
    return simulate(seed)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    workers = min(os.cpu_count() or 1, 4)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_run, range(SEEDS), chunksize=10))


def test_no_schedule_breaks_a_promise(outcomes: list[Outcome]) -> None:
    broken = {each.seed: each.violations for each in outcomes if each.violations}

    assert broken == {}


def test_every_mark_is_reached(outcomes: list[Outcome]) -> None:
    reached = Counter(mark for each in outcomes for mark in each.marks)
    rare = {mark: reached[mark] for mark in MARKS if reached[mark] < MARK_SHARE * SEEDS}

    assert rare == {}


def test_schedules_are_not_all_alike(outcomes: list[Outcome]) -> None:
    assert len({each.trace for each in outcomes}) == SEEDS
    assert sum(each.calls for each in outcomes) > SEEDS * 40


def test_every_kind_of_world_is_drawn(outcomes: list[Outcome]) -> None:
    assert {each.plan.corner for each in outcomes} == {"", ASSEMBLING, *CORNERS}


def test_calm_schedules_have_no_fault_and_no_error(outcomes: list[Outcome]) -> None:
    calm = [each for each in outcomes if each.plan.calm]

    assert len(calm) > SEEDS // 50
    assert [each.seed for each in calm if each.faults] == []
    # Without a fault before it an error is a violation, as the next test holds.
    assert [each.seed for each in calm if each.violations] == []


def test_an_error_without_a_fault_is_a_violation(
    outcomes: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> ObjectInfo:
        message = "away"
        raise BackendUnavailableError(message)

    calm = next(each for each in outcomes if each.plan.calm)
    monkeypatch.setattr(Files, "put", away)
    assert any("an error without a fault" in each for each in simulate(calm.seed).violations)


def test_what_is_staged_and_never_let_go_of_is_a_violation(
    outcomes: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keep(_: object) -> None:
        return

    mark = "stage dropped for another primary"
    dropping = [each.seed for each in outcomes if mark in each.marks and not each.faults]
    monkeypatch.setattr(staging, "drop", keep)
    assert any("let go of" in each for each in simulate(dropping[0]).violations)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_gives_the_same_schedule_in_every_process(hash_seed: str) -> None:
    """Neither the order of a set nor the process has a part in it."""
    code = (
        "import logging; logging.disable(50)\n"
        "from crossfade.testing.simulation import simulate\n"
        "print([simulate(seed).trace for seed in range(6)])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == str([simulate(seed).trace for seed in range(6)])


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_taken_out_is_caught_at_its_seed(name: str) -> None:
    seed = kept_seeds()[name]
    with without(name):
        mutant = simulate(seed)

    assert mutant.violations
    assert simulate(seed).violations == ()


def test_a_seed_is_kept_for_each_rule_and_for_no_other() -> None:
    assert set(kept_seeds()) == set(MUTATIONS)
