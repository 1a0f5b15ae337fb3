from __future__ import annotations

import pytest

from crossfade.errors import BackendUnavailableError
from crossfade.files import retries
from crossfade.files.retries import AgainError, is_retryable, retrying

pytestmark = pytest.mark.anyio


async def test_pauses_grow_up_to_a_limit_and_no_library_warns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    async def go() -> None:
        async for attempt in retrying(is_retryable, 9):
            with attempt:
                raise BackendUnavailableError("away") if pauses else AgainError

    monkeypatch.setattr("anyio.sleep", note)
    with pytest.raises(BackendUnavailableError):
        await go()
    initial, most = retries.WAIT_INITIAL_SECONDS, retries.WAIT_SECONDS_MAX
    for number, pause in enumerate(pauses):
        least = min(initial * 2**number, most)
        assert least <= pause <= least + initial
    assert len(pauses) == 8
