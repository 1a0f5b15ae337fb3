"""The suite tells when a backend breaks a promise, or one that it declared itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.backends.liars import LIARS, FlipsAByte, ListsAWhileLater

from crossfade.testing.conformance import BACKEND_CHECKS, ConformanceError, check_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.ports import Backend

pytestmark = pytest.mark.anyio


def test_each_check_has_a_backend_that_fails_it() -> None:
    assert set(LIARS) == set(BACKEND_CHECKS)


@pytest.mark.parametrize(
    ("name", "liar"), [(name, liar) for name, liars in LIARS.items() for liar in liars]
)
async def test_a_check_fails_a_backend_that_lies(name: str, liar: Callable[[], Backend]) -> None:
    with pytest.raises(ConformanceError, match=name):
        await BACKEND_CHECKS[name](liar())


@pytest.mark.parametrize("name", BACKEND_CHECKS)
async def test_listings_that_lag_as_declared_are_waited_for(name: str) -> None:
    check = BACKEND_CHECKS[name]
    await check(ListsAWhileLater())


async def test_the_whole_suite_stops_at_the_first_lie() -> None:
    async def make() -> Backend:
        return FlipsAByte()

    with pytest.raises(ConformanceError, match=r"^\w+: "):
        await check_backend(make)
