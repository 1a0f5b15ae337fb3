"""What an operator may do with a migration, decided on its row and a census of its keys.

The state of a migration is derived, never set. Each step is a pure decision that the catalog runs
inside a transaction; a step that is not legal is refused with those that are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from crossfade.core import proofs
from crossfade.core.routing import BASIS_POINTS_MAX, effective_basis_points, percentage_text
from crossfade.errors import AlreadyCompleteError, ConflictError, IllegalTransitionError

if TYPE_CHECKING:
    from crossfade.core.records import Census, MigrationRow
    from crossfade.core.settings import Timing


class State(StrEnum):
    """How far a migration is."""

    NEW = "new"
    DUAL_WRITE = "dual_write"
    BACKFILLING = "backfilling"
    VERIFIED = "verified"
    COMPLETE = "complete"


class Step(StrEnum):
    """What may be asked of a migration, as the command line calls it."""

    BEGIN = "begin"
    BACKFILL = "backfill"
    VERIFY = "verify"
    REPAIR = "repair"
    SET = "set"
    ROLLBACK = "rollback"
    COMPLETE = "complete"


_RUNNING = (Step.BACKFILL, Step.VERIFY, Step.REPAIR, Step.SET, Step.ROLLBACK)

LEGAL = {
    State.NEW: (Step.BEGIN, Step.BACKFILL, Step.SET, Step.ROLLBACK),
    State.DUAL_WRITE: (Step.BEGIN, *_RUNNING),
    State.BACKFILLING: (Step.BEGIN, *_RUNNING),
    State.VERIFIED: (Step.BEGIN, *_RUNNING, Step.COMPLETE),
    State.COMPLETE: (),
}
"""The steps that each state allows. Beginning again changes nothing, so it stays legal."""


def state_of(census: Census) -> State:
    """Derive the migration's state."""
    row = census.migration
    if row.completed:
        return State.COMPLETE
    if row.begun_at is None:
        return State.NEW
    if not census.unsealed:
        return State.VERIFIED
    return State.BACKFILLING if census.sealed else State.DUAL_WRITE


def require_step(census: Census, step: Step) -> None:
    """Refuse a step that the state does not allow.

    Raises:
        AlreadyCompleteError: the migration is complete.
        IllegalTransitionError: it names the state and the legal steps.
    """
    name, state = census.migration.name, state_of(census)
    legal = LEGAL[state]
    if step in legal:
        return
    if state is State.COMPLETE:
        message = f"{name!r} is complete, so that {step} is not possible any more"
        raise AlreadyCompleteError(message, hint="the target alone answers; nothing leads back")
    message = f"{name!r} is in the state {state}, which does not allow {step}"
    raise IllegalTransitionError(message, hint=f"legal are: {', '.join(legal)}")


def require_whole_share(census: Census, *, enabled: bool) -> None:
    """Refuse to complete what the target does not serve in whole: that would move users unseen.

    Raises:
        IllegalTransitionError: an emergency rollback is in force, or less than 100 % is.
    """
    row, share = census.migration, share_of(census, enabled=enabled)
    if share.effective_basis_points == BASIS_POINTS_MAX and not row.halted:
        return
    name = row.name
    hint = f"raise it with `crossfade set {name} 100`, watch it, then verify and complete"
    if row.halted:
        message = f"{name!r} cannot be completed: an emergency rollback halted it"
        hint = f"when its cause is gone, {hint}"
    else:
        text = percentage_text(share.effective_basis_points)
        message = f"{name!r} cannot be completed: {text} % are in force, not 100 %"
        if not enabled:
            hint = "turn both switches on, [crossfade] enabled and the migration's own"
    raise IllegalTransitionError(message, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of the target, in basis points.

    Attributes:
        set_basis_points: what was set; ``effective_basis_points`` what is routed: nothing while
            a switch is off, everything once the migration is complete.
        version: of the row; it grows with every change.
        halted: an emergency rollback happened since the percentage was set last.
        state: the migration's state at that moment.
    """

    migration: str
    set_basis_points: int
    effective_basis_points: int
    version: int
    halted: bool
    state: State

    @property
    def percentage(self) -> float:
        """What was set, 0 to 100."""
        return self.set_basis_points / 100

    @property
    def effective(self) -> float:
        """What is routed, 0 to 100."""
        return self.effective_basis_points / 100

    @property
    def in_force(self) -> bool:
        """Whether what was set is what is routed."""
        return self.set_basis_points == self.effective_basis_points


def share_of(census: Census, *, enabled: bool) -> Share:
    """Return the share that is in force; ``enabled`` is both switches."""
    row = census.migration
    routed = effective_basis_points(row.basis_points, enabled)
    return Share(
        migration=row.name,
        set_basis_points=row.basis_points,
        effective_basis_points=BASIS_POINTS_MAX if row.completed else routed,
        version=row.version,
        halted=row.halted,
        state=state_of(census),
    )


def set_share(
    census: Census, basis_points: int, *, version: int | None = None
) -> tuple[MigrationRow, None]:
    """Set the share of the target; this ends a halt, for somebody decided to go on.

    Args:
        census: the snapshot to decide on.
        basis_points: 0 to 10,000.
        version: the row's version that the decision was made on; None for any.

    Raises:
        AlreadyCompleteError: the migration is complete.
        ConflictError: the row has another version by now.
    """
    row = census.migration
    require_step(census, Step.SET)
    if version is not None and version != row.version:
        message = f"{row.name!r} is at version {row.version}, not {version}"
        raise ConflictError(message, hint="look at its status and decide again")
    return replace(row, basis_points=basis_points, halted=False), None


def begin(census: Census) -> tuple[MigrationRow, bool]:
    """Note that every writer goes through the facade; the answer is whether that is new.

    Raises:
        AlreadyCompleteError: the migration is complete.
    """
    row = census.migration
    require_step(census, Step.BEGIN)
    if row.begun_at is not None:
        return row, False
    return replace(row, begun_at=census.now), True


def roll_back(census: Census) -> tuple[MigrationRow, bool]:
    """Route everything to the source at once; the answer is False for a complete migration.

    It is idempotent, and it is never refused: a complete migration is left as it is, so that an
    emergency rollback of all migrations goes through.
    """
    row = census.migration
    if row.completed:
        return row, False
    return replace(row, basis_points=0, halted=True), True


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """One migration after an emergency rollback.

    Attributes:
        complete: it was complete, so it was left alone.
        open_at_target: open keys that the target answers for, of which ``marked_at_target`` wait
            for repair's decision; the others are being copied back.
    """

    migration: str
    complete: bool
    open_at_target: int
    marked_at_target: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What a rollback did; ``status`` and ``level`` are fixed words for programs."""

    status: str
    level: str
    migrations: tuple[RolledBack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofStatus:
    """The last verification pass over all ranges.

    Attributes:
        ended_wall: seconds since 1970.
        stale: why it does not count for `complete`; empty when it does.
    """

    ended_wall: float
    age_seconds: float
    keys: int
    drift: int
    stale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """Where a migration stands; percentages are 0 to 100, times are seconds ago.

    Attributes:
        enabled: both switches, the master's and its own.
        percentage, effective: what is set, and what is routed.
        begun_seconds: since when every writer goes through the facade; None before `begin`.
        sealed, unsealed: ranges; ``extras`` keys that the target alone holds.
        open_count: open keys, of which ``open_at_target`` are answered for by the target, and of
            those ``marked_at_target`` are marked.
        marked, in_doubt: open keys that repair decides on, and with a side in doubt.
        failing: open keys whose last copy failed, and that is tried again.
        workers_running: whether some process mirrors and recovers; None if that is not known.
    """

    migration: str
    state: State
    source: str
    target: str
    enabled: bool
    percentage: float
    effective: float
    halted: bool
    version: int
    begun_seconds: float | None
    sealed: int
    unsealed: int
    extras: int
    open_count: int
    open_at_target: int
    marked: int
    in_doubt: int
    oldest_open_seconds: float | None
    proof: ProofStatus | None
    workers_running: bool | None
    failing: int = 0
    marked_at_target: int = 0

    @property
    def copying_back(self) -> bool:
        """Whether keys are being copied back to the source: nothing is routed away from it."""
        left = self.open_at_target - self.marked_at_target
        return not self.effective and left > 0 and self.state != State.COMPLETE


def describe(
    census: Census,
    *,
    enabled: bool,
    open_at_target: int,
    marked_at_target: int = 0,
    failing: int,
    workers_running: bool | None,
    timing: Timing,
) -> MigrationStatus:
    """Put a census into an operator's words."""
    row, now, share = census.migration, census.now, share_of(census, enabled=enabled)
    return MigrationStatus(
        migration=row.name,
        state=share.state,
        source=row.source,
        target=row.target,
        enabled=enabled,
        percentage=share.percentage,
        effective=share.effective,
        halted=row.halted,
        version=row.version,
        begun_seconds=_ago(now, row.begun_at),
        sealed=census.sealed,
        unsealed=census.unsealed,
        extras=census.extras,
        open_count=census.open_count,
        open_at_target=open_at_target,
        marked=census.marked,
        in_doubt=census.in_doubt,
        oldest_open_seconds=_ago(now, census.oldest_since),
        proof=_proof_status(census, timing),
        workers_running=workers_running,
        failing=failing,
        marked_at_target=marked_at_target,
    )


def _proof_status(census: Census, timing: Timing) -> ProofStatus | None:
    proof = census.migration.proof
    if proof is None:
        return None
    return ProofStatus(
        ended_wall=proof.ended_wall,
        age_seconds=max(0.0, census.now - proof.ended_at),
        keys=proof.keys,
        drift=proof.drift,
        stale="" if census.migration.completed else _stale(census, timing),
    )


def _stale(census: Census, timing: Timing) -> str:
    proof = census.migration.proof
    if proof is not None and census.now - proof.ended_at > timing.proof_age_max:
        return "the last verification is too old"
    return proofs.refusal(census.migration)


def _ago(now: float, since: float | None) -> float | None:
    return None if since is None else max(0.0, now - since)
