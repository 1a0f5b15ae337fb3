"""How long something takes that was tried on a few: a line through what was measured.

A request takes some time by itself and some for each byte. Both are fitted to the sample, and the
whole is added up from the objects and bytes that were counted, which are exact. How sure that is
comes from fitting again and again to samples drawn from the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 200
SAMPLES_MIN = 5
_TAIL = ROUNDS // 20


@dataclass(frozen=True, slots=True)
class Timed:
    """One request: how many bytes it moved, in how many seconds."""

    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds: the best guess, and between which two it lies nine times in ten, by the sample."""

    seconds: float
    least: float
    most: float

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            seconds=self.seconds + other.seconds,
            least=self.least + other.least,
            most=self.most + other.most,
        )


def fitted(sample: Sequence[Timed]) -> tuple[float, float]:
    """Return seconds for a request, and seconds for a byte; neither below 0."""
    count = len(sample)
    size = sum(one.bytes for one in sample) / count
    spent = sum(one.seconds for one in sample) / count
    spread = sum((one.bytes - size) ** 2 for one in sample)
    together = sum((one.bytes - size) * (one.seconds - spent) for one in sample)
    if spread <= 0 or together <= 0:
        return spent, 0.0
    each = together / spread
    if each * size > spent:
        return 0.0, spent / size
    return spent - each * size, each


def estimated(
    sample: Sequence[Timed],
    *,
    objects: int,
    size: int,
    at_once: int,
    below: Callable[[int], int],
) -> Estimate | None:
    """Return how long so many objects of so many bytes take; None for too small a sample.

    Args:
        sample: what was measured, with so many requests at once.
        objects: how many there are.
        size: their bytes together.
        at_once: how many requests are under way at once.
        below: returns a whole number from 0 to below the one given, by chance.
    """
    if len(sample) < min(SAMPLES_MIN, objects) or not sample:
        return None

    def total(some: Sequence[Timed]) -> float:
        request, byte = fitted(some)
        return (request * objects + byte * size) / at_once

    drawn = sorted(
        total([sample[below(len(sample))] for _ in range(len(sample))]) for _ in range(ROUNDS)
    )
    whole = total(sample)
    return Estimate(
        seconds=whole, least=min(whole, drawn[_TAIL]), most=max(whole, drawn[-_TAIL - 1])
    )
