"""Peak memory of one large object: ``python -m benchmarks.large_objects [--bytes N] [--json]``.

One object is put, read, backfilled and verified between two S3 servers, through the front door.
What counts is the peak of this process above that of a bare interpreter; the servers are others.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

import crossfade
from crossfade.backends.s3.addresses import parse
from crossfade.backends.s3.backend import S3Backend
from crossfade.backends.s3.client import Timeouts
from crossfade.testing.servers import ENVIRONMENT, rclone_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.core.objects import Side
    from crossfade.ports import Backend
    from crossfade.testing.servers import RunningServer

LIMIT_MIB = 150
NAME = "large"
KEY = "films/one.bin"
BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 3_600.0
STALL_SECONDS = 600.0
_STATUS = "/proc/self/status"
_ALONE = f"print(open('{_STATUS}').read())"


def peak_mib(status: str) -> float:
    """Return the most memory that a process has held, in MiB, as Linux tells it."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def interpreter_mib() -> float:
    """Return the same of an interpreter that does nothing."""
    told = subprocess.run(
        [sys.executable, "-c", _ALONE], check=True, capture_output=True, text=True
    )
    return peak_mib(told.stdout)


def write_file(path: Path, size: int) -> None:
    """Write bytes that no server can shorten."""
    block = bytearray(random.Random(0).randbytes(BLOCK_BYTES))
    with path.open("wb") as file:
        for number in range(-(-size // BLOCK_BYTES)):
            block[:8] = number.to_bytes(8, "big")
            file.write(block[: min(BLOCK_BYTES, size - number * BLOCK_BYTES)])


def configuration(folder: Path, source: RunningServer, target: RunningServer) -> dict[str, Any]:
    """Return a migration between a bucket of each server."""
    return {
        # rclone digests an object for each answer about it, which takes as long as it is large.
        "crossfade": {
            "enabled": True,
            "workers": "separate",
            "late_seconds_max": 0,
            "look_seconds_max": STALL_SECONDS,
        },
        "store": {"url": f"sqlite:///{folder / 'catalog.db'}"},
        "migrations": {
            NAME: {
                "enabled": True,
                "source": source.url(source.new_bucket()),
                "target": target.url(target.new_bucket()),
                "percentage": 0,
            }
        },
    }


def patient(migration: str, side: Side, backend: Backend) -> Backend:
    """Wait longer for an answer: on a busy machine half a minute passes over one digest."""
    del migration
    address = parse(backend.location + "&server=rclone", folder=Path(), field=side)
    return S3Backend(address, timeouts=Timeouts(stall_seconds=STALL_SECONDS))


async def move(folder: Path, raw: dict[str, Any], size: int, note: Callable[[str], None]) -> None:
    """Put, read, backfill and verify one object."""
    path = folder / "body"
    await anyio.to_thread.run_sync(write_file, path, size)
    async with crossfade.open(raw, environ={}, wrap=patient) as opened:
        note("opened")
        files = opened.files(NAME)
        await files.put(KEY, path, timeout=TIMEOUT_SECONDS)
        note("put")
        async with await files.get(KEY, timeout=TIMEOUT_SECONDS) as found:
            read = 0
            async for chunk in found:
                read += len(chunk)
        require(read == size, f"{read:,} bytes came back")
        note("read")
        await opened.begin(NAME)
        report = await files.backfill().run()
        require(report.finished, f"not backfilled: {report}")
        note("backfilled")
        proof = await files.verification().run()
        require(proof.compared == 1 and proof.proof, f"not verified: {proof}")
        note("verified")


def require(holds: bool, message: str) -> None:  # noqa: FBT001 - it reads as a sentence
    """Break off a measurement that did not do what it measures."""
    if not holds:
        raise RuntimeError(message)


def measure(folder: Path, size: int) -> dict[str, Any]:
    """Return the peaks above the interpreter's, in MiB, and the seconds of each step."""
    alone, since, steps = interpreter_mib(), time.monotonic(), dict[str, dict[str, float]]()

    def note(step: str) -> None:
        nonlocal since
        now = time.monotonic()
        above = round(peak_mib(Path(_STATUS).read_text()) - alone, 1)
        steps[step] = {"mib_above_interpreter": above, "seconds": round(now - since, 1)}
        since = now

    with ExitStack() as stack:
        servers = [
            stack.enter_context(rclone_server(folder / side)) for side in ("source", "target")
        ]
        raw = configuration(folder, *servers)
        anyio.run(move, folder, raw, size, note)
    peak = max(step["mib_above_interpreter"] for step in steps.values())
    return {
        "bytes": size,
        "interpreter_mib": round(alone, 1),
        "peak_mib_above_interpreter": peak,
        "limit_mib": LIMIT_MIB,
        "steps": steps,
    }


def main() -> int:
    """Return 1 when it took too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_objects", description=__doc__)
    parser.add_argument("--bytes", type=int, default=2 << 30, help="the object's size")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--folder", type=Path, help="where servers and bodies lie for a while")
    asked = parser.parse_args()
    os.environ.update(ENVIRONMENT)  # a side looks for its credentials there
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-", dir=asked.folder) as name:
        found = measure(Path(name), asked.bytes)
    if asked.json:
        print(json.dumps(found, indent=1))
    else:
        print(
            f"{found['bytes']:,} bytes; MiB above an interpreter's {found['interpreter_mib']:.1f}"
        )
        for step, took in found["steps"].items():
            print(f"{step:12} {took['mib_above_interpreter']:7.1f} MiB {took['seconds']:7.1f} s")
    return int(found["peak_mib_above_interpreter"] > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
