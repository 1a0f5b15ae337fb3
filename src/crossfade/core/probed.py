"""What a probe saw of a side, and how that goes with what the side declares.

A side that declares more than it does is refused; one that does more than it declares is only
asked for less than it could do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.core.capabilities import Capabilities

LAG_SECONDS_MIN = 0.01
"""A listing that was right at the first look, or so soon after, does not lag."""


class Answered(StrEnum):
    """How a side treats what was asked of it."""

    HONOURED = "honoured"
    REFUSED = "refused"
    """It says that it does not do it."""
    IGNORED = "ignored"
    """It says that it did, and did as if it had not been asked."""
    WRONG = "wrong"
    """It says that it did, and did something else."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing that was tried; ``words`` say what was seen."""

    name: str
    answered: Answered
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySeen:
    """A key that was tried; ``words`` say what became of it where it is not held."""

    key: str
    held: bool
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """Everything that a probe saw.

    Attributes:
        attributes_kept: names of the fields of `Attributes` that came back as they were put; None
            where that was not tried.
        listing_lag_seconds: the longest time after which a listing was right, or the probe no
            longer waited (then ``listing`` was answered wrong); None where that was not tried.
        clock_ahead_seconds: how far the side's clock is ahead of this machine's.
        left: how many of the probe's own objects, and versions of them, could not be removed.
        leftovers: how many objects of earlier probes were found, and removed.
        finished: whether everything was tried.
    """

    location: str
    observations: tuple[Observation, ...] = ()
    keys: tuple[KeySeen, ...] = ()
    attributes_kept: frozenset[str] | None = None
    listing_lag_seconds: float | None = None
    clock_ahead_seconds: float | None = None
    requests: int = 0
    seconds: float = 0.0
    left: int = 0
    leftovers: int = 0
    finished: bool = True

    def of(self, name: str) -> Answered:
        """Return how one thing that was tried was answered."""
        found = (one.answered for one in self.observations if one.name == name)
        return next(found, Answered.UNKNOWN)


class Standing(StrEnum):
    """How a declaration goes with what was seen."""

    MORE = "more"
    """More is declared than was seen."""
    LESS = "less"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A capability of which more, or less, is declared than a probe saw."""

    capability: str
    standing: Standing
    declared: str
    seen: str


def claims(declared: Capabilities, report: ProbeReport) -> tuple[Claim, ...]:
    """Return where a declaration and a probe differ; what was not tried is not judged."""
    found = [
        *_plain(declared, report),
        *_listing(declared, report),
        *_attributes(declared, report),
        *_keys(declared, report.keys),
    ]
    return tuple(found)


def more_than_seen(found: Iterable[Claim]) -> tuple[Claim, ...]:
    """Return the claims for which a side is refused."""
    return tuple(claim for claim in found if claim.standing is Standing.MORE)


_BROKEN = frozenset({Answered.REFUSED, Answered.IGNORED, Answered.WRONG})
# A backend makes up for a server that ignores these, and says so; not for one that errs.
_MADE_UP = frozenset({Answered.REFUSED, Answered.WRONG})
_PLAIN = {
    "read_after_write": _BROKEN,
    "read_back": _BROKEN,
    "range_reads": _MADE_UP,
    "conditional_reads": _MADE_UP,
}


def _plain(declared: Capabilities, report: ProbeReport) -> Iterable[Claim]:
    for one in report.observations:
        if one.answered in _PLAIN.get(one.name, frozenset()) and getattr(declared, one.name):
            yield Claim(
                capability=one.name,
                standing=Standing.MORE,
                declared="yes",
                seen=one.words or one.answered,
            )
    if report.of("tags_recur") is Answered.HONOURED and not declared.tags_recur:
        yield Claim(
            capability="tags_recur",
            standing=Standing.MORE,
            declared="two versions never have one tag",
            seen="the same bytes twice have the same tag",
        )


def _listing(declared: Capabilities, report: ProbeReport) -> Iterable[Claim]:
    lag = report.listing_lag_seconds
    if lag is None:
        return
    consistent = declared.listing_consistent
    promised = 0.0 if consistent else declared.listing_lag_seconds
    never = report.of("listing") is Answered.WRONG
    if never or lag > max(promised, LAG_SECONDS_MIN):
        yield Claim(
            capability="listing_consistent" if consistent else "listing_lag_seconds",
            standing=Standing.MORE,
            declared=f"listings lag by at most {promised:g} s",
            seen=f"a listing was wrong for {lag:.2g} s" + (" and longer" if never else ""),
        )
    elif not declared.listing_consistent and lag <= LAG_SECONDS_MIN:
        yield Claim(
            capability="listing_consistent",
            standing=Standing.LESS,
            declared=f"listings lag by up to {promised:g} s",
            seen="every listing was right at once",
        )


def _attributes(declared: Capabilities, report: ProbeReport) -> Iterable[Claim]:
    kept = report.attributes_kept
    if kept is None:
        return
    for standing, names in (
        (Standing.MORE, declared.attributes_kept - kept),
        (Standing.LESS, kept - declared.attributes_kept),
    ):
        if names:
            more = standing is Standing.MORE
            yield Claim(
                capability="attributes_kept",
                standing=standing,
                declared=("keeps " if more else "keeps no ") + ", ".join(sorted(names)),
                seen="came back otherwise" if more else "came back as they were put",
            )


def _keys(declared: Capabilities, keys: Iterable[KeySeen]) -> Iterable[Claim]:
    seen = list(keys)
    nested = {one.key for one in seen if _is_nested(one.key, seen)}
    more: dict[str, list[KeySeen]] = {}
    less: dict[str, list[KeySeen]] = {}
    for one in seen:
        capability = _claimed(declared, one.key, nested=one.key in nested)
        if not capability and not one.held:
            name = "keys_nest" if one.key in nested else "key_pattern"
            more.setdefault(name, []).append(one)
        elif capability and one.held:
            less.setdefault(capability, []).append(one)
    if not all(one.held for one in seen if one.key in nested):
        less.pop("keys_nest", None)
    for standing, found in ((Standing.MORE, more), (Standing.LESS, less)):
        for capability, some in found.items():
            yield Claim(
                capability=capability,
                standing=standing,
                declared="holds such keys" if standing is Standing.MORE else "holds no such keys",
                seen=_of_keys(some, standing),
            )


def _is_nested(key: str, seen: list[KeySeen]) -> bool:
    return any(
        key.startswith(f"{one.key.rstrip('/')}/") or one.key.startswith(f"{key.rstrip('/')}/")
        for one in seen
        if one.key != key
    )


def _claimed(declared: Capabilities, key: str, *, nested: bool) -> str:
    """Return the capability by which a side declares not to hold a key; empty if it holds it."""
    if len(key.encode()) > declared.key_bytes_max:
        return "key_bytes_max"
    pattern = declared.key_pattern
    if pattern is not None and not re.fullmatch(pattern, key, re.DOTALL):
        return "key_pattern"
    if nested and not declared.keys_nest:
        return "keys_nest"
    return ""


_SHOWN_MAX = 3
_KEY_SHOWN_MAX = 24


def _of_keys(some: list[KeySeen], standing: Standing) -> str:
    shown = "; ".join(f"{shown_key(one.key)} {one.words}".strip() for one in some[:_SHOWN_MAX])
    if standing is Standing.LESS:
        shown = f"holds {shown}"
    return shown + (f"; and {len(some) - _SHOWN_MAX} more" if len(some) > _SHOWN_MAX else "")


def shown_key(key: str) -> str:
    """Return a key as it is shown in a table: in ASCII, and not all of a long one."""
    text = ascii(key)
    return text if len(text) <= _KEY_SHOWN_MAX else f"{text[:_KEY_SHOWN_MAX]}…"
