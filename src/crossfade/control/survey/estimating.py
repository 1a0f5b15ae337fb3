"""How long a move takes, and what it costs, from what a survey counted and measured."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from crossfade.control.survey.report import Times
from crossfade.control.survey.sampling import AT_ONCE
from crossfade.control.survey.walking import PAGE_KEYS
from crossfade.core.bills import Bill, Usage, billed, copy_usage, proof_usage
from crossfade.core.estimates import Estimate, Timed, estimated
from crossfade.core.objects import Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crossfade.control.survey.sampling import Sample
    from crossfade.control.survey.walking import Walked
    from crossfade.control.survey.writing import Written
    from crossfade.core.tally import Tally
    from crossfade.setup.prices import Prices
    from crossfade.setup.sides import SideAddress

UNSURE_TIMES = 3.0
"""What nobody measured of the target is taken to be up to so many times as long."""
COPY_SECONDS = 0.0025
"""Crossfade's own work for a key of a copy, its catalog's too, on one core of a small machine."""
PROOF_SECONDS = 0.001
"""And for a key of a proof."""
ASKED_FOR_ABSENT = 2
"""Requests by which a side says that it does not hold a key."""
_SEED = 2


def times_of(
    tally: Tally,
    sample: Sample,
    written: Written,
    *,
    listing_seconds: float,
    target_seconds: float,
) -> Times:
    """Return how long copy and proof take, Crossfade's own work included.

    A copy reads each object, asks the target for it, and writes it; a proof reads it on both sides.
    Both list both sides first. What was not measured of the target is taken from the source's
    reads, none shorter than the target's requests.

    Args:
        tally: what the source holds.
        sample: what was measured of the source.
        written: what was measured of the target.
        listing_seconds: how long listing both sides took.
        target_seconds: how long the target takes for a request without a body.
    """
    chance = random.Random(_SEED)  # noqa: S311 - no secret

    def of(timed: Sequence[Timed], size: int) -> Estimate | None:
        return estimated(
            timed,
            objects=tally.total.objects,
            size=size,
            at_once=AT_ONCE,
            below=chance.randrange,
        )

    size = tally.total.bytes
    listing = Estimate(seconds=listing_seconds, least=listing_seconds, most=listing_seconds)
    guessed = [Timed(one.bytes, max(one.seconds, target_seconds)) for one in sample.reads]
    read = of(sample.reads, size)
    write = of(written.writes, size) if written.writes else _unsure(of(guessed, size))
    back = of(written.reads, size) if written.reads else _unsure(of(guessed, size))
    objects = tally.total.objects
    ask = _guess(target_seconds * ASKED_FOR_ABSENT * objects / AT_ONCE)
    copy, proof = _guess(COPY_SECONDS * objects), _guess(PROOF_SECONDS * objects)
    return Times(
        copy=listing + read + ask + write + copy if read and write else None,
        proof=listing + read + back + proof if read and back else None,
        listing_seconds=listing_seconds,
        reads=len(sample.reads),
        read_bytes=sample.read_bytes,
        writes=len(written.writes),
        at_once=AT_ONCE,
    )


def _guess(seconds: float) -> Estimate:
    return Estimate(seconds=seconds, least=seconds, most=seconds * UNSURE_TIMES)


def _unsure(guess: Estimate | None) -> Estimate | None:
    if guess is None:
        return None
    return Estimate(seconds=guess.seconds, least=guess.least, most=guess.most * UNSURE_TIMES)


def bills_of(walked: Pair[Walked], urls: Pair[SideAddress], prices: Prices) -> Pair[Bill]:
    """Return what a copy and one proof cost on each side."""
    tally = walked.source.tally
    objects, size = tally.total.objects, tally.total.bytes
    listings = -(-objects // PAGE_KEYS) or 1
    read, written = copy_usage(objects, tally.puts, size, listings)
    proof = proof_usage(objects, size, listings)
    return Pair(
        _bill(read + proof, urls.source, prices, size),
        _bill(written + proof, urls.target, prices, size),
    )


def _bill(usage: Usage, address: SideAddress, prices: Prices, size: int) -> Bill:
    return billed(usage, prices.of(address), size)
