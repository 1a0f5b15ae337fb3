"""How long puts and gets take: a few objects below the probes' prefix, removed again."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import anyio

from crossfade.backends.s3.client import Client
from crossfade.backends.s3.probe_requests import PROBE_PREFIX, Asker
from crossfade.core.estimates import Timed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crossfade.backends.s3.addresses import S3Address

CLEAN_SECONDS_MAX = 30.0


async def timed_requests(
    address: S3Address,
    sizes: Sequence[int],
    *,
    at_once: int,
    environment: Mapping[str, str] | None = None,
) -> tuple[list[Timed], list[Timed]]:
    """Put objects of these sizes, so many at once, and get them; return how long each took.

    Raises:
        BackendError: a put or a delete was refused, or the server went away.
    """
    client = Client(address, environment=environment)
    asker = Asker(client, address.place, f"{PROBE_PREFIX}{secrets.token_hex(8)}/speed/")
    limiter = anyio.Semaphore(at_once)
    writes: list[Timed] = []
    reads: list[Timed] = []

    async def write(number: int, size: int) -> None:
        async with limiter:
            body = secrets.token_bytes(size)
            began = time.perf_counter()
            await asker.put(str(number), body)
            writes.append(Timed(size, time.perf_counter() - began))

    async def read(number: int, size: int) -> None:
        async with limiter:
            began = time.perf_counter()
            await asker.get(str(number))
            reads.append(Timed(size, time.perf_counter() - began))

    try:
        try:
            for act in (write, read):
                async with anyio.create_task_group() as group:
                    for number, size in enumerate(sizes):
                        group.start_soon(act, number, size)
        finally:
            with anyio.move_on_after(CLEAN_SECONDS_MAX, shield=True):
                for name in sorted(asker.written):
                    await asker.delete(name)
                await asker.purge()
    finally:
        with anyio.CancelScope(shield=True):
            await client.close()
    return writes, reads
