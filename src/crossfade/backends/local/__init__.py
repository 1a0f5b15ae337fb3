"""A side in a local directory (`backend`); `names` spells keys, `places` has the races."""

from __future__ import annotations

from crossfade.backends.local.backend import LocalBackend
from crossfade.backends.local.ops import FileOps

__all__ = ["FileOps", "LocalBackend"]
