"""What a survey measured becomes times, and says where it only guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crossfade.control.survey.estimating import COPY_SECONDS, PROOF_SECONDS, times_of
from crossfade.control.survey.sampling import AT_ONCE, Sample
from crossfade.control.survey.writing import Written
from crossfade.core.estimates import Timed
from crossfade.core.tally import Tally

if TYPE_CHECKING:
    from crossfade.control.survey.report import Times

READ = [Timed(1_000, 0.08)] * 20


def of_a_thousand(reads: list[Timed], written: Written, target_seconds: float = 0.0) -> Times:
    tally = Tally()
    for number in range(1_000):
        tally.add(f"{number:04}", 1_000)
    return times_of(
        tally,
        Sample(reads=reads),
        written,
        listing_seconds=2.0,
        target_seconds=target_seconds,
    )


def test_a_measured_target_counts_as_it_was_measured() -> None:
    written = Written(None, [Timed(1_000, 0.16)] * 20, [Timed(1_000, 0.04)] * 20)
    times = of_a_thousand(READ, written)
    assert times.copy is not None
    assert times.proof is not None
    each = 1_000 / AT_ONCE
    assert times.copy.seconds == pytest.approx(2 + (0.08 + 0.16) * each + COPY_SECONDS * 1_000)
    assert times.proof.seconds == pytest.approx(2 + (0.08 + 0.04) * each + PROOF_SECONDS * 1_000)
    assert times.copy.most == pytest.approx(times.copy.seconds + 2 * COPY_SECONDS * 1_000)


def test_a_target_that_nobody_measured_is_a_guess_with_a_wide_range() -> None:
    times = of_a_thousand(READ, Written(), target_seconds=0.1)
    assert times.copy is not None
    each = 1_000 / AT_ONCE
    asked = 2 * 0.1 * each
    assert times.copy.seconds == pytest.approx(2 + (0.08 + 0.1) * each + asked + 2.5)
    assert times.copy.most == pytest.approx(2 + 0.08 * each + 3 * (0.1 * each + asked + 2.5))
    assert times.writes == 0


def test_without_reads_nothing_is_said() -> None:
    times = of_a_thousand([], Written())
    assert (times.copy, times.proof) == (None, None)
