"""What a move costs: requests and bytes times prices."""

from __future__ import annotations

from dataclasses import dataclass

_THOUSAND = 1_000
_GB = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a kind of place charges.

    Attributes:
        as_of: the day of the price list, ``2026-08-03``.
        writes: for 1,000 puts, parts and listings.
        reads: for 1,000 gets and heads.
        out: for 1 GB (10^9 bytes) that leaves it.
        month: for 1 GB kept for a month.
    """

    name: str
    as_of: str
    writes: float
    reads: float
    out: float
    month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a move asks of one side."""

    writes: int = 0
    reads: int = 0
    bytes_out: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            writes=self.writes + other.writes,
            reads=self.reads + other.reads,
            bytes_out=self.bytes_out + other.bytes_out,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one side's part costs; ``cost`` is None where nobody knows a price.

    Attributes:
        month: what keeping the objects there costs a month; None as ``cost``.
    """

    usage: Usage
    price: Price | None
    cost: float | None
    month: float | None


def billed(usage: Usage, price: Price | None, kept_bytes: int) -> Bill:
    """Return what a side's part costs, and what keeping so many bytes there does."""
    if price is None:
        return Bill(usage=usage, price=None, cost=None, month=None)
    cost = (
        usage.writes / _THOUSAND * price.writes
        + usage.reads / _THOUSAND * price.reads
        + usage.bytes_out / _GB * price.out
    )
    return Bill(usage=usage, price=price, cost=cost, month=kept_bytes / _GB * price.month)


def copy_usage(objects: int, puts: int, size: int, listings: int) -> tuple[Usage, Usage]:
    """Return what copying asks of source and target.

    Backfill lists both sides, reads each object once, asks the target for each key (a key that is
    not there takes two requests), and puts it.
    """
    return (
        Usage(writes=listings, reads=objects, bytes_out=size),
        Usage(writes=listings + puts, reads=2 * objects),
    )


def proof_usage(objects: int, size: int, listings: int) -> Usage:
    """Return what one proof asks of each side: it lists it and reads it through."""
    return Usage(writes=listings, reads=objects, bytes_out=size)
