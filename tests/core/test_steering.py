from __future__ import annotations

from dataclasses import replace

import pytest

from crossfade.core import steering
from crossfade.core.records import Census, MigrationRow, Proof
from crossfade.core.settings import Timing
from crossfade.core.steering import LEGAL, State, Step
from crossfade.errors import AlreadyCompleteError, ConflictError, IllegalTransitionError

ROW = MigrationRow(name="m", source="memory://a", target="memory://b", salt="s", algorithm="x")
NEW = Census(
    migration=ROW,
    now=100.0,
    open_count=0,
    open_keys=(),
    unsealed=1,
    sealed=0,
    extras=0,
    marked=0,
    in_doubt=0,
    oldest_since=None,
)
BEGUN = replace(NEW, migration=replace(ROW, begun_at=40.0))
CENSUS = {
    State.NEW: NEW,
    State.DUAL_WRITE: BEGUN,
    State.BACKFILLING: replace(BEGUN, sealed=1),
    State.VERIFIED: replace(BEGUN, sealed=1, unsealed=0),
    State.COMPLETE: replace(
        BEGUN, sealed=1, unsealed=0, migration=replace(ROW, begun_at=40.0, completed=True)
    ),
}


@pytest.mark.parametrize("state", State)
def test_the_state_is_derived_from_what_is_there(state: State) -> None:
    assert steering.state_of(CENSUS[state]) is state


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_a_step_is_taken_or_refused_with_the_legal_ones(state: State, step: Step) -> None:
    census = CENSUS[state]
    if step in LEGAL[state]:
        steering.require_step(census, step)
    elif state is State.COMPLETE:
        with pytest.raises(AlreadyCompleteError, match=f"is complete, so that {step} "):
            steering.require_step(census, step)
    else:
        with pytest.raises(IllegalTransitionError) as refused:
            steering.require_step(census, step)
        assert state in refused.value.message
        assert all(legal in refused.value.hint for legal in LEGAL[state])


def test_complete_is_legal_only_where_everything_is_sealed() -> None:
    assert [state for state in State if Step.COMPLETE in LEGAL[state]] == [State.VERIFIED]
    assert all(Step.ROLLBACK in LEGAL[state] for state in State if state is not State.COMPLETE)


def test_a_percentage_set_again_ends_a_halt() -> None:
    halted = replace(BEGUN, migration=replace(BEGUN.migration, halted=True))
    row, _ = steering.set_share(halted, 1_250)
    assert (row.basis_points, row.halted) == (1_250, False)


def test_a_percentage_is_not_set_after_complete() -> None:
    with pytest.raises(AlreadyCompleteError):
        steering.set_share(CENSUS[State.COMPLETE], 0)


def test_a_percentage_decided_on_an_older_version_is_refused() -> None:
    census = replace(NEW, migration=replace(ROW, version=7))
    with pytest.raises(ConflictError, match="version 7, not 6"):
        steering.set_share(census, 100, version=6)
    assert steering.set_share(census, 100, version=7)[0].basis_points == 100


def test_to_begin_twice_keeps_the_first_time() -> None:
    row, new = steering.begin(NEW)
    assert (row.begun_at, new) == (100.0, True)
    assert steering.begin(replace(NEW, migration=row, now=200.0)) == (row, False)
    with pytest.raises(AlreadyCompleteError):
        steering.begin(CENSUS[State.COMPLETE])


def test_an_emergency_rollback_is_idempotent_and_leaves_what_is_complete_alone() -> None:
    raised = replace(BEGUN, migration=replace(BEGUN.migration, basis_points=10_000))
    row, rolled = steering.roll_back(raised)
    assert (row.basis_points, row.halted, rolled) == (0, True, True)
    assert steering.roll_back(replace(raised, migration=row)) == (row, True)
    complete = CENSUS[State.COMPLETE]
    assert steering.roll_back(complete) == (complete.migration, False)


def test_what_is_routed_is_nothing_while_a_switch_is_off() -> None:
    census = replace(NEW, migration=replace(ROW, basis_points=1_250))
    share = steering.share_of(census, enabled=False)
    assert (share.percentage, share.effective, share.in_force) == (12.5, 0.0, False)
    share = steering.share_of(census, enabled=True)
    assert (share.percentage, share.effective, share.in_force) == (12.5, 12.5, True)


def described(census: Census, open_at_target: int = 0) -> steering.MigrationStatus:
    return steering.describe(
        census,
        enabled=True,
        open_at_target=open_at_target,
        failing=0,
        workers_running=None,
        timing=Timing(proof_age_max=50.0),
    )


def test_keys_are_copied_back_while_nothing_is_routed_to_the_target_that_answers_for_them() -> None:
    assert described(BEGUN, open_at_target=2).copying_back
    assert not described(BEGUN).copying_back
    routed = replace(BEGUN, migration=replace(BEGUN.migration, basis_points=1))
    assert not described(routed, open_at_target=2).copying_back


def test_ages_are_told_in_seconds_of_the_catalogs_clock() -> None:
    found = described(replace(BEGUN, open_count=1, oldest_since=90.0))
    assert (found.begun_seconds, found.oldest_open_seconds) == (60.0, 10.0)


@pytest.mark.parametrize(
    ("ended_at", "changed_at", "drift", "stale"),
    [
        (90.0, 70.0, 0, ""),
        (40.0, 20.0, 0, "too old"),
        (90.0, 85.0, 0, "sealed or repaired since"),
        (90.0, 70.0, 2, "2 differences"),
    ],
)
def test_a_proof_says_why_it_does_not_count(
    ended_at: float, changed_at: float, drift: int, stale: str
) -> None:
    proof = Proof(begun_at=ended_at - 10, ended_at=ended_at, ended_wall=1.0, keys=3, drift=drift)
    row = replace(BEGUN.migration, proof=proof, changed_at=changed_at)
    found = described(replace(BEGUN, migration=row)).proof
    assert found is not None
    assert found.age_seconds == 100.0 - ended_at
    assert stale in found.stale
    assert bool(stale) == bool(found.stale)
