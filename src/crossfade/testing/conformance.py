"""One suite for every backend: what the port asks, and what the backend itself declares.

Each check takes a prepared and empty side. With pytest::

    @pytest.mark.parametrize("name", BACKEND_CHECKS)
    async def test_conforms(name: str) -> None:
        await BACKEND_CHECKS[name](MyBackend(...))

`check_backend` runs them all. A check raises `ConformanceError` for a broken promise or a false
claim; what a backend does not declare is not asked of it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from crossfade.testing import (
    concurrency_checks,
    key_checks,
    object_checks,
    staging_checks,
)
from crossfade.testing.suite import REGISTERED, Check, ConformanceError, TestBody, body_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from crossfade.ports import Backend

__all__ = [
    "BACKEND_CHECKS",
    "Check",
    "ConformanceError",
    "TestBody",
    "body_of",
    "check_backend",
    "concurrency_checks",
    "key_checks",
    "object_checks",
    "staging_checks",
]

BACKEND_CHECKS: Mapping[str, Check] = MappingProxyType(REGISTERED)
"""Every check by its name; the modules above put theirs in."""


async def check_backend(make: Callable[[], Awaitable[Backend]]) -> None:
    """Run every check, each on a side that ``make`` returns empty; it is prepared and closed here.

    Raises:
        ConformanceError: of the first check that fails; its text begins with the check's name.
    """
    for check in BACKEND_CHECKS.values():
        backend = await make()
        try:
            await backend.prepare(create=True)
            await check(backend)
        finally:
            await backend.close()
