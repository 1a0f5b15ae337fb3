"""What a survey of two sides found, as values for programs and for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from crossfade.control.checkup import Level
from crossfade.core.tally import SIZE_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.control.survey.troubles import Trouble
    from crossfade.control.survey.walking import Walked
    from crossfade.core.bills import Bill
    from crossfade.core.estimates import Estimate
    from crossfade.core.objects import Pair
    from crossfade.core.probed import ProbeReport
    from crossfade.core.surroundings import Condition, Disk
    from crossfade.core.tally import PrefixAmount


class Verdict(StrEnum):
    """What a person can do now."""

    READY = "ready"
    LOSSES = "ready with losses"
    NOT_READY = "not ready"
    UNKNOWN = "not known"
    """It was stopped before it had seen enough to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeAmount:
    """Objects of one class of sizes: up to so many bytes, None for all that are larger."""

    up_to: int | None
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SideReport:
    """One side.

    Attributes:
        whole: whether it was listed to its end.
        prefixes: how many there are at the first depth with several.
        largest_prefixes: the largest of them.
        beside: objects below no prefix.
        largest: the largest object's size and key.
    """

    place: str
    objects: int
    bytes: int
    whole: bool
    prefixes: int
    largest_prefixes: tuple[PrefixAmount, ...]
    beside: int
    sizes: tuple[SizeAmount, ...]
    largest: tuple[int, str]
    conditions: tuple[Condition, ...] = ()
    clock_ahead_seconds: float | None = None
    disk: Disk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long it takes, in seconds; None where too little could be measured.

    Attributes:
        listing_seconds: what listing both sides took.
        reads: how many reads were measured.
        read_bytes: how much they moved.
        writes: how many writes were; 0 without a probe, and then what the target takes is a guess
            by the source's reads, up to three times as long.
        at_once: with so many requests under way.
    """

    copy: Estimate | None
    proof: Estimate | None
    listing_seconds: float
    reads: int
    read_bytes: int
    writes: int
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyReport:
    """Everything that was found.

    Attributes:
        stopped: why it did not look at everything; empty where it did.
        looked: how many objects were described.
        granted: of how many the ACL was read.
        bills: what a copy and one proof cost, by side.
        probe: what was seen of the target, where that was allowed.
    """

    verdict: Verdict
    stopped: str
    source: SideReport
    target: SideReport
    troubles: tuple[Trouble, ...]
    looked: int
    granted: int
    times: Times
    currency: str
    bills: Pair[Bill]
    probe: ProbeReport | None
    requests: int
    seconds: float


def verdict_of(troubles: Iterable[Trouble], *, stopped: bool) -> Verdict:
    """Return what the troubles add up to."""
    levels = {trouble.level for trouble in troubles}
    if Level.PROBLEM in levels:
        return Verdict.NOT_READY
    if stopped:
        return Verdict.UNKNOWN
    return Verdict.LOSSES if Level.WARNING in levels else Verdict.READY


def side_report(
    place: str,
    walked: Walked,
    *,
    conditions: tuple[Condition, ...],
    clock_ahead_seconds: float | None,
    disk: Disk | None,
) -> SideReport:
    """Describe one side as far as it was listed."""
    tally = walked.tally
    count, largest = tally.prefixes()
    bounds = (*SIZE_CLASSES, None)
    return SideReport(
        place=place,
        objects=tally.total.objects,
        bytes=tally.total.bytes,
        whole=walked.ended,
        prefixes=count,
        largest_prefixes=tuple(largest),
        beside=tally.beside.objects,
        sizes=tuple(
            SizeAmount(up_to=bound, objects=one.objects, bytes=one.bytes)
            for bound, one in zip(bounds, tally.classes, strict=True)
            if one.objects
        ),
        largest=tally.largest,
        conditions=conditions,
        clock_ahead_seconds=clock_ahead_seconds,
        disk=disk,
    )
