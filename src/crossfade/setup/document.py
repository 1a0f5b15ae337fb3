"""Finding and reading the configuration: a TOML file or a mapping, as tables of plain values."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfade.errors import ConfigurationError
from crossfade.setup.refusals import Origin, OriginKind, Table, shown, unknown
from crossfade.setup.tables import CONFIG_VARIABLE

FILE_NAME = "crossfade.toml"
_FILE_BYTES_MAX = 1 << 20
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NAME_WORDS = "a name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter"
_TOP = ("crossfade", "store", "groups", "migrations")


@dataclass(slots=True)
class Document:
    """All tables as they were written.

    Attributes:
        path: the file; None for a mapping.
        folder: what relative places are relative to: the file's folder, or the working directory.
    """

    path: Path | None
    folder: Path
    crossfade: Table
    store: Table
    groups: dict[str, Table]
    migrations: dict[str, Table]


def find(given: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> Path:
    """Return the file to read: the one given, else ./crossfade.toml, else CROSSFADE_CONFIG.

    Raises:
        ConfigurationError: there is none; it says what to do.
    """
    if given is not None:
        return Path(given)
    if Path(FILE_NAME).exists():
        return Path(FILE_NAME)
    if named := environment.get(CONFIG_VARIABLE, ""):
        return Path(named)
    message = f"there is no {FILE_NAME} in {Path.cwd()}, and {CONFIG_VARIABLE} is not set"
    raise ConfigurationError(message, hint="run `crossfade init`, or name a file with --config")


def read(source: Path | Mapping[str, Any]) -> Document:
    """Read a file or a mapping; names and tables are checked, values not yet.

    Raises:
        ConfigurationError: no such file, no TOML, or a table or name that cannot be.
    """
    if isinstance(source, Mapping):
        try:
            plain = _plain(source)
        except RecursionError as error:
            raise _too_deep("the configuration") from error
        return _document(plain, Origin(OriginKind.ARGUMENT), None)
    path = Path(os.path.abspath(source))  # noqa: PTH100 -- resolving would follow symlinks
    return _document(_parse(path), Origin(OriginKind.FILE, str(path)), path)


def _parse(path: Path) -> dict[str, Any]:
    if path.is_fifo() or path.is_socket():
        message = f"the configuration {path} is a pipe, no regular file"
        raise ConfigurationError(message, hint="save it as a file: a pipe may never end")
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        message = f"there is no configuration file {path}"
        raise ConfigurationError(message, hint="run `crossfade init` to make one") from error
    except OSError as error:
        message = f"the configuration file {path} cannot be read: {error.strerror}"
        raise ConfigurationError(message, hint="give a file that this user can read") from error
    if len(data) > _FILE_BYTES_MAX:
        message = f"the configuration file {path} is over {_FILE_BYTES_MAX:,} bytes"
        raise ConfigurationError(message, hint="is it the right file?")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path} is not UTF-8 (at line {line})"
        raise ConfigurationError(message, hint="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML", hint=str(error)) from error
    except RecursionError as error:
        raise _too_deep(str(path)) from error


def _too_deep(what: str) -> ConfigurationError:
    message = f"{what} holds tables or lists in each other without end"
    return ConfigurationError(message, hint="no setting is more than two tables deep")


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Copy mappings into dicts, so that nothing changes under the loader's hands."""
    return {
        str(name): _plain(value) if isinstance(value, Mapping) else value
        for name, value in mapping.items()
    }


def _document(raw: dict[str, Any], origin: Origin, path: Path | None) -> Document:
    for name in raw:
        if name not in _TOP:
            raise unknown("", name, _TOP)
    return Document(
        path=path,
        folder=path.parent if path else Path.cwd(),
        crossfade=_table("crossfade", "crossfade", raw.get("crossfade", {}), origin),
        store=_table("store", "store", raw.get("store", {}), origin),
        groups=_tables("groups", raw.get("groups", {}), origin),
        migrations=_tables("migrations", raw.get("migrations", {}), origin),
    )


def _tables(kind: str, raw: object, origin: Origin) -> dict[str, Table]:
    if not isinstance(raw, dict):
        message = f"{kind} is {shown(raw)}"
        raise ConfigurationError(message, hint=f"give tables, each headed [{kind}.NAME]")
    tables = {}
    for name, values in raw.items():
        if not isinstance(values, dict):
            message = f"{kind}.{name} is {shown(values)}"
            raise ConfigurationError(message, hint=f"give a table, headed [{kind}.NAME]")
        if not _NAME.fullmatch(name):
            message = f"{kind} holds the name {shown(name)}"
            raise ConfigurationError(message, hint=_NAME_WORDS)
        tables[name] = _table(f"{kind}.{name}", f"{kind}.NAME", values, origin)
    return tables


def _table(path: str, kind: str, values: object, origin: Origin) -> Table:
    if not isinstance(values, dict):
        message = f"{path} is {shown(values)}"
        raise ConfigurationError(message, hint=f"give a table, headed [{path}]")
    return Table(path=path, kind=kind, values=values, origins=dict.fromkeys(values, origin))
