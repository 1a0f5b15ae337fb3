"""Which side is asked first: policy alone, the catalog's record stays the truth.

A subject falls into one of 10,000 buckets, for ever, and is routed to the target while its bucket
is below the percentage in basis points. So a larger percentage keeps everybody who was in, and a
smaller one takes those back first who came last. Migrations of one group share a salt: at one
percentage they route a subject alike, and nobody is half moved.

`pick_side` is the fast path of every call; `route` decides the same and can say why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, assert_never

from xxhash import xxh3_64_intdigest

from crossfade.core.objects import Side
from crossfade.core.settings import Unit
from crossfade.errors import ConfigurationError, InvariantError

if TYPE_CHECKING:
    from crossfade.core.records import MigrationRow
    from crossfade.core.settings import Settings

ALGORITHM = "xxh3-64/1"
"""Names the formula of `bucket`; it is kept with a migration, and another one is refused."""

BASIS_POINTS_MAX = 10_000
DRAW_BITS = 64
PERCENTAGE_RANGE = "a percentage from 0 to 100 in steps of 0.01"

# Looking a member up in its enumeration takes about as long as hashing a subject.
_SOURCE, _TARGET = Side.SOURCE, Side.TARGET
_SUBJECT, _KEY = Unit.SUBJECT, Unit.KEY

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,20})?")
_FLOAT_NOISE = Decimal("1e-6")


class RouteReason(StrEnum):
    """What decided on the side."""

    COMPLETE = "complete"
    SWITCHED_OFF = "switched off"
    NOBODY = "nobody"
    EVERYBODY = "everybody"
    INSIDE = "inside"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The side that is asked first, and why.

    Attributes:
        reason: what decided.
        unit: the migration's unit, and `identity` what was hashed for it; None for a draw.
        stands_in: whether the key stands in for a subject that was not given.
        bucket: 0 to 9,999.
        basis_points: the share of the target that is in force, and `set_basis_points` the one
            that was set: they differ while a switch is off.
    """

    side: Side
    reason: RouteReason
    unit: Unit
    identity: str | None
    stands_in: bool
    bucket: int
    basis_points: int
    set_basis_points: int

    @property
    def why(self) -> str:
        """A sentence for whoever asks why a request went to the side where it went."""
        match self.reason:
            case RouteReason.COMPLETE:
                return "the migration is complete"
            case RouteReason.SWITCHED_OFF:
                set_to = percentage_text(self.set_basis_points)
                return f"a switch is off, so the {set_to} % that are set count as 0"
            case RouteReason.NOBODY:
                return "the percentage is 0"
            case RouteReason.EVERYBODY:
                return "the percentage is 100"
            case RouteReason.INSIDE | RouteReason.OUTSIDE:
                return self._why_by_bucket()
            case _:
                assert_never(self.reason)

    def _why_by_bucket(self) -> str:
        inside = self.reason is RouteReason.INSIDE
        relation = "below" if inside else "not below"
        share = f"{self.basis_points:,} of {percentage_text(self.basis_points)} %"
        who = "this request drew" if self.identity is None else f"{self._who()} has"
        return f"{who} bucket {self.bucket:,}, {relation} the {share}"

    def _who(self) -> str:
        if self.stands_in:
            return f"no subject was given: the key {self.identity!r}, as its own subject,"
        return f"the {self.unit} {self.identity!r}"


@lru_cache(maxsize=1_024)
def seed(salt: str) -> int:
    """Return the hash's seed: the first 8 bytes of blake2b(salt), big-endian.

    Big-endian, so that the seed is what the digest's first 16 hex digits say.
    """
    return int.from_bytes(blake2b(salt.encode()).digest()[:8], "big")


def bucket(subject: str, salt: str) -> int:
    """Return the subject's bucket, 0 to 9,999: the same in every process and release.

    Raises:
        ConfigurationError: the subject cannot be encoded as UTF-8.
    """
    try:
        return (xxh3_64_intdigest(subject.encode(), seed(salt)) * BASIS_POINTS_MAX) >> DRAW_BITS
    except UnicodeEncodeError as error:
        message = f"the subject {subject[:40]!r} is not valid Unicode"
        raise ConfigurationError(message, hint="a subject is UTF-8 text") from error


def routes_to_target(subject: str, salt: str, basis_points: int) -> bool:
    """Tell whether the subject is within the share of the target."""
    return bucket(subject, salt) < basis_points


def draw_bucket(draw: int) -> int:
    """Return the bucket of 64 random bits, for routing by request.

    Raises:
        InvariantError: more bits, or none.
    """
    if not 0 <= draw < 1 << DRAW_BITS:
        message = f"a draw has {DRAW_BITS} bits, not {draw}"
        raise InvariantError(message)
    return (draw * BASIS_POINTS_MAX) >> DRAW_BITS


def effective_basis_points(basis_points: int, *switches: bool) -> int:
    """Return what is routed: the share that is set if every switch is on, else nothing."""
    return basis_points if all(switches) else 0


def check_algorithm(algorithm: str) -> None:
    """Refuse a formula that this release does not know: it would scatter everybody anew.

    Raises:
        ConfigurationError: it names both.
    """
    if algorithm != ALGORITHM:
        message = f"the migration routes by {algorithm!r}, this release knows {ALGORITHM!r} alone"
        raise ConfigurationError(message, hint="use the release that the migration began with")


def pick_side(
    row: MigrationRow,
    settings: Settings,
    *,
    key: str,
    subject: str | None = None,
    draw: int | None = None,
) -> Side:
    """Return the side to ask first.

    Args:
        row: the migration's row, read with the look at the key.
        settings: its switches and unit.
        key: the key, or the prefix of a listing.
        subject: who the call is for. Without one (None or empty) the key is its own subject,
            so that a key still goes to one side whoever asks.
        draw: 64 random bits; needed for the unit request alone.

    Raises:
        ConfigurationError: an unknown algorithm, or a subject that is not valid Unicode.
    """
    if row.algorithm != ALGORITHM:
        check_algorithm(row.algorithm)
    if row.completed:
        return _TARGET
    share = row.basis_points if settings.enabled else 0
    if share == 0:
        return _SOURCE
    return _TARGET if _bucket(row, settings, key, subject, draw) < share else _SOURCE


def route(
    row: MigrationRow,
    settings: Settings,
    *,
    key: str,
    subject: str | None = None,
    draw: int | None = None,
) -> Route:
    """Decide as `pick_side` does, with its arguments and errors, and keep why."""
    check_algorithm(row.algorithm)
    number = _bucket(row, settings, key, subject, draw)
    share = effective_basis_points(row.basis_points, settings.enabled)
    reason = _reason(row, number, share, enabled=settings.enabled)
    goes = reason in (RouteReason.COMPLETE, RouteReason.EVERYBODY, RouteReason.INSIDE)
    by_subject = settings.unit is Unit.SUBJECT
    hashed = subject if by_subject and subject else key
    return Route(
        side=Side.TARGET if goes else Side.SOURCE,
        reason=reason,
        unit=settings.unit,
        identity=None if settings.unit is Unit.REQUEST else hashed,
        stands_in=by_subject and not subject,
        bucket=number,
        basis_points=share,
        set_basis_points=row.basis_points,
    )


def _bucket(
    row: MigrationRow, settings: Settings, key: str, subject: str | None, draw: int | None
) -> int:
    unit = settings.unit
    if unit is _SUBJECT:
        return bucket(subject or key, row.salt)
    if unit is _KEY:
        return bucket(key, row.salt)
    if draw is None:
        message = "routing by request needs a draw"
        raise InvariantError(message)
    return draw_bucket(draw)


def _reason(row: MigrationRow, number: int, share: int, *, enabled: bool) -> RouteReason:
    if row.completed:
        return RouteReason.COMPLETE
    if row.basis_points and not enabled:
        return RouteReason.SWITCHED_OFF
    if share == 0:
        return RouteReason.NOBODY
    if share >= BASIS_POINTS_MAX:
        return RouteReason.EVERYBODY
    return RouteReason.INSIDE if number < share else RouteReason.OUTSIDE


def basis_points_from_percentage(value: object, field: str = "percentage") -> int:
    """Return a percentage in basis points, 0 to 10,000.

    Args:
        value: a number, or text such as ``12.5`` or ``12.5 %``.
        field: what to call it in the error.

    Raises:
        ConfigurationError: no number, out of range, or finer than 0.01.
    """
    exact = _decimal(value)
    shown = "true" if value is True else "false" if value is False else repr(value)[:60]
    if exact is None or not exact.is_finite():
        message = f"{field} is {shown}, which is no number"
        raise ConfigurationError(message, hint=f"give {PERCENTAGE_RANGE}")
    if not 0 <= exact <= 100:  # noqa: PLR2004 -- per cent
        message = f"{field} is {shown}, which is out of range"
        raise ConfigurationError(message, hint=f"give {PERCENTAGE_RANGE}")
    points = exact * 100
    nearest = points.to_integral_value(ROUND_HALF_EVEN)
    # A float may be off by its own rounding (0.1 + 0.2); what was written as text may not.
    if abs(points - nearest) > (_FLOAT_NOISE if isinstance(value, float) else 0):
        message = f"{field} is {shown}, which is finer than 0.01"
        raise ConfigurationError(message, hint=f"give {PERCENTAGE_RANGE}")
    return int(nearest)


def percentage_text(basis_points: int) -> str:
    """Return basis points as a percentage without needless digits: ``1``, ``12.5``, ``0.01``."""
    whole, rest = divmod(basis_points, 100)
    return f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | float):
        return Decimal(repr(value))
    if isinstance(value, str):
        text = value.strip().removesuffix("%").rstrip()
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    return None
