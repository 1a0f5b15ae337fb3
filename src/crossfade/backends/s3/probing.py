"""Finding out by doing what a server can: under a prefix that belongs to no range and no listing.

Each probe has a folder of its own there, and removes it; what an earlier one left behind, because
it was killed, is removed by the next. Nothing else of the bucket is touched.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import anyio

from crossfade.backends.s3.client import Failure
from crossfade.backends.s3.headers import clock_ahead
from crossfade.backends.s3.probe_attributes import attributes_kept
from crossfade.backends.s3.probe_keys import keys_seen
from crossfade.backends.s3.probe_requests import (
    OK,
    PROBE_PREFIX,
    Asker,
    UnreadableListingError,
)
from crossfade.backends.s3.probe_trials import TRIALS
from crossfade.core.probed import LAG_SECONDS_MIN, Answered, Observation, ProbeReport
from crossfade.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.backends.s3.client import Client
    from crossfade.core.probed import KeySeen

PROBE_SECONDS_MAX = 60.0
"""After so long what is left to try stays unknown."""
CLEAN_SECONDS_MAX = 30.0
LEFTOVER_SECONDS = 2 * (PROBE_SECONDS_MAX + CLEAN_SECONDS_MAX)
"""What is older belongs to no probe that still runs."""
LISTING_SECONDS_MAX = 10.0
_LISTING_ROUNDS = 3
_LISTING_POLL_SECONDS = 0.1
_CLEAN_POLL_SECONDS = 0.5
_NOT_FOUND = 404


class Prober:
    """One probe of one bucket, or of a folder of it.

    Args:
        client: sends the requests.
        location: the side's, for errors and the report.
        leftover_seconds: how old what an earlier probe left has to be.
        seconds_max: how long it goes on trying.
    """

    def __init__(
        self,
        client: Client,
        location: str,
        *,
        leftover_seconds: float = LEFTOVER_SECONDS,
        seconds_max: float = PROBE_SECONDS_MAX,
    ) -> None:
        folder = f"{PROBE_PREFIX}{secrets.token_hex(8)}/"
        self.asker = Asker(client, location, folder)
        self._location = location
        self._leftover_seconds = leftover_seconds
        self._seconds_max = seconds_max
        self._observations: list[Observation] = []
        self._keys: tuple[KeySeen, ...] = ()
        self._kept: frozenset[str] | None = None
        self._lag: float | None = None
        self._ahead: float | None = None
        self._leftovers = 0
        self._left = 0
        self._finished = False

    async def run(self) -> ProbeReport:
        """Try everything, clean up, and return what was seen.

        Raises:
            BackendError: nothing can be written there, or the server went away.
        """
        began = time.monotonic()
        try:
            with anyio.move_on_after(self._seconds_max):
                await self._try_all()
                self._finished = True
        finally:
            with anyio.move_on_after(CLEAN_SECONDS_MAX, shield=True):
                await self._clean()
                self._left += await self.asker.purge()
        return ProbeReport(
            location=self._location,
            observations=tuple(self._observations),
            keys=self._keys,
            attributes_kept=self._kept,
            listing_lag_seconds=self._lag,
            clock_ahead_seconds=self._ahead,
            requests=self.asker.requests,
            seconds=time.monotonic() - began,
            left=self._left,
            leftovers=self._leftovers,
            finished=self._finished,
        )

    async def _try_all(self) -> None:
        await self._sweep()
        listing = await listing_lag(self.asker)
        self._lag = listing.seconds
        self._observations.append(listing.observation)
        for trial in TRIALS:
            self._observations.append(await trial(self.asker))
        self._kept = await attributes_kept(self.asker)
        self._keys = await keys_seen(self.asker)

    async def _sweep(self) -> None:
        """Compare clocks, and remove what probes left behind that were killed."""
        before = time.time()
        answer = await self.asker.ask("HEAD", "plain")
        date = answer.headers.get("date", "")
        self._ahead = clock_ahead(date, before, time.time())
        now = _date(date) or datetime.fromtimestamp(before, UTC)
        try:
            found = await self.asker.listed(PROBE_PREFIX)
        except UnreadableListingError:
            return
        old = Asker(self.asker.client, self._location, PROBE_PREFIX)
        for name, modified in found.items():
            if self._is_old(modified, now):
                answer = await old.ask("DELETE", name)
                self._leftovers += answer.status in OK
        self.asker.requests += old.requests

    def _is_old(self, modified: str, now: datetime) -> bool:
        try:
            at = datetime.fromisoformat(modified).astimezone(UTC)
        except ValueError:
            return False
        return (now - at).total_seconds() >= self._leftover_seconds

    async def _clean(self) -> None:
        """Remove every object of this probe, those too that a listing shows and nobody wrote."""
        asker = self.asker
        names = set(asker.written)
        while names:
            self._left = len(names)
            removed = await self._remove(names)
            try:
                names = await self._there(await asker.listed(asker.folder))
            except BackendError:
                return
            except UnreadableListingError:
                self._left -= removed
                return
            self._left = len(names)
            if not removed:
                return
            if names:
                await anyio.sleep(_CLEAN_POLL_SECONDS)

    async def _there(self, names: Iterable[str]) -> set[str]:
        """Return those that are there: a listing may show what was removed, or never was."""
        return {name for name in names if (await self.asker.ask("HEAD", name)).status in OK}

    async def _remove(self, names: set[str]) -> int:
        """Delete objects, the deepest first; return how many deletes were taken."""
        removed = 0
        for name in sorted(names, key=len, reverse=True):
            try:
                answer = await self.asker.send("DELETE", name)
            except (Failure, BackendError):
                continue
            removed += answer.status in OK or answer.status == _NOT_FOUND
        return removed


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Lag:
    """Whether listings are right, and after how long at most they were; None where none is."""

    observation: Observation
    seconds: float | None


async def listing_lag(asker: Asker) -> Lag:
    """Measure how long listings are wrong after a put, and after a delete."""
    worst = 0.0
    for number in range(_LISTING_ROUNDS):
        name = f"listed/{number}"
        await asker.put(name, b"listed")
        for wanted in (True, False):
            if not wanted:
                await asker.delete(name)
            try:
                lag = await _wrong_for(asker, name, wanted=wanted)
            except UnreadableListingError as error:
                words = f"a listing is {error}"
                return Lag(_of_listing(Answered.WRONG, words), None)
            worst = max(worst, lag)
            if worst > LISTING_SECONDS_MAX:
                words = f"a listing was still wrong after {worst:.1f} s"
                return Lag(_of_listing(Answered.WRONG, words), worst)
    if worst > LAG_SECONDS_MIN:
        return Lag(_of_listing(Answered.IGNORED, f"a listing was wrong for {worst:.1f} s"), worst)
    return Lag(_of_listing(Answered.HONOURED, f"right at once, {_LISTING_ROUNDS} times"), worst)


def _of_listing(answered: Answered, words: str) -> Observation:
    return Observation(name="listing", answered=answered, words=words)


async def _wrong_for(asker: Asker, name: str, *, wanted: bool) -> float:
    """Wait until a listing shows a name, or does not; return how long it was wrong."""
    began, first = time.monotonic(), True
    while True:
        asked = time.monotonic()
        found = await asker.listed(asker.folder + name)
        if ("" in found) is wanted:
            return 0.0 if first else asked - began
        first = False
        if asked - began > LISTING_SECONDS_MAX:
            return asked - began
        await anyio.sleep(_LISTING_POLL_SECONDS)
