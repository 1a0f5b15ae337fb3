"""What a probe saw, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.core.objects import ATTRIBUTE_NAMES
from crossfade.core.probed import Answered, shown_key
from crossfade.faces.cli.words import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crossfade.core.probed import ProbeReport
    from crossfade.faces.cli.output import Output

_COLUMNS = ("tried", "answer", "seen")
_KEYS_SHOWN_MAX = 6
_NAMES = {
    "listing": "listings show a write",
    "absent_key": "an absent key is not found",
    "read_after_write": "reads see the last write",
    "read_back": "bytes come back as they were",
    "range_reads": "ranges",
    "conditional_reads": "reads with If-Match",
    "create_only": "puts with If-None-Match: *",
    "swap_on_write": "puts with If-Match",
    "swap_on_delete": "deletes with If-Match",
    "checksum_sha256": "wrong SHA-256 refused",
    "checksum_md5": "wrong Content-MD5 refused",
    "tags_recur": "same bytes, same tag",
    "multipart": "uploads in parts",
}


def show_probe(output: Output, report: ProbeReport) -> None:
    """Show what was tried, and what came of it."""
    output.table(_COLUMNS, list(_rows(report)))
    output.line(f"  {report.requests:,} requests in {seconds_text(report.seconds)}")


def _rows(report: ProbeReport) -> Iterator[tuple[str, str, str]]:
    for one in report.observations:
        answered = one.answered
        if one.name == "tags_recur" and answered is not Answered.UNKNOWN:
            yield _NAMES[one.name], "yes" if answered is Answered.HONOURED else "no", one.words
        else:
            yield _NAMES.get(one.name, one.name), answered, one.words
    if report.attributes_kept is not None:
        lost = sorted(ATTRIBUTE_NAMES - report.attributes_kept)
        kept = f"{len(report.attributes_kept)} of {len(ATTRIBUTE_NAMES)}"
        yield "headers and metadata kept", kept, f"not {', '.join(lost)}" if lost else ""
    if report.keys:
        lost = [shown_key(one.key) for one in report.keys if not one.held]
        shown = ", ".join(lost[:_KEYS_SHOWN_MAX])
        more = f" and {len(lost) - _KEYS_SHOWN_MAX} more" if len(lost) > _KEYS_SHOWN_MAX else ""
        held = f"{len(report.keys) - len(lost)} of {len(report.keys)}"
        yield "odd keys held", held, f"not {shown}{more}" if lost else ""
    if report.clock_ahead_seconds is not None:
        yield "clock ahead of here", f"{report.clock_ahead_seconds:+.1f} s", "to half a second"
