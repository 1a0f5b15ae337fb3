"""Real files to move: those of the Python installation that runs this, of all sizes."""

from __future__ import annotations

import os
import sys
import sysconfig
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.testing.demo.mix import DOCUMENTS, GONE, HOT, KEPT, STAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX = "python/"
BYTES_MAX = 60 << 20
"""All files together, so that the run needs little room."""

SMALL_BYTES = 128 << 10
LARGE_BYTES_MAX = 6 << 20
LARGE_FILES = 12
"""Most are small; a few are large enough to be sent in several chunks."""


def copy_files(
    source: Path, count: int, holds: Callable[[str], bool] = lambda _: True
) -> tuple[dict[str, str], dict[str, str]]:
    """Copy so many files into a directory, by plain means, as they may have got there for years.

    Args:
        source: the directory.
        count: how many.
        holds: tells whether both sides can hold a key.

    Returns:
        For each key the SHA-256 of its bytes; and what the MD5 of bytes stands for.
    """
    values: dict[str, str] = {}
    tags: dict[str, str] = {}
    small: list[Path] = []
    large: list[Path] = []
    room = BYTES_MAX
    for file, size in _found():
        if len(small) + len(large) >= count:
            break
        if not holds(PREFIX + _short(file)):
            continue
        chosen = small if size <= SMALL_BYTES else large
        if chosen is large and (size > LARGE_BYTES_MAX or len(large) >= LARGE_FILES):
            continue
        if size > room:
            continue
        room -= size
        chosen.append(file)
    files = large + small
    for index in range(count):
        # A small installation gives each of its files more than once.
        file, again = files[index % len(files)], index // len(files)
        key = PREFIX + (f"again-{again}/" if again else "") + _short(file)
        data = file.read_bytes()
        path = source / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        values[key] = sha256(data).hexdigest()
        tags[md5(data, usedforsecurity=False).hexdigest()] = values[key]
    return values, tags


def put_what_stays(source: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Put one object into each folder that users write to, for a side that wants one there.

    Returns:
        As `copy_files` does.
    """
    values: dict[str, str] = {}
    tags: dict[str, str] = {}
    for folder in (HOT, DOCUMENTS, KEPT, GONE):
        key = folder + STAYS
        data = f"This stays in {folder}\n".encode()
        (source / folder).mkdir(parents=True)
        (source / key).write_bytes(data)
        values[key] = sha256(data).hexdigest()
        tags[md5(data, usedforsecurity=False).hexdigest()] = values[key]
    return values, tags


def _roots() -> list[Path]:
    paths = sysconfig.get_paths()
    found = [paths["stdlib"], paths["platstdlib"], sys.base_prefix, paths["purelib"]]
    return [Path(root) for root in dict.fromkeys(found)]


def _found() -> Iterator[tuple[Path, int]]:
    """Yield readable plain files with their sizes, each one once."""
    seen: set[str] = set()
    for root in _roots():
        for folder, inner, names in os.walk(root):
            inner.sort()
            for name in sorted(names):
                file = Path(folder) / name
                key = _short(file)
                if key in seen or file.is_symlink() or not os.access(file, os.R_OK):
                    continue
                if not file.is_file() or not _is_text(key):
                    continue
                seen.add(key)
                yield file, file.stat().st_size


def _short(file: Path) -> str:
    """Return a file's path below the first root that holds it."""
    for root in _roots():
        if file.is_relative_to(root):
            return file.relative_to(root).as_posix()
    return file.as_posix().lstrip("/")


def _is_text(key: str) -> bool:
    try:
        return len(key.encode()) < 512  # noqa: PLR2004 - far below what a key may have
    except UnicodeEncodeError:
        return False
