"""How a refused configuration is worded: the field, its value, and what may be given instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from crossfade.errors import ConfigurationError
from crossfade.setup.tables import STRUCTS, TABLES, is_choice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.setup.tables import Setting

Given = dict[str, Any]
"""The fields of a table that were given, checked, each of its declared type."""

_SHOWN_MAX = 60
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
_UNKNOWN = re.compile(r"unknown field `(?P<name>.*)`")
_AT = re.compile(r" - at `\$\.(?P<name>\w+)`$")


class OriginKind(StrEnum):
    """Where a value can come from, the weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ARGUMENT = "argument"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from; ``place`` is a file, a variable, or empty."""

    kind: OriginKind
    place: str = ""


@dataclass(slots=True)
class Table:
    """One table as it was written, the environment laid over it.

    Attributes:
        path: what it is called in messages, `migrations.avatars`.
        kind: its declaration, a key of `TABLES`.
    """

    path: str
    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    def called(self, name: str) -> str:
        """Return what a field is called where it was given: its path, or the variable."""
        origin = self.origins.get(name)
        if origin is not None and origin.kind is OriginKind.ENVIRONMENT:
            return origin.place
        return f"{self.path}.{name}"

    def setting(self, name: str) -> Setting:
        """Return a field's declaration."""
        return next(setting for setting in TABLES[self.kind] if setting.name == name)

    def refusal(self, name: str, why: str = "") -> ConfigurationError:
        """Word the refusal of a field's value."""
        setting = self.setting(name)
        if name not in self.values:
            message = f"{self.path}.{name} is missing"
            return ConfigurationError(message, hint=f"give {setting.legal}")
        value = self.values[name]
        message = f"{self.called(name)} is {shown(value)}{why}"
        guess = suggestion(value, setting.kind) if is_choice(setting) else ""
        return ConfigurationError(message, hint=f"give {setting.legal}{guess}")


def shown(value: object) -> str:
    """Return a value as the file would say it, cut short, and never with a secret in it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = repr(str(value))
        if "@" in text or (":" in text and "?" in text):
            scheme = _SCHEME.match(value)
            return f"{scheme[0] if scheme else ''}… (not shown: it may hold a secret)"
        return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
    if isinstance(value, int | float):
        return repr(value)[:_SHOWN_MAX]
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"of type {type(value).__name__}"


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return ``; did you mean …?`` where something known is close, else nothing."""
    wanted, words = str(name).lower(), [str(word) for word in known]
    begun = [word for word in words if wanted and word.startswith(wanted)]
    close = begun or get_close_matches(wanted, words, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(path: str, name: str, known: Iterable[str]) -> ConfigurationError:
    """Word the refusal of a name that does not exist."""
    names = list(known)
    message = f"{path}.{name} is unknown" if path else f"{name} is unknown"
    guess = suggestion(name, names).removeprefix("; ")
    return ConfigurationError(message, hint=guess or f"known are {', '.join(names)}")


def convert(table: Table) -> Given:
    """Check a table against its declaration, and return the fields that were given.

    Raises:
        ConfigurationError: it names the field, its value and what may be given.
    """
    try:
        checked = msgspec.convert(table.values, STRUCTS[table.kind])
    except msgspec.ValidationError as error:
        text = str(error)
        names = [setting.name for setting in TABLES[table.kind]]
        if found := _UNKNOWN.search(text):
            raise unknown(table.path, found["name"], names) from error
        if found := _AT.search(text):
            raise table.refusal(found["name"]) from error
        raise ConfigurationError(f"{table.path}: {text}") from error
    return {name: getattr(checked, name) for name in table.values}
