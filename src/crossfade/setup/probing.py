"""Probing a side, and holding what it declares against what was seen.

A side that declares more than it does is refused before anything depends on it; the refusal says
what to write into its URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES
from crossfade.core.probed import (
    Answered,
    Claim,
    ProbeReport,
    Standing,
    claims,
    more_than_seen,
)
from crossfade.errors import BackendError, CapabilityError
from crossfade.ports import Probeable
from crossfade.setup.sides import parse_side

if TYPE_CHECKING:
    from crossfade.core.capabilities import Capabilities
    from crossfade.core.objects import Pair, Side
    from crossfade.ports import Backend

CLOCK_SECONDS_MAX = 60.0
"""Signatures are refused when clocks are a quarter of an hour apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedSide:
    """A side that was probed.

    Attributes:
        refusal: why it cannot be used as it is declared, and what to do; None where it can.
        warnings: what to look at.
        notes: what is good to know.
    """

    side: Side
    report: ProbeReport
    claims: tuple[Claim, ...]
    refusal: CapabilityError | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


async def probe_side(side: Side, backend: Backend, url: str) -> ProbedSide | None:
    """Probe a side; None where its kind needs none, as a directory, which is tried when opened.

    Raises:
        BackendError: nothing can be written there, or it went away; it names the side.
    """
    if not isinstance(backend, Probeable):
        return None
    try:
        report = await backend.probe()
    except BackendError as error:
        error.side = side.value
        raise
    return judged(side, backend.capabilities, report, url)


async def refuse_overclaims(sides: Pair[Backend], urls: Pair[str]) -> None:
    """Probe both sides, and refuse one that declares more than it does.

    Raises:
        CapabilityError: it names the side, the capability, and what to write.
        BackendError: as `probe_side` raises it.
    """
    for side in BOTH_SIDES:
        probed = await probe_side(side, sides[side], urls[side])
        if probed is not None and probed.refusal is not None:
            raise probed.refusal


def judged(side: Side, declared: Capabilities, report: ProbeReport, url: str) -> ProbedSide:
    """Say what a probe's report means for a side with that declaration."""
    found = claims(declared, report)
    return ProbedSide(
        side=side,
        report=report,
        claims=found,
        refusal=_refusal(side, report, found, url),
        warnings=tuple(_warnings(report, url)),
        notes=tuple(_notes(report, found)),
    )


def _refusal(
    side: Side, report: ProbeReport, found: tuple[Claim, ...], url: str
) -> CapabilityError | None:
    over = more_than_seen(found)
    if over:
        said = "; ".join(f"{one.capability} ({one.declared}), but {one.seen}" for one in over)
        return CapabilityError(
            f"{side}: {report.location} declares more than it does: {said}",
            hint=_what_to_write(report, url),
        )
    if report.of("absent_key") in {Answered.REFUSED, Answered.WRONG}:
        words = _words(report, "absent_key")
        message = f"{side}: {report.location} never says that a key is not there: {words}"
        return CapabilityError(message, hint="allow s3:ListBucket to these credentials")
    if report.of(_checksum(url)) is Answered.REFUSED:
        words = _words(report, _checksum(url))
        other = "sha256" if _checksum(url) == "checksum_md5" else "md5"
        message = f"{side}: {report.location} takes no such checksum: {words}"
        return CapabilityError(message, hint=f"write checksum={other} in its URL")
    return None


def _what_to_write(report: ProbeReport, url: str) -> str:
    """Name the kinds of servers that declare no more than was seen, and the most of it."""
    from crossfade.backends.s3.servers import SERVERS

    bucket = parse_side(url, folder=Path()).bucket
    prefix = bucket.prefix if bucket is not None else ""
    fitting: list[tuple[int, str]] = []
    for server in SERVERS.values():
        found = claims(server.capabilities_below(prefix), report)
        if not more_than_seen(found):
            fitting.append((len(found), server.name))
    if not fitting:
        known = ", ".join(SERVERS)
        return f"none of the servers of this release does so little ({known}): use another server"
    nearest = sorted(name for count, name in fitting if count == min(fitting)[0])
    if len(nearest) == 1:
        return f"write server={nearest[0]} in its URL"
    return f"write server={' or server='.join(nearest)} in its URL, whichever it is"


def _checksum(url: str) -> str:
    bucket = parse_side(url, folder=Path()).bucket
    return "checksum_sha256" if bucket is None else f"checksum_{bucket.checksum}"


def _warnings(report: ProbeReport, url: str) -> list[str]:
    found = []
    mine = _checksum(url)
    if report.of(mine) is Answered.IGNORED:
        other = "checksum_sha256" if mine == "checksum_md5" else "checksum_md5"
        hint = (
            f"write checksum={other.removeprefix('checksum_')} in its URL"
            if report.of(other) is Answered.HONOURED
            else "use TLS, and rely on verify"
        )
        found.append(f"a body that was damaged on its way is taken without a word: {hint}")
    ahead = report.clock_ahead_seconds
    if ahead is not None and abs(ahead) > CLOCK_SECONDS_MAX:
        found.append(clock_words(ahead))
    if report.left:
        found.append(
            f"{report.left:,} of the probe's own objects, or of their versions, below "
            ".crossfade/probe/ could not be removed: allow s3:DeleteObject and "
            "s3:DeleteObjectVersion to these credentials, or wait until listings and locks end"
        )
    if not report.finished:
        found.append(f"not everything was tried within {report.seconds:.0f} s: probe again")
    return found


def clock_words(ahead: float) -> str:
    """Say how far a side's clock is ahead, and what to do."""
    where = "ahead of" if ahead > 0 else "behind"
    return (
        f"its clock is {abs(ahead):,.0f} s {where} this machine's: set both; signatures are "
        "refused when they are 15 min apart"
    )


_SILENT = {
    "create_only": "If-None-Match on a put",
    "swap_on_write": "If-Match on a put",
    "swap_on_delete": "If-Match on a delete",
}


def _notes(report: ProbeReport, found: tuple[Claim, ...]) -> list[str]:
    notes = [
        f"less is declared than was seen: {one.capability} ({one.declared}): {one.seen}"
        for one in found
        if one.standing is Standing.LESS
    ]
    silent = [words for name, words in _SILENT.items() if report.of(name) is Answered.IGNORED]
    if silent:
        notes.append(
            f"it ignores {', '.join(silent)} without a word: Crossfade needs none of it, but your "
            "own programs must not rely on it"
        )
    if report.of("range_reads") is Answered.IGNORED:
        notes.append("a range is answered with the whole object: reading a part costs all of it")
    if report.leftovers:
        notes.append(f"{report.leftovers:,} objects that an earlier probe left were removed")
    return notes


def _words(report: ProbeReport, name: str) -> str:
    return next((one.words for one in report.observations if one.name == name), "")
