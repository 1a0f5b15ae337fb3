"""Writing to the target, for who allowed it: a probe, and how long writes take."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread

from crossfade.control.survey.sampling import AT_ONCE
from crossfade.core.estimates import Timed
from crossfade.core.objects import RESERVED_PREFIX
from crossfade.errors import StorageFullError
from crossfade.setup.preparing import prepare_side
from crossfade.setup.probing import probe_side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crossfade.control.survey.sides import SurveyedSide
    from crossfade.setup.probing import ProbedSide

WRITES_MAX = 32
WRITE_BYTES_MAX = 4 << 20
WRITES_BYTES_MAX = 32 << 20
OWN_FOLDER = RESERVED_PREFIX.rstrip("/")
_MADE = ("tmp", "meta", "locks")


@dataclass(frozen=True, slots=True)
class Written:
    """What writing to the target showed: what it does, and how long writes and reads took."""

    probed: ProbedSide | None = None
    writes: Sequence[Timed] = ()
    reads: Sequence[Timed] = ()


async def probe_target(target: SurveyedSide, sizes: Sequence[int]) -> Written:
    """Probe the target, and write objects of these sizes as far as the bounds go.

    Raises:
        BackendError: nothing can be written there.
    """
    chosen, budget = [], WRITES_BYTES_MAX
    for size in sizes[:WRITES_MAX]:
        wanted = min(size, WRITE_BYTES_MAX)
        if wanted <= budget:
            budget -= wanted
            chosen.append(wanted)
    if target.address.path is not None:
        return await _in_directory(target, target.address.path, chosen)
    probed = await probe_side(target.side, target.backend, target.address.url)
    if target.address.bucket is None:
        return Written(probed)
    from crossfade.backends.s3.probe_speed import timed_requests

    bucket = target.address.bucket
    return Written(probed, *await timed_requests(bucket, chosen, at_once=AT_ONCE))


async def _in_directory(target: SurveyedSide, root: Path, sizes: list[int]) -> Written:
    own = root / OWN_FOLDER
    was_there = own.exists()
    try:
        await prepare_side(target.side, target.backend)
        return await to_thread.run_sync(_time_files, own / "tmp", sizes)
    except OSError as error:
        message = f"{root}: {error.strerror}"
        hint = "make room, or let this user write there"
        raise StorageFullError(message, operation="write", side=target.side, hint=hint) from error
    finally:
        if not was_there:
            _remove_own(own)


def _time_files(folder: Path, sizes: list[int]) -> Written:
    writes, reads = [], []
    for size in sizes:
        body = secrets.token_bytes(size)
        path = folder / f"probe-{secrets.token_hex(8)}"
        began = time.perf_counter()
        try:
            with path.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            writes.append(Timed(size, time.perf_counter() - began))
            began = time.perf_counter()
            path.read_bytes()
            reads.append(Timed(size, time.perf_counter() - began))
        finally:
            path.unlink(missing_ok=True)
    return Written(None, writes, reads)


def _remove_own(own: Path) -> None:
    """Remove the folder that preparing the directory has made, unless something lies in it."""
    with suppress(OSError):
        for name in _MADE:
            (own / name).rmdir()
        (own / "moves").unlink(missing_ok=True)
        own.rmdir()
