"""The end of a run: both sides compared, every operation checked, every promise judged."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES, Pair
from crossfade.testing.demo.audit import audit, histories, read_both
from crossfade.testing.demo.oplog import now
from crossfade.testing.demo.options import MIGRATION
from crossfade.testing.history import Event, Verb, Violation

if TYPE_CHECKING:
    from crossfade.ports import Backend
    from crossfade.testing.demo.audit import Audit
    from crossfade.testing.demo.scene import Scene

FAILED_SHARE_MAX = 0.01
FAILED_FEW = 3
"""So many may fail in a run so small that one is more than its share."""

KEYS_NAMED_MAX = 5
BACKFILLED_SHARE_MIN = 10 / 11
"""Users overwrite some files before backfill comes to them."""


async def judge(scene: Scene, initial: dict[str, str], doomed: str) -> None:
    """Fill in the report."""
    counted(scene)
    await _verify(scene)
    called = now()
    listing = scene.xf.files(MIGRATION).list()
    shown = tuple([info.key async for info in listing])
    scene.tally.listings.append(
        ("", shown, Event(verb=Verb.LIST, called=called, returned=now(), who="the end"))
    )
    _leave_out_listings(scene)
    found = histories(scene.tally, initial)
    for key, events in (await _last_reads(scene, list(found))).items():
        found.setdefault(key, []).extend(events)
    scene.screen.going_on(f"checking {sum(map(len, found.values())):,} events")
    result = audit(found, initial)
    scene.screen.happened(
        f"checked {result.operations:,} events on {result.checked:,} keys, "
        f"{len(result.wrong)} are wrong"
    )
    _promises(scene, result)
    _shown(scene, doomed)


def _leave_out_listings(scene: Scene) -> None:
    """Leave out what was listed during a fault where a side's listings lag.

    Such a side is listed when the other one cannot be, and nothing is promised of it then.
    """
    sides = scene.xf.files(MIGRATION).engine.sides
    if not all(sides[side].capabilities.listing_consistent for side in BOTH_SIDES):
        tally = scene.tally
        tally.listings = [one for one in tally.listings if not tally.during_a_fault(one[2])]


def counted(scene: Scene) -> None:
    """Take over what the logs add up to."""
    report, tally = scene.report, scene.tally
    tally.update()
    report.operations = tally.operations
    report.users = len(tally.users)
    report.objects_backfilled = tally.copied
    report.reads = {str(stage): sides for stage, sides in sorted(tally.reads.items())}
    report.recovered_intents = tally.recovered
    report.fallbacks = tally.fallbacks
    report.failed = len(tally.failures)
    if tally.slowest is not None:
        report.slowest_ms = round((tally.slowest.returned - tally.slowest.called) * 1_000, 1)


async def _verify(scene: Scene) -> None:
    """Compare both sides as `crossfade verify` does."""
    scene.screen.going_on("verifying both sides")
    verified = await scene.xf.verify(MIGRATION)
    scene.report.differences = verified.differences
    scene.screen.happened(
        f"verified: {verified.compared:,} keys the same on both sides, "
        f"{verified.differences} differences"
    )
    for finding in verified.findings:
        scene.report.broken.append(f"{finding.kind}: {finding.key!r} is not the same on both sides")


async def _last_reads(scene: Scene, keys: list[str]) -> dict[str, list[Event]]:
    """Read both sides past everything that could do them wrong."""
    scene.screen.going_on("reading both sides to the last key")
    root = scene.workspace.root
    source, target = scene.places.source.open(root), scene.places.target.open(root)
    sides: Pair[Backend] = Pair(source, target)
    try:
        return await read_both(sides, keys)
    finally:
        for side in BOTH_SIDES:
            await sides[side].close()


def _promises(scene: Scene, result: Audit) -> None:
    report, tally = scene.report, scene.tally
    report.stale = len(result.keys(Violation.STALE))
    report.lost = len(result.keys(Violation.LOST))
    report.resurrected = len(result.keys(Violation.RESURRECTED))
    report.differences += len(result.keys(Violation.CORRUPT, Violation.UNDECIDED))
    for key, verdict in sorted(result.wrong.items()):
        assert verdict.violation is not None
        report.broken.append(f"{verdict.violation.value}: {key!r}")
        report.notes += [f"{key!r}: {line}" for line in verdict.explanation]
    if report.open_at_end:
        report.broken.append(f"{report.open_at_end} keys did not close once writes had ended")
    outside = [f for f in tally.failures if not tally.during_a_fault(f.event)]
    unexplained = [f for f in outside if not tally.while_still(f.event)]
    if tally.still:
        longest = max(end - start for start, end in tally.still)
        report.notes.append(
            f"The machine stood still {len(tally.still)} times, for up to {longest:.1f} s: "
            f"{len(outside) - len(unexplained)} operations that failed meanwhile failed by a fault."
        )
    if tally.again:
        report.notes.append(
            f"A user asked again {tally.again:,} times: requests at once disturb each other there."
        )
    report.failed_without_fault = len(unexplained)
    for failure in unexplained[:KEYS_NAMED_MAX]:
        report.broken.append(f"failed without a fault: {failure.key!r}, {failure.error}")
    if scene.options.chaos:
        return
    events = chain.from_iterable(tally.events.values())
    during = sum(1 for event in events if tally.during_a_fault(event))
    failed = len(tally.failures) - len(outside)
    report.notes.append(f"While a side failed {failed:,} of {during:,} operations failed.")
    if failed > max(during * FAILED_SHARE_MAX, FAILED_FEW):
        report.broken.append(f"{failed:,} of {during:,} operations failed while a side failed")


def _shown(scene: Scene, doomed: str) -> None:
    """Note what the run set out to show and did not."""
    report, options = scene.report, scene.options
    if options.lose_worker and not any(
        token.startswith(f"{doomed}/") for token in report.recovered_intents
    ):
        report.missed.append("an intent of the killed worker was recovered")
    if options.outages and not report.fallbacks:
        report.missed.append("a fallback")
    if not options.chaos and report.objects_backfilled < options.files * BACKFILLED_SHARE_MIN:
        report.missed.append(f"most of {options.files:,} files backfilled")
    if report.users < options.users * 5 // 6:
        report.missed.append(f"{options.users:,} users")
    if options.sabotage is not None:
        report.notes.append(f"What was done: {scene.workspace.confessed() or 'nothing'}")
