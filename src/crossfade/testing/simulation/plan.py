"""What a schedule is made of, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crossfade.core.objects import Pair
from crossfade.core.settings import Limits, Mirror, Settings
from crossfade.testing.simulation.corners import (
    ASSEMBLING,
    CORNERS,
    KEYS,
    LATE,
    LONG_LEASES,
    SLOW_LOOKS,
    assembling,
)

if TYPE_CHECKING:
    from random import Random

    from crossfade.testing.simulation.chance import Chance

TIMINGS = (LATE, SLOW_LOOKS, LONG_LEASES)
"""Requests may land long after; reads may take long between their looks; leases last long."""
HOT_SHARE = 0.27
FRAIL_SHARE = 0.12
CORNER_SHARE = 0.25
LARGE_SHARE = 0.4
ASSEMBLING_SHARE = 0.05
FATES = ("refused", "refused", "refused", "lost", "late", "late", "never")
SHARES = (0, 100, 1_000, 5_000, 10_000)
LARGE_BYTES_MIN = 12
LARGE = " in parts"
"""What is added to a value, so that it is as large as what is staged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The world of one schedule.

    Attributes:
        before: objects that a side holds before the migration begins, by side's name and key.
        calm: nothing is ever broken, so that every error is a finding.
        fault_share: of requests that fail or end unknown; ``slow_share``: that take long.
        crashes, pauses: processes that die, or that sleep through their leases.
        outages: how often a whole side is away.
        points: named points at which processes like to die or sleep.
        kinds: weights of what clients do, in the order of `KINDS`.
        read_pause: the mean of the time that a read takes to a side, and back, in seconds;
            ``write_pause``: that of a write to either.
        begins_after: seconds after which the operator says `begin`.
        fates: what may become of a write that fails at a side, each as likely.
        shares: the percentages that the operator sets, in hundredths.
        stall_share: of the pauses that are stalls before a commit.
        complete_share: of the operator's steps that try to complete.
        starts_after: seconds after which the clients start.
        writer: the only client that writes; "" when all do.
        large_share: of the bodies that are large, so that they are staged.
        corner: the name of the corner that the world is; "" when it is none.
    """

    settings: Settings
    processes: int
    clients: int
    operations: int
    keys: tuple[str, ...]
    before: tuple[tuple[str, str, str], ...]
    sealed: bool
    calm: bool
    fault_share: float
    read_fault_share: float
    slow_share: float
    crashes: int
    pauses: int
    outages: int
    points: frozenset[str]
    damage: bool
    completes: bool
    think: float
    kinds: tuple[int, ...]
    read_pause: Pair[float]
    begins_after: float
    write_pause: float = 0.01
    fates: Pair[tuple[str, ...]] = field(default_factory=lambda: Pair(FATES, FATES))
    shares: tuple[int, ...] = SHARES
    stall_share: float = 0.5
    complete_share: float = 0.3
    starts_after: float = 0.0
    writer: str = ""
    large_share: float = 0.0
    corner: str = ""


COMMIT_POINTS = ("before_commit", "after_put_before_commit", "copier_before_commit")
"""Nothing more is sent after them: a task may stall there for longer than any doubt lasts."""
POINTS = (
    "after_mark",
    "after_announce",
    "after_put_before_commit",
    "before_commit",
    "before_request",
    "after_request",
    "copier_after_mark",
    "copier_before_commit",
)


KINDS = ("put", "get", "delete", "cput", "create", "list", "head")
HOT_KINDS = (
    (30, 60, 5, 5, 0, 5, 5),
    (20, 40, 20, 0, 10, 20, 0),
    (15, 55, 5, 30, 0, 0, 0),
    (10, 30, 30, 0, 20, 10, 0),
)
MIXED = (30, 30, 12, 8, 6, 10, 4)


def draw(chance: Chance) -> Plan:
    """Draw a world; how large its objects are is drawn apart from everything else."""
    return _with_sizes(_of_small_objects(chance.of("plan")), chance.of("sizes"))


def _with_sizes(plan: Plan, random: Random) -> Plan:
    """Make some of the objects large in some worlds, and a few worlds of little else."""
    kind, share = random.random(), random.choice((0.3, 0.6))
    if kind < ASSEMBLING_SHARE and not plan.calm and not plan.corner:
        return replace(assembling(plan, random), corner=ASSEMBLING)
    if kind > LARGE_SHARE:
        return plan
    large = {key for key in plan.keys if random.random() < share}
    before = ((side, k, value + LARGE if k in large else value) for side, k, value in plan.before)
    return replace(plan, large_share=share, before=tuple(before))


def _of_small_objects(random: Random) -> Plan:
    """Draw a world: mostly a mixed one, sometimes one in which rare things come together."""
    plan, kind = _mixed(random), random.random()
    if plan.calm:
        return plan
    if kind < HOT_SHARE:
        return _hot(plan, random)
    if kind < HOT_SHARE + FRAIL_SHARE:
        return _frail(plan, random)
    if kind < HOT_SHARE + FRAIL_SHARE + CORNER_SHARE:
        name = random.choice(list(CORNERS))
        return replace(CORNERS[name](plan, random), corner=name)
    return plan


def _frail(plan: Plan, random: Random) -> Plan:
    """A side changes an object by itself, and few writes cover it up."""
    sealed = random.random() < 0.6
    return replace(
        plan,
        damage=True,
        sealed=sealed,
        before=_before(random, KEYS, sealed=sealed),
        crashes=0,
        fault_share=random.choice((0.0, 0.1, 0.3)),
        read_fault_share=0.0,
        outages=0,
        think=0.5,
        kinds=(10, 60, 3, 2, 0, 10, 10),
    )


def _hot(plan: Plan, random: Random) -> Plan:
    """One or two keys, many readers with slow reads, many writes of unknown outcome."""
    return replace(
        plan,
        keys=plan.keys[: random.randint(1, 2)],
        clients=random.randint(4, 6),
        fault_share=random.choice((0.3, 0.5)),
        slow_share=random.choice((0.0, 0.1, 0.25)),
        read_fault_share=0.0,
        think=random.choice((0.05, 0.2, 0.6)),
        kinds=random.choice(HOT_KINDS),
        read_pause=_both(random.choice((0.01, 0.3, 0.6))),
        crashes=random.choice((0, 0, 1)),
    )


def _mixed(random: Random) -> Plan:
    calm = random.random() < 0.1
    sealed = random.random() < 0.45
    keys = KEYS[: random.randint(2, len(KEYS))]
    return Plan(
        settings=_settings(random),
        processes=random.randint(2, 3),
        clients=random.randint(3, 5),
        operations=random.randint(8, 14),
        keys=keys,
        before=_before(random, KEYS, sealed=sealed),
        sealed=sealed,
        calm=calm,
        fault_share=0.0 if calm else random.choice((0.0, 0.03, 0.1, 0.25)),
        read_fault_share=0.0 if calm else random.choice((0.0, 0.02, 0.1)),
        slow_share=0.0 if calm else random.choice((0.0, 0.02, 0.08)),
        crashes=0 if calm else random.choice((0, 0, 1, 2, 3)),
        pauses=0 if calm else random.choice((0, 0, 1, 2)),
        outages=0 if calm else random.choice((0, 0, 1, 2)),
        points=frozenset(point for point in POINTS if random.random() < 0.5),
        damage=False,
        completes=random.random() < 0.6,
        think=random.choice((0.02, 0.1, 0.5)),
        kinds=MIXED,
        read_pause=_both(0.01),
        begins_after=random.choice((0.0, 0.5, 4.0)),
    )


def _both(value: float) -> Pair[float]:
    return Pair(value, value)


def _settings(random: Random) -> Settings:
    return Settings(
        mirror=random.choice((Mirror.ASYNC, Mirror.SYNC, Mirror.PARALLEL, Mirror.AUTO)),
        fallback=random.random() < 0.75,
        timing=random.choices(TIMINGS, (3, 2, 2))[0],
        limits=Limits(
            timeout_seconds=random.choice((4.0, 15.0, 30.0)),
            attempts_max=random.choice((1, 2, 3)),
            page_keys=random.choice((2, 3, 1_000)),
            copies_max=random.choice((1, 4)),
            poll_seconds=0.4,
            drain_seconds=1.0,
        ),
    )


def _before(
    random: Random, keys: tuple[str, ...], *, sealed: bool
) -> tuple[tuple[str, str, str], ...]:
    """Draw what the sides hold; in a world that begins sealed both hold the same."""
    held: list[tuple[str, str, str]] = []
    for key in keys:
        kind = random.random()
        if kind < 0.5:
            held.append(("source", key, f"before {key}"))
            if sealed or random.random() < 0.2:
                held.append(("target", key, f"before {key}"))
        elif kind < 0.65 and not sealed:
            held.append(("target", key, f"own {key}"))
    return tuple(held)
