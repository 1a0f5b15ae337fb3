"""The issue's example and small builders that the tests of `setup` share."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from crossfade.setup.configuration import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crossfade.setup.configuration import Configuration

EXAMPLE = """\
[crossfade]
enabled = true                         # the master switch, ENABLE_UNIFIED_MANAGER
[store]
url = "sqlite:///.crossfade/catalog.db"
[migrations.avatars]
enabled = true                         # ENABLE_AVATARS_MIGRATION
source = "local:///srv/files"          # local:///dir · memory://name · s3://bucket
target = "local:///mnt/new"
unit = "subject"                       # subject | key | request
mirror = "auto"                        # auto | async | sync | parallel
percentage = 0
"""


def configured(
    environment: Mapping[str, str] | None = None,
    *,
    without: str = "",
    tables: Mapping[str, Any] | None = None,
    **avatars: Any,
) -> Configuration:
    """Load the example as a mapping, with fields of its migration and whole tables replaced."""
    raw = tomllib.loads(EXAMPLE)
    raw["migrations"]["avatars"] |= avatars
    raw["migrations"]["avatars"].pop(without, None)
    raw |= tables or {}
    return load(raw, environment=environment or {})
