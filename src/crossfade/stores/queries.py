"""SQL lies in files: a script for each version of a schema, and one file of named queries."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_script(name: str) -> str:
    """Return the text of ``sql/<name>.sql``."""
    return (files(__package__) / "sql" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def load_queries(name: str) -> Mapping[str, str]:
    """Return the queries of ``sql/<name>.sql`` by the names in their ``-- name:`` lines."""
    parts = _NAME.split(load_script(name))[1:]
    return {key: text.strip() for key, text in zip(parts[::2], parts[1::2], strict=True)}
