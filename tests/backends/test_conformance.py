"""Every backend keeps the port's promises, and the suite tells when one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.backends.failing_ops import QuickOps

from crossfade.backends.local import LocalBackend
from crossfade.backends.memory import MemoryBackend
from crossfade.testing.conformance import BACKEND_CHECKS, check_backend

if TYPE_CHECKING:
    from pathlib import Path

    from crossfade.ports import Backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", BACKEND_CHECKS)
async def test_memory_conforms(name: str) -> None:
    check = BACKEND_CHECKS[name]
    await check(MemoryBackend())


@pytest.mark.parametrize("name", BACKEND_CHECKS)
async def test_a_local_directory_conforms(
    name: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    # Once with everything synced to the disk is enough.
    backend = LocalBackend(tmp_path, ops=None if anyio_backend_name == "asyncio" else QuickOps())
    await backend.prepare(create=True)
    check = BACKEND_CHECKS[name]
    await check(backend)
    await backend.close()


async def test_the_whole_suite_runs_on_a_fresh_side_for_each_check() -> None:
    made: list[Backend] = []

    async def make() -> Backend:
        made.append(MemoryBackend())
        return made[-1]

    await check_backend(make)
    assert len(made) == len(BACKEND_CHECKS)
