"""A survey of two places before anybody configures a migration between them.

It reads alone, unless a probe of the target is allowed; then it writes below the probes' prefix of
the target, and nowhere else. A signal stops it, and what was seen until then is told.
"""

from __future__ import annotations

import random
import secrets
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from crossfade.control.survey import troubles
from crossfade.control.survey.estimating import bills_of, times_of
from crossfade.control.survey.report import SurveyReport, side_report, verdict_of
from crossfade.control.survey.sampling import Sampler, absent_answer
from crossfade.control.survey.sides import addresses, opened
from crossfade.control.survey.walking import Walk
from crossfade.control.survey.writing import Written, probe_target
from crossfade.control.workers import STOP_SIGNALS
from crossfade.core.objects import BOTH_SIDES, KEY_BYTES_MAX, Pair
from crossfade.errors import BackendError
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from crossfade.control.survey.sides import SurveyedSide
    from crossfade.control.survey.troubles import Trouble
    from crossfade.core.surroundings import Condition
    from crossfade.setup.prices import Prices

DESCRIBE_SECONDS_MAX = 60.0
_SEED = 1  # the same sample gives the same interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a survey may do.

    Attributes:
        probe: write below the probes' prefix of the target.
        keys_max: list so many keys of each side; None for all.
        listing_seconds_max: list for so long; None for as long as it takes.
    """

    prices: Prices
    probe: bool = False
    keys_max: int | None = None
    listing_seconds_max: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a survey is."""

    doing: str
    objects: int
    bytes: int


async def survey(
    source: str, target: str, options: Options, on_progress: Callable[[Progress], None]
) -> SurveyReport:
    """Look at both sides, until that is done or SIGINT or SIGTERM.

    Raises:
        ConfigurationError: a URL that is none, or both are, or hold, one another.
        BackendError: a side is not there, or may not be listed; it names the side.
    """
    async with opened(addresses(source, target)) as sides:
        one = _Survey(sides, options, on_progress)
        with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
            async with task_group() as group:
                group.start_soon(one.stop_by_signal, signals)
                await one.run()
                group.cancel_scope.cancel()
        return one.report()


class _Survey:
    """One survey, as far as it got."""

    def __init__(
        self,
        sides: Pair[SurveyedSide],
        options: Options,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._sides = sides
        self._options = options
        self._on_progress = on_progress
        self._began = time.monotonic()
        self._scope = anyio.CancelScope()
        self._stopped = ""
        self._doing = "listing"
        self._listing_seconds = 0.0
        self._walk = Walk(sides, keys_max=options.keys_max, on_page=self._tell)
        self._sampler = Sampler(sides.source, sides.target.backend.capabilities)
        self._conditions: dict[str, tuple[Condition, ...]] = {}
        self._absent: Pair[BackendError | None] = Pair(None, None)
        self._probe_error: BackendError | None = None
        self._written = Written()

    async def stop_by_signal(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Stop at the first signal."""
        async for number in signals:
            self._stopped = "Ctrl-C" if number is signal.SIGINT else "SIGTERM"
            self._scope.cancel()

    async def run(self) -> None:
        """Look at everything; what was seen stays when it is stopped."""
        with self._scope:
            await self._surroundings()
            await self._list()
            await self._look_closely()
            if self._options.probe:
                await self._write()

    async def _surroundings(self) -> None:
        for side in BOTH_SIDES:
            inspector = self._sides[side].inspector
            if inspector is not None:
                self._conditions[side] = await inspector.bucket()

    async def _list(self) -> None:
        began = time.monotonic()
        with anyio.move_on_after(self._options.listing_seconds_max):
            await self._walk.run()
        self._listing_seconds = time.monotonic() - began

    async def _look_closely(self) -> None:
        self._doing = "looking at a sample"
        self._tell()
        kept = list(self._walk.sample.kept)
        random.Random(_SEED).shuffle(kept)  # noqa: S311 - no secret
        with anyio.move_on_after(DESCRIBE_SECONDS_MAX):
            await self._sampler.describe(kept)
        beside = kept[0].key if kept else "object"
        for side in BOTH_SIDES:
            key = f"{beside[:40]}-absent-{secrets.token_hex(8)}"
            assert len(key.encode()) <= KEY_BYTES_MAX
            answered = await absent_answer(self._sides[side], key)
            self._absent = self._absent.with_side(side, answered)
        self._doing = "reading a sample"
        self._tell()
        await self._sampler.read(kept)

    async def _write(self) -> None:
        self._doing = "probing the target"
        self._tell()
        sizes = [one.bytes for one in self._sampler.sample.reads]
        try:
            self._written = await probe_target(self._sides.target, sizes)
        except BackendError as error:
            self._probe_error = error

    def _tell(self) -> None:
        total = self._walk.walked.source.tally.total
        self._on_progress(Progress(self._doing, total.objects, total.bytes))

    def report(self) -> SurveyReport:
        """Put together what was seen."""
        found = tuple(self._troubles())
        walked, sample = self._walk.walked, self._sampler.sample
        urls = Pair(self._sides.source.address, self._sides.target.address)
        reports = [
            side_report(
                urls[side].place,
                walked[side],
                conditions=self._conditions.get(side, ()),
                clock_ahead_seconds=self._clock(side),
                disk=self._sides[side].disk(),
            )
            for side in BOTH_SIDES
        ]
        return SurveyReport(
            verdict=verdict_of(found, stopped=bool(self._stopped)),
            stopped=self._why(),
            source=reports[0],
            target=reports[1],
            troubles=found,
            looked=sample.looked,
            granted=sample.granted,
            times=times_of(
                walked.source.tally,
                sample,
                self._written,
                listing_seconds=self._listing_seconds,
                target_seconds=self._target_seconds(),
            ),
            currency=self._options.prices.currency,
            bills=bills_of(walked, urls, self._options.prices),
            probe=self._written.probed.report if self._written.probed is not None else None,
            requests=self._requests(),
            seconds=time.monotonic() - self._began,
        )

    def _why(self) -> str:
        if self._stopped:
            return f"stopped by {self._stopped}"
        short = [side for side in BOTH_SIDES if not self._walk.walked[side].ended]
        if not short:
            return ""
        return f"not all keys of {' and '.join(f'the {side}' for side in short)} were listed"

    def _troubles(self) -> Iterator[Trouble]:
        sample, tally = self._sampler.sample, self._walk.walked.source.tally
        yield from troubles.of_walk(self._walk)
        yield from troubles.of_sample(sample, tally.total.objects)
        yield from troubles.of_absent(self._absent)
        for side in BOTH_SIDES:
            yield from troubles.of_bucket(side, self._conditions.get(side, ()))
        here, there = (self._conditions.get(side, ()) for side in BOTH_SIDES)
        yield from troubles.of_both(here, there)
        for side in BOTH_SIDES:
            yield from troubles.of_clock(side, self._clock(side))
        needed = tally.total.bytes
        yield from troubles.of_disk(self._sides.target.disk(), needed, tally.total.objects)
        yield from troubles.of_probe(self._written.probed, self._probe_error)

    def _clock(self, side: str) -> float | None:
        one = next(self._sides[each] for each in BOTH_SIDES if each == side)
        return None if one.inspector is None else one.inspector.clock_ahead_seconds

    def _target_seconds(self) -> float:
        inspector = self._sides.target.inspector
        return inspector.seconds / inspector.requests if inspector and inspector.requests else 0.0

    def _requests(self) -> int:
        asked = [self._walk.walked[side].pages for side in BOTH_SIDES]
        inspectors = [self._sides[side].inspector for side in BOTH_SIDES]
        asked += [one.requests for one in inspectors if one is not None]
        written = self._written
        probe = written.probed.report.requests if written.probed is not None else 0
        return sum(asked) + len(self._sampler.sample.reads) + probe + 3 * len(written.writes)
