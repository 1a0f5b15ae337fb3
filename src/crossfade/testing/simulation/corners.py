"""Worlds in which rare things come together: for each some rule has its only witness there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.core.objects import Pair
from crossfade.core.settings import Mirror, Settings, Timing

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from crossfade.testing.simulation.plan import Plan

LATE = Timing(
    lease=2.0,
    late_max=4.0,
    late_complete_max=12.0,
    look_max=1.5,
    copier_wait=0.3,
    complete_wait=1.0,
)
SLOW_LOOKS = Timing(
    lease=1.0,
    late_max=0.8,
    late_complete_max=8.0,
    look_max=2.5,
    copier_wait=0.2,
    complete_wait=0.5,
)
LONG_LEASES = Timing(
    lease=4.0,
    late_max=1.0,
    late_complete_max=5.0,
    look_max=0.6,
    copier_wait=0.2,
    complete_wait=0.5,
)
ONLY_REFUSED = ("refused",)
UNKNOWN = ("lost", "late", "late", "never")
KEYS = ("a", "a/b", "b", "ü")

# `kinds` are weights in the order of `plan.KINDS`: put, get, delete, cput, create, list, head.


def lingering(plan: Plan, random: Random) -> Plan:
    """Reads of the target outlast the doubt of writes that failed there and landed late."""
    return _lingering(plan, random, SLOW_LOOKS)


def overstaying(plan: Plan, random: Random) -> Plan:
    """Reads take longer between their looks than doubt allows for."""
    return _lingering(plan, random, LONG_LEASES)


def _lingering(plan: Plan, random: Random, timing: Timing) -> Plan:
    return replace(
        _sealed(plan, random, keys=1, timing=timing, mirror=Mirror.PARALLEL, fallback=False),
        clients=6,
        fault_share=0.7,
        fates=Pair(("refused", "refused", "ok"), ("late", "ok")),
        shares=(9_000,),
        completes=False,
        think=0.4,
        writer="c2",
        read_pause=Pair(0.01, timing.late_max * 0.7),
    )


def judging(plan: Plan, random: Random) -> Plan:
    """Conditions are judged while a write of unknown outcome is on its way to the authority."""
    return replace(
        _sealed(plan, random, keys=1, timing=LATE, mirror=Mirror.ASYNC, fallback=False),
        clients=6,
        fault_share=0.5,
        fates=Pair(("late",), ("ok",)),
        write_pause=0.6,
        shares=(0,),
        operations=20,
        completes=False,
        think=0.1,
        kinds=(8, 76, 0, 16, 0, 0, 0),
    )


def refusing(plan: Plan, random: Random) -> Plan:
    """Writes that both sides refuse hold their keys while a range is compared and sealed."""
    keys = plan.keys[: random.randint(1, 2)]
    return replace(
        plan,
        settings=_settings(plan, timing=random.choice((LATE, SLOW_LOOKS)), attempts_max=2),
        sealed=False,
        keys=keys,
        before=tuple(("source", key, f"before {key}") for key in keys),
        begins_after=0.0,
        crashes=0,
        pauses=0,
        outages=0,
        clients=6,
        fault_share=0.8,
        read_fault_share=0.0,
        fates=Pair(ONLY_REFUSED, ONLY_REFUSED),
        slow_share=0.2,
        think=0.3,
        kinds=(80, 10, 10, 0, 0, 0, 0),
    )


def erasing(plan: Plan, random: Random) -> Plan:
    """Deletes of unknown outcome, which little follows, meet copies in a range sealed late."""
    return replace(
        plan,
        settings=_settings(plan, timing=SLOW_LOOKS, attempts_max=1, mirror=Mirror.ASYNC),
        sealed=False,
        keys=KEYS,
        before=tuple(("source", key, f"before {key}") for key in KEYS),
        begins_after=8.0,
        clients=2,
        operations=6,
        crashes=random.randint(0, 1),
        pauses=0,
        outages=0,
        fault_share=0.4,
        fates=Pair(UNKNOWN, ("ok",)),
        slow_share=0.0,
        think=2.0,
        kinds=(15, 20, 65, 0, 0, 0, 0),
    )


def afterwards(plan: Plan, random: Random) -> Plan:
    """The migration is completed early; much fails then."""
    return replace(
        _sealed(plan, random, keys=1, timing=LATE, mirror=Mirror.ASYNC, attempts_max=3),
        completes=True,
        complete_share=1.0,
        starts_after=random.uniform(0.1, 1.5),
        fault_share=0.4,
        fates=Pair(UNKNOWN, UNKNOWN),
        think=0.1,
        kinds=(50, 40, 5, 0, 0, 5, 0),
    )


def suspecting(plan: Plan, random: Random) -> Plan:
    """A side changed an object by itself; most writes that would cover it up are refused."""
    return replace(
        _sealed(plan, random, keys=2, timing=plan.settings.timing, mirror=plan.settings.mirror),
        damage=True,
        fault_share=0.7,
        fates=Pair(ONLY_REFUSED, ONLY_REFUSED),
        think=0.3,
        kinds=(35, 60, 5, 0, 0, 0, 0),
    )


def dozing(plan: Plan, random: Random) -> Plan:
    """Processes sleep before a request leaves, and wake while its lease would still last."""
    return replace(
        _sealed(plan, random, keys=1, timing=LONG_LEASES, mirror=Mirror.ASYNC),
        pauses=6,
        stall_share=0.0,
        points=frozenset(("before_request",)),
        fault_share=0.0,
        write_pause=0.1,
        operations=20,
        think=0.4,
        kinds=(12, 84, 4, 0, 0, 0, 0),
    )


def assembling(plan: Plan, random: Random) -> Plan:
    """Large objects are staged slowly on the target, and put together late, while keys change."""
    return replace(
        _sealed(
            plan, random, keys=2, timing=random.choice((LATE, SLOW_LOOKS)), mirror=Mirror.ASYNC
        ),
        clients=5,
        operations=16,
        fault_share=0.25,
        fates=Pair(("refused", "late"), UNKNOWN),
        shares=(0, 0, 0, 10_000),
        read_pause=Pair(0.01, 0.3),
        think=0.3,
        kinds=(45, 45, 5, 0, 0, 5, 0),
        large_share=0.8,
    )


ASSEMBLING = "assembling"
"""The corner that is drawn with the sizes of objects, so that it changes no other world."""
CORNERS: dict[str, Callable[[Plan, Random], Plan]] = {
    "lingering": lingering,
    "overstaying": overstaying,
    "judging": judging,
    "refusing": refusing,
    "erasing": erasing,
    "afterwards": afterwards,
    "suspecting": suspecting,
    "dozing": dozing,
}


def _sealed(
    plan: Plan,
    random: Random,
    *,
    keys: int,
    timing: Timing,
    mirror: Mirror,
    fallback: bool = True,
    attempts_max: int = 1,
) -> Plan:
    """Begin with both sides the same, few keys and nothing broken."""
    names = plan.keys[:keys]
    held = [key for key in names if random.random() < 0.7]
    return replace(
        plan,
        settings=replace(
            _settings(plan, timing=timing, attempts_max=attempts_max, mirror=mirror),
            fallback=fallback,
        ),
        sealed=True,
        keys=names,
        before=tuple((side, key, f"before {key}") for key in held for side in ("source", "target")),
        crashes=0,
        pauses=0,
        outages=0,
        read_fault_share=0.0,
        slow_share=0.0,
        read_pause=Pair(0.01, 0.01),
    )


def _settings(
    plan: Plan, *, timing: Timing, attempts_max: int, mirror: Mirror | None = None
) -> Settings:
    limits = replace(plan.settings.limits, attempts_max=attempts_max)
    mirror = plan.settings.mirror if mirror is None else mirror
    return replace(plan.settings, timing=timing, limits=limits, mirror=mirror)
