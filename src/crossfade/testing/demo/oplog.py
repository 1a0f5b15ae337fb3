"""What a process says of every operation, in a file that survives its death.

A line is in the system's hands before an operation is sent, and another one after its answer, so
that an operation under way when its process was killed is known, and known to be unknown.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Called(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """An operation is about to be sent; the fields are those of `history.Event`.

    Attributes:
        tag: the MD5 of a put's bytes, where the sides tell versions by it.
    """

    number: int
    at: float
    verb: str
    key: str
    user: str
    value: str | None = None
    requires: str = "always"
    expected: str | None = None
    tag: str = ""


class Returned(msgspec.Struct, frozen=True, array_like=True, tag="return"):
    """An operation was answered.

    Attributes:
        result: of `history.Result`.
        value: what a read found; "" for what was there before anything started.
        keys: what a listing showed.
        side: the side that answered a read.
        error: the code of an error.
        tag: a description's entity tag, where that says what its bytes are.
        again: how often the same was asked for again, because the side said so.
    """

    number: int
    at: float
    result: str
    value: str | None = None
    keys: tuple[str, ...] = ()
    side: str = ""
    error: str = ""
    tag: str = ""
    again: int = 0


class FaultSeen(msgspec.Struct, frozen=True, array_like=True, tag="fault"):
    """From now on this side fails in this process; "" for none."""

    at: float
    side: str


class Held(msgspec.Struct, frozen=True, array_like=True, tag="held"):
    """No change of the side that is to hold them is under way in this process, and none begins."""

    at: float


class StoodStill(msgspec.Struct, frozen=True, array_like=True, tag="stood"):
    """This process, or its disk, did nothing for longer than half a lease."""

    since: float
    at: float


class FellBack(msgspec.Struct, frozen=True, array_like=True, tag="fallback"):
    """The other side was asked, and did it."""

    at: float
    operation: str


class Recovered(msgspec.Struct, frozen=True, array_like=True, tag="recovered"):
    """An intent whose holder was gone was ended."""

    token: str


class Backfilled(msgspec.Struct, frozen=True, array_like=True, tag="backfilled"):
    """How far this process's backfill is; ``ended`` says why it ended, if it did."""

    copied: int
    finished: bool = False
    ended: str = ""


class Started(msgspec.Struct, frozen=True, array_like=True, tag="started"):
    """The process is at work; ``holder`` names it in leases."""

    at: float
    holder: str


Line = (
    Called | Returned | FaultSeen | Held | StoodStill | FellBack | Recovered | Backfilled | Started
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


def now() -> float:
    """Return the clock of all lines; every process of the machine has the same."""
    return time.monotonic()


class LogWriter:
    """Appends lines, each with one call to the system."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: Line) -> None:
        """Append a line."""
        os.write(self._fd, _encoder.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class LogReader:
    """Reads what has been appended since the last time; an unfinished last line is left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[Line]:
        """Yield the new lines."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].splitlines():
            yield _decoder.decode(line)
