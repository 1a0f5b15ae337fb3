"""Figures, times and keys as people read them."""

from __future__ import annotations

from crossfade.core.routing import percentage_text

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1_024
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def bytes_text(count: float) -> str:
    """Return ``1.5 MiB`` for 1,572,864."""
    unit = 0
    while count >= _STEP and unit < len(_UNITS) - 1:
        count, unit = count / _STEP, unit + 1
    return f"{count:,.0f} {_UNITS[unit]}" if unit == 0 else f"{count:,.1f} {_UNITS[unit]}"


def seconds_text(seconds: float | None) -> str:
    """Return ``2.5 h`` for 9,000; a dash for None."""
    if seconds is None:
        return "-"
    for span, unit in _SPANS:
        if seconds >= span:
            return f"{seconds / span:.1f} {unit}"
    return f"{seconds:.1f} s"


def percent_text(percentage: float) -> str:
    """Return ``12.5 %``."""
    return f"{percentage_text(round(percentage * 100))} %"


def key_text(key: str) -> str:
    """Return a key as it is, or quoted where a terminal would not show it as it is."""
    return key if key.isprintable() and key == key.strip() else repr(key)
