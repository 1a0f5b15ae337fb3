"""Times from a sample, and costs from a table."""

from __future__ import annotations

import random

import pytest

from crossfade.core.bills import Price, Usage, billed, copy_usage, proof_usage
from crossfade.core.estimates import Timed, estimated, fitted

PRICE = Price(name="it", as_of="2026-01-01", writes=5.0, reads=0.5, out=10.0, month=2.0)


def test_a_line_is_found_again() -> None:
    sample = [Timed(size, 0.01 + size * 1e-6) for size in (0, 10, 1_000, 50_000)]
    assert fitted(sample) == pytest.approx((0.01, 1e-6))
    assert fitted([Timed(5, 0.2), Timed(5, 0.4)]) == pytest.approx((0.3, 0.0))
    assert fitted([Timed(1, 1.0), Timed(2, 0.5)]) == pytest.approx((0.75, 0.0))
    steep = fitted([Timed(1_000, 0.1), Timed(2_000, 1.0)])
    assert steep == pytest.approx((0.0, 0.55 / 1_500))


@pytest.mark.parametrize("seed", range(5))
def test_the_whole_lies_where_it_is_said_to(seed: int) -> None:
    chance = random.Random(seed)
    everything = [
        Timed(size, (0.02 + size * 2e-8) * chance.uniform(0.5, 1.5))
        for size in (int(chance.lognormvariate(9, 2)) for _ in range(5_000))
    ]
    truth = sum(one.seconds for one in everything) / 8
    found = estimated(
        chance.sample(everything, 64),
        objects=len(everything),
        size=sum(one.bytes for one in everything),
        at_once=8,
        below=chance.randrange,
    )
    assert found is not None
    assert found.least <= found.seconds <= found.most
    assert found.least * 0.9 < truth < found.most * 1.1


def test_too_small_a_sample_says_nothing() -> None:
    few = [Timed(1, 1.0)] * 4
    chance = random.Random(0).randrange
    assert estimated(few, objects=100, size=100, at_once=1, below=chance) is None
    assert estimated([], objects=0, size=0, at_once=1, below=chance) is None
    four = estimated(few, objects=4, size=4, at_once=2, below=chance)
    assert four is not None
    assert four.seconds == pytest.approx(2.0)


def test_a_bill_is_requests_and_bytes_times_prices() -> None:
    usage = Usage(writes=2_000, reads=4_000, bytes_out=3_000_000_000)
    bill = billed(usage, PRICE, 5_000_000_000)
    assert (bill.cost, bill.month) == (10.0 + 2.0 + 30.0, 10.0)
    unknown = billed(usage, None, 1)
    assert (unknown.cost, unknown.month) == (None, None)


def test_what_a_move_asks_for_is_counted() -> None:
    source, target = copy_usage(objects=10, puts=14, size=100, listings=2)
    assert source == Usage(writes=2, reads=10, bytes_out=100)
    assert target == Usage(writes=16, reads=20)
    assert source + proof_usage(10, 100, 2) == Usage(writes=4, reads=20, bytes_out=200)
