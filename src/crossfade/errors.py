"""Every exception that Crossfade raises, and how it is told to a caller.

CrossfadeError                        code, hint, retryable
├── ConfigurationError (ValueError)   found before anything moves; names field, value, range
│   ├── PlanError
│   ├── UnknownBackendError
│   ├── CapabilityError
│   └── MissingExtraError (ImportError)
├── BackendError                      side, operation, key; the driver's error is its __cause__
│   ├── ObjectNotFoundError (FileNotFoundError)
│   ├── PreconditionError
│   ├── AccessDeniedError (PermissionError)
│   ├── IntegrityError
│   ├── InvalidKeyError (ValueError)
│   ├── InvalidMetadataError (ValueError)
│   ├── ObjectTooLargeError
│   ├── StorageFullError
│   ├── SlowDownError                 retryable
│   ├── BackendUnavailableError (ConnectionError)   retryable
│   └── OutcomeUnknownError           a write that may have happened, or may yet
├── CoordinationError
│   ├── StaleEpochError
│   ├── LeaseLostError
│   ├── LeaseHeldError                retry_after
│   └── KeyInDoubtError               retry_after
├── MigrationError
│   ├── MigrationNotFoundError
│   ├── MigrationExistsError
│   ├── ConflictError
│   ├── IllegalTransitionError
│   ├── GateClosedError
│   └── AlreadyCompleteError
├── StoreError
│   ├── StoreUnavailableError         retryable
│   ├── StoreFullError
│   ├── StoreReplacedError
│   └── StoreCorruptError
├── AuthenticationError
└── AuthorizationError
InvariantError (AssertionError)       a bug in Crossfade; no handler swallows it

A backend that raises anything but OutcomeUnknownError from a write or a delete says by it that
the request was *refused for certain* (``protocol.md``): nothing of it can show any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class CrossfadeError(Exception):
    """The root of everything that a caller may want to handle.

    Attributes:
        code: a stable, dotted name of the kind of error, found in the reference.
        hint: what to do about it, as the end of a sentence; empty where the message says it.
        retryable: whether the same call may succeed later without a change.
    """

    code: ClassVar[str] = "crossfade"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class ConfigurationError(CrossfadeError, ValueError):
    """A configuration or an argument that is refused before anything moves."""

    code = "configuration"


class PlanError(ConfigurationError):
    """A plan that cannot be carried out as it is written."""

    code = "configuration.plan"


class UnknownBackendError(ConfigurationError):
    """A side's URL names a kind of backend that does not exist."""

    code = "configuration.backend"


class CapabilityError(ConfigurationError):
    """A side cannot do what the migration needs of it."""

    code = "configuration.capability"


class MissingExtraError(ConfigurationError, ImportError):
    """A feature needs an extra of the package that is not installed."""

    code = "configuration.extra"


class BackendError(CrossfadeError):
    """A side refused or failed; ``side`` is None until the request's side is known.

    Attributes:
        operation: the port's verb (`stat`, `read`, `write`, `delete`, `list`).
        key: the key that it was about; empty for a listing.
    """

    code = "backend"

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        key: str = "",
        side: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation
        self.key = key
        self.side = side

    def __str__(self) -> str:
        where = " ".join(part for part in (self.side or "", self.operation) if part)
        text = super().__str__()
        if self.key and repr(self.key) not in text:
            where = f"{where} {self.key!r}".strip()
        return f"{where}: {text}" if where else text


class ObjectNotFoundError(BackendError, FileNotFoundError):
    """The side said positively that it holds no such object."""

    code = "backend.not_found"


class PreconditionError(BackendError):
    """A caller's ``if_match`` or ``if_none_match`` does not hold."""

    code = "backend.precondition"


class AccessDeniedError(BackendError, PermissionError):
    """The side's credentials or permissions do not allow the request."""

    code = "backend.access_denied"


class IntegrityError(BackendError):
    """Bytes, size or checksum are not what they were said to be."""

    code = "backend.integrity"


class InvalidKeyError(BackendError, ValueError):
    """A key that is not legal, or that the side cannot hold."""

    code = "backend.invalid_key"


class InvalidMetadataError(BackendError, ValueError):
    """Metadata that the side cannot hold."""

    code = "backend.invalid_metadata"


class ObjectTooLargeError(BackendError):
    """An object over the limit of size of the side or of a buffer."""

    code = "backend.too_large"


class StorageFullError(BackendError):
    """The side, or the folder for temporary files, has no room left; no object was touched."""

    code = "backend.full"


class SlowDownError(BackendError):
    """The side asks to be asked less often."""

    code = "backend.slow_down"
    retryable = True


class BackendUnavailableError(BackendError, ConnectionError):
    """The side could not be reached, or failed before anything was sent."""

    code = "backend.unavailable"
    retryable = True


class OutcomeUnknownError(BackendError):
    """A write that may have taken effect, or may take effect later, or never."""

    code = "backend.outcome_unknown"
    retryable = True


class CoordinationError(CrossfadeError):
    """Another holder, or time, stands in the way."""

    code = "coordination"


class StaleEpochError(CoordinationError):
    """A newer holder has taken the named lease; what this one wrote was refused."""

    code = "coordination.stale_epoch"


class LeaseLostError(CoordinationError):
    """The holder's own lease lapsed before it was done."""

    code = "coordination.lease_lost"


class LeaseHeldError(CoordinationError):
    """Somebody else holds the lease; ``retry_after`` says in how many seconds it may be free."""

    code = "coordination.lease_held"
    retryable = True

    def __init__(self, message: str, *, retry_after: float = 0.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class KeyInDoubtError(CoordinationError):
    """A side that is needed is in doubt; ``retry_after`` says in how many seconds that ends."""

    code = "coordination.key_in_doubt"
    retryable = True

    def __init__(self, message: str, *, retry_after: float = 0.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class MigrationError(CrossfadeError):
    """The migration's state does not allow what was asked."""

    code = "migration"


class MigrationNotFoundError(MigrationError):
    """No migration of that name is configured."""

    code = "migration.not_found"


class MigrationExistsError(MigrationError):
    """A migration of that name exists with other sides."""

    code = "migration.exists"


class ConflictError(MigrationError):
    """What was to be changed had changed since it was looked at."""

    code = "migration.conflict"


class IllegalTransitionError(MigrationError):
    """The state has no such step; ``keys`` names what stands in the way, at most a hundred."""

    code = "migration.illegal_transition"

    def __init__(self, message: str, *, keys: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.keys = tuple(keys)


class GateClosedError(MigrationError):
    """The evidence does not allow the step."""

    code = "migration.gate_closed"


class AlreadyCompleteError(MigrationError):
    """The migration is complete: the way back was dropped."""

    code = "migration.already_complete"


class StoreError(CrossfadeError):
    """Crossfade's own state could not be read or written."""

    code = "store"


class StoreUnavailableError(StoreError):
    """The store is away, locked or not writable."""

    code = "store.unavailable"
    retryable = True


class StoreFullError(StoreError):
    """No room left for the store."""

    code = "store.full"


class StoreReplacedError(StoreError):
    """The store's file was removed, replaced or cut off while it was open."""

    code = "store.replaced"


class StoreCorruptError(StoreError):
    """The store is damaged, or of a version that this release does not know."""

    code = "store.corrupt"


class AuthenticationError(CrossfadeError):
    """The caller did not prove who it is."""

    code = "authentication"


class AuthorizationError(CrossfadeError):
    """The caller's role does not allow the operation."""

    code = "authorization"


class InvariantError(AssertionError):
    """A bug in Crossfade: something that cannot be was found to be."""
