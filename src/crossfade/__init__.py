"""Move a live service's files from one place to another: gradually, verified, reversibly.

`open` (or `crossfade.sync.open` for blocking code) opens a configuration. What stands here is
what an application needs; every error is in `crossfade.errors`. Names are imported when they are
first used, so that `import crossfade` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossfade import errors, sync
    from crossfade.core.objects import Attributes, ByteRange, ObjectInfo, Side
    from crossfade.core.settings import Mirror, Unit, Workers
    from crossfade.core.steering import MigrationStatus, Share, State
    from crossfade.errors import (
        AccessDeniedError,
        AlreadyCompleteError,
        BackendError,
        BackendUnavailableError,
        ConfigurationError,
        CoordinationError,
        CrossfadeError,
        IllegalTransitionError,
        IntegrityError,
        InvalidKeyError,
        InvariantError,
        KeyInDoubtError,
        LeaseHeldError,
        MigrationError,
        MigrationNotFoundError,
        ObjectNotFoundError,
        OutcomeUnknownError,
        PreconditionError,
        StoreError,
    )
    from crossfade.files.facade import Files, ObjectReader
    from crossfade.setup.opened import Crossfade, open  # noqa: A004 - the front door's own name

__all__ = [
    "AccessDeniedError",
    "AlreadyCompleteError",
    "Attributes",
    "BackendError",
    "BackendUnavailableError",
    "ByteRange",
    "ConfigurationError",
    "CoordinationError",
    "Crossfade",
    "CrossfadeError",
    "Files",
    "IllegalTransitionError",
    "IntegrityError",
    "InvalidKeyError",
    "InvariantError",
    "KeyInDoubtError",
    "LeaseHeldError",
    "MigrationError",
    "MigrationNotFoundError",
    "MigrationStatus",
    "Mirror",
    "ObjectInfo",
    "ObjectNotFoundError",
    "ObjectReader",
    "OutcomeUnknownError",
    "PreconditionError",
    "Share",
    "Side",
    "State",
    "StoreError",
    "Unit",
    "Workers",
    "errors",
    "open",
    "sync",
]

_PLACES = {
    "crossfade.core.objects": ("Attributes", "ByteRange", "ObjectInfo", "Side"),
    "crossfade.core.settings": ("Mirror", "Unit", "Workers"),
    "crossfade.core.steering": ("MigrationStatus", "Share", "State"),
    "crossfade.files.facade": ("Files", "ObjectReader"),
    "crossfade.setup.opened": ("Crossfade", "open"),
}
_MODULES = ("errors", "sync")
_PLACE = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a name of the front door when it is first asked for."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=__name__)
    found = getattr(import_module(_PLACE.get(name, f"{__name__}.errors")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
