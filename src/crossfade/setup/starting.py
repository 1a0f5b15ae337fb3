"""What `crossfade init` does: an example to start from, and nothing private in git."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crossfade.errors import ConfigurationError
from crossfade.setup.document import FILE_NAME
from crossfade.setup.sides import make_private_folder
from crossfade.setup.tables import CROSSFADE, GROUP, MIGRATION, STORE, STORE_URL, TUNABLES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from crossfade.setup.tables import Setting

EXAMPLE_NAME = "crossfade.example.toml"
STATE_FOLDER = ".crossfade"
IGNORED = (FILE_NAME, f"{STATE_FOLDER}/")

_WIDTH = 98
_GIVEN = {
    "source": '"local:///srv/files"',
    "target": '"local:///mnt/new"',
    "enabled": "true",
    "percentage": "0",
}

_HEAD = """\
# Crossfade: moves live files from a source to a target.
# Every setting that exists stands here; a line that begins with "# name = " shows its default.
# The environment wins over this file where a variable is named.
"""
_EXAMPLE_HEAD = f"""\
# An example, to be kept in git: copy it to {FILE_NAME}, which is kept out.
#
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What `write_example` did: the files that it wrote, and what it added to ``.gitignore``."""

    written: tuple[Path, ...]
    ignored: tuple[str, ...]


def write_example(folder: Path, *, force: bool = False) -> Started:
    """Write ``crossfade.toml``, its example, ``.crossfade/`` and what ``.gitignore`` lacks.

    Args:
        folder: an existing directory.
        force: write over the two files if they are there.

    Raises:
        ConfigurationError: no such directory, one of the files is there, or cannot be written.
        StoreUnavailableError: ``.crossfade/`` cannot be made.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no directory", hint="make it first")
    texts = {FILE_NAME: example(), EXAMPLE_NAME: _EXAMPLE_HEAD + example()}
    for name in texts:
        if (folder / name).exists() and not force:
            message = f"{folder / name} is there already, nothing was written"
            raise ConfigurationError(message, hint="remove it, or write over it with --force")
    try:
        # First of all, so that no moment exists in which git could take the configuration.
        ignored = ignore(folder / ".gitignore", IGNORED)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{error.filename or folder} cannot be written: {error.strerror}"
        raise ConfigurationError(message, hint="give a directory that is writable") from error
    make_private_folder(folder / STATE_FOLDER)
    (folder / STATE_FOLDER).chmod(0o700)
    return Started(written=tuple(folder / name for name in texts), ignored=ignored)


def ignore(file: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Add to a ``.gitignore`` what it does not ignore yet; what it holds stays as it is.

    Returns:
        The names that were added.
    """
    before = file.read_bytes() if file.exists() else b""
    lines = {line.strip() for line in before.decode("utf-8", "surrogateescape").splitlines()}
    missing = tuple(name for name in names if not lines & _spellings(name))
    if missing:
        newline = "\r\n" if b"\r\n" in before else "\n"
        joint = newline if before and not before.endswith(b"\n") else ""
        added = joint + "".join(name + newline for name in missing)
        with file.open("ab") as end:
            end.write(added.encode())
    return missing


def _spellings(name: str) -> set[str]:
    bare = name.rstrip("/")
    return {bare, f"/{bare}", name, f"/{name}"}


def example() -> str:
    """Return the example: both switches on, percentage 0, every other setting as a comment."""
    parts = [_HEAD, "[crossfade]", _line(CROSSFADE[0], "true")]
    parts += ["[store]", _line(STORE[0], toml(STORE_URL))]
    parts += ["[migrations.avatars]"]
    parts += [_line(own, _GIVEN.get(own.name)) for own in MIGRATION if own not in TUNABLES]
    parts += ["# What follows can also stand in [crossfade], for every migration.\n"]
    parts += [_line(setting) for setting in TUNABLES]
    parts += ["# [groups.uploads]", _line(replace(GROUP[0], default="uploads"))]
    return "\n".join(parts)


def _line(setting: Setting, given: str | None = None) -> str:
    """Explain a setting and give it: a value, or its default as a comment."""
    legal = f"{setting.legal} ({setting.variable})" if setting.variable else setting.legal
    lines = [*_wrapped(setting.meaning), *_wrapped(legal)]
    value = toml(setting.default) if given is None else given
    comment = "# " if given is None else ""
    return "".join(f"# {line}\n" for line in lines) + f"{comment}{setting.name} = {value}\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def toml(value: object) -> str:
    """Return a setting's value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:_}"
