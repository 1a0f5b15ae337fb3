"""What an error of the operating system means for a caller."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISREG, S_ISSOCK
from typing import TYPE_CHECKING

from crossfade.errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    InvalidKeyError,
    ObjectTooLargeError,
    OutcomeUnknownError,
    StorageFullError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT = frozenset((errno.ENOENT, errno.ENOTDIR))

_KINDS: dict[int, tuple[type[BackendError], str]] = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        (AccessDeniedError, "let this process's user read and write there"),
    ),
    errno.EROFS: (AccessDeniedError, "mount it so that it can be written"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), (StorageFullError, "make room, then try again")),
    errno.EFBIG: (ObjectTooLargeError, "the file system holds no larger file"),
    **dict.fromkeys(
        (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL),
        (InvalidKeyError, "the file system cannot hold a name of this key"),
    ),
    errno.EXDEV: (BackendError, "nothing else may be mounted below the directory"),
    errno.ELOOP: (AccessDeniedError, "symbolic links are not followed; put the file there"),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        (BackendUnavailableError, "let this process have more files open (`ulimit -n`)"),
    ),
}

# A rename or an unlink that ends so has not been done: the kernel checks these first.
_NOT_DONE = frozenset((*_KINDS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EBUSY))


class MissingError(Exception):
    """The path leads to no object; whether the whole root is there is still to be checked."""


class IrregularError(Exception):
    """Something that is neither a file nor a directory, and is not touched."""

    def __init__(self, path: str, mode: int) -> None:
        self.path = path
        self.kind = kind_of(mode)
        super().__init__(path)


def kind_of(mode: int) -> str:
    """Name what a mode stands for."""
    kinds = (
        (S_ISREG, "a file"),
        (S_ISDIR, "a directory"),
        (S_ISLNK, "a symbolic link"),
        (S_ISFIFO, "a named pipe"),
        (S_ISSOCK, "a socket"),
        (S_ISCHR, "a device"),
        (S_ISBLK, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), "no file")


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Let errors of the operating system name a whole path; it was told the last name alone."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, BackendError):
            error.filename = path
        raise


def refusal(error: OSError, operation: str, key: str) -> BackendError:
    """Tell an error that came before anything was changed."""
    number = error.errno or 0
    kind, hint = _KINDS.get(number, (BackendUnavailableError, "see to the disk, then try again"))
    where = (
        f" at {os.fsdecode(error.filename)!r}" if isinstance(error.filename, bytes | str) else ""
    )
    message = f"{os.strerror(number)}{where}"
    return kind(message, operation=operation, key=key, hint=hint)


def denial(error: IrregularError, operation: str, key: str) -> AccessDeniedError:
    """Tell that something in the way is not touched."""
    message = f"{error.path!r} is {error.kind}"
    hint = "only files and directories are read or replaced; move it away"
    return AccessDeniedError(message, operation=operation, key=key, hint=hint)


@contextmanager
def translated(operation: str, key: str) -> Iterator[None]:
    """Raise errors of the operating system as what they mean: refused for certain."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BackendError):
            raise
        raise refusal(error, operation, key) from error
    except IrregularError as error:
        raise denial(error, operation, key) from error


def is_not_done(error: OSError) -> bool:
    """Tell whether a rename or an unlink that raised this has certainly not happened."""
    return error.errno in _NOT_DONE


def unknown(error: OSError, operation: str, key: str) -> OutcomeUnknownError:
    """Tell an error that came when the change may have been made."""
    message = f"{os.strerror(error.errno or 0)} while the change was made durable"
    hint = "look at the object again"
    return OutcomeUnknownError(message, operation=operation, key=key, hint=hint)


@contextmanager
def unknown_if_failing(operation: str, key: str) -> Iterator[None]:
    """Run what follows a change: when it fails, the change may or may not last."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BackendError):
            raise
        raise unknown(error, operation, key) from error
    except IrregularError as error:
        raise denial_after(error, operation, key) from error


def denial_after(error: IrregularError, operation: str, key: str) -> OutcomeUnknownError:
    """Tell that something was put in the way after the change."""
    message = f"{error.path!r} is {error.kind}, put there meanwhile"
    hint = "look at the object again"
    return OutcomeUnknownError(message, operation=operation, key=key, hint=hint)
