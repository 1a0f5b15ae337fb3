"""Exit codes: one table for whoever calls the command line, and for every error."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from crossfade.errors import (
    AuthenticationError,
    AuthorizationError,
    BackendError,
    ConfigurationError,
    CoordinationError,
    CrossfadeError,
    InvariantError,
    MigrationError,
    MigrationNotFoundError,
    StoreError,
)


class Exit(IntEnum):
    """What a command ended with."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CONFIGURATION = 3
    NOT_IN_FORCE = 4
    DIFFERENCES = 5
    REFUSED = 6
    SIDE = 7
    BUSY = 8
    STORE = 9
    UNFINISHED = 10
    DENIED = 11
    PROBLEMS = 12
    BROKEN_PROMISE = 13
    DECLINED = 14
    OUTPUT = 15
    LOSSES = 16
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


MEANING = {
    Exit.DONE: "it was done, or there was nothing to do",
    Exit.BUG: "an error that Crossfade does not know: please report it",
    Exit.USAGE: "a command, argument or option that does not exist, or is missing",
    Exit.CONFIGURATION: "the configuration, an argument's value or a migration's name is refused",
    Exit.NOT_IN_FORCE: "`set`: the percentage was set, and 0 % is in force: a switch is off",
    Exit.DIFFERENCES: "`verify`, `key`: the sides differ where they should not, or are marked",
    Exit.REFUSED: "the migration's state does not allow it; the message names what does",
    Exit.SIDE: "the source or the target refused or failed",
    Exit.BUSY: "another process holds the lease, or the key is in doubt: try again later",
    Exit.STORE: "Crossfade's own state could not be read or written",
    Exit.UNFINISHED: (
        "`backfill`, `verify`, `repair`, `demo`: ended with something left to do or to show; "
        "it is named"
    ),
    Exit.DENIED: "the caller is not known, or not allowed to do it",
    Exit.PROBLEMS: "`check`: something keeps a migration from going on; it is named: not ready",
    Exit.BROKEN_PROMISE: "`demo`, `simulate`: a promise was broken",
    Exit.DECLINED: "the question was answered with no: nothing was done",
    Exit.OUTPUT: "stdout is closed or cannot be written; where it is closed nothing was done",
    Exit.LOSSES: "`check SOURCE TARGET`: ready, and something would be lost or change; it is named",
    Exit.INTERRUPTED: "stopped by Ctrl-C; `backfill` goes on from there, `worker` ends with 0",
    Exit.BROKEN_PIPE: "whoever read the output went away",
    Exit.TERMINATED: "stopped by SIGTERM; `backfill` goes on from there, `worker` ends with 0",
}

EXIT_OF: dict[type[BaseException], Exit] = {
    CrossfadeError: Exit.BUG,
    ConfigurationError: Exit.CONFIGURATION,
    BackendError: Exit.SIDE,
    CoordinationError: Exit.BUSY,
    MigrationError: Exit.REFUSED,
    MigrationNotFoundError: Exit.CONFIGURATION,
    StoreError: Exit.STORE,
    AuthenticationError: Exit.DENIED,
    AuthorizationError: Exit.DENIED,
    InvariantError: Exit.BUG,
}
"""A class that does not stand here ends as the nearest of those that it comes from."""


def exit_of(kind: type[BaseException]) -> Exit:
    """Return the exit code of a kind of error."""
    return next((EXIT_OF[base] for base in kind.__mro__ if base in EXIT_OF), Exit.BUG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An error as it is told: a stable code, what is wrong, what to do."""

    code: str
    message: str
    hint: str
    keys: tuple[str, ...] = ()


class UsageError(Exception):
    """Arguments that do not go together, or a confirmation that cannot be asked for."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class DeclinedError(Exception):
    """The question was answered with no."""


_DOING = {
    "prepare": "looked at",
    "list": "being listed",
    "stat": "asked for",
    "read": "reading",
    "write": "writing",
    "delete": "deleting",
}


def _placed(error: BackendError) -> str:
    """Word an error of a side with its place first: "target, writing 'k': no room left"."""
    key = f" {error.key!r}" if error.key and repr(error.key) not in error.message else ""
    doing = _DOING.get(error.operation, error.operation) + key
    place = ", ".join(part for part in (error.side or "", doing.strip()) if part)
    return f"{place}: {error.message}" if place else error.message


def told(error: CrossfadeError) -> Told:
    """Take an error apart: where it happened belongs to the message, what to do does not."""
    message = _placed(error) if isinstance(error, BackendError) else str(error)
    if error.hint:
        message = message.removesuffix(f": {error.hint}")
    keys = getattr(error, "keys", ())
    return Told(code=error.code, message=message, hint=error.hint, keys=tuple(keys))
