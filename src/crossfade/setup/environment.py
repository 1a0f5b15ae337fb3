"""The environment's variables, laid over what the file says.

A variable that is empty counts as not set: that is what a deployment's template leaves behind.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crossfade.errors import ConfigurationError
from crossfade.setup.refusals import Origin, OriginKind, shown
from crossfade.setup.tables import (
    FALLBACK_VARIABLE,
    MASTER_VARIABLE,
    PERCENTAGE_PATTERN,
    RETRIES_VARIABLE,
    SWITCH_PATTERN,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crossfade.setup.document import Document
    from crossfade.setup.refusals import Table

_WORDS = {"true": True, "1": True, "yes": True, "on": True}
_WORDS |= {"false": False, "0": False, "no": False, "off": False}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_OURS = re.compile(r"ENABLE_(?P<switch>\w+)_MIGRATION|(?P<share>\w+)_ROLLOUT_PERCENTAGE")


def variable_name(migration: str) -> str:
    """Return a migration's name as the environment spells it: ``smart-handler``: SMART_HANDLER."""
    return migration.upper().replace("-", "_")


def lay_over(document: Document, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Lay the environment over the document's tables.

    Returns:
        The variables that look like a migration's and name none of this configuration.

    Raises:
        ConfigurationError: a variable that is neither true nor false, or no number; two
            migrations that one variable would name.
    """
    _refuse_ambiguity(document)
    _switch(document.crossfade, "enabled", MASTER_VARIABLE, environment)
    for table in (document.crossfade, *document.migrations.values()):
        _switch(table, "fallback", FALLBACK_VARIABLE, environment)
        _whole(table, "max_retry_attempts", RETRIES_VARIABLE, environment)
    for name, table in document.migrations.items():
        _switch(table, "enabled", SWITCH_PATTERN.format(variable_name(name)), environment)
        variable = PERCENTAGE_PATTERN.format(variable_name(name))
        if text := environment.get(variable, "").strip():
            _set(table, "percentage", variable, text)
    return _unused(document, environment)


def _refuse_ambiguity(document: Document) -> None:
    seen: dict[str, str] = {}
    for name in document.migrations:
        other = seen.setdefault(variable_name(name), name)
        if other != name:
            message = f"migrations.{other} and migrations.{name} share the environment's name"
            hint = f"rename one: {SWITCH_PATTERN.format(variable_name(name))} would mean both"
            raise ConfigurationError(message, hint=hint)


def _unused(document: Document, environment: Mapping[str, str]) -> tuple[str, ...]:
    known = {variable_name(name) for name in document.migrations}
    found = ((name, _OURS.fullmatch(name)) for name in sorted(environment))
    return tuple(
        name for name, match in found if match and (match["switch"] or match["share"]) not in known
    )


def _switch(table: Table, name: str, variable: str, environment: Mapping[str, str]) -> None:
    if text := environment.get(variable, "").strip():
        value = _WORDS.get(text.lower())
        if value is None:
            message = f"{variable} is {shown(text)}"
            raise ConfigurationError(message, hint="give true or false")
        _set(table, name, variable, value)


def _whole(table: Table, name: str, variable: str, environment: Mapping[str, str]) -> None:
    if text := environment.get(variable, "").strip():
        if not _WHOLE.fullmatch(text):
            message = f"{variable} is {shown(text)}"
            raise ConfigurationError(message, hint=f"give {table.setting(name).legal}")
        _set(table, name, variable, int(text))


def _set(table: Table, name: str, variable: str, value: object) -> None:
    table.values[name] = value
    table.origins[name] = Origin(OriginKind.ENVIRONMENT, variable)
