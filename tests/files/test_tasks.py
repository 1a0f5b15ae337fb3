from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from crossfade.errors import BackendUnavailableError, InvariantError, StoreUnavailableError
from crossfade.files.tasks import task_group

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

pytestmark = pytest.mark.anyio


def fail_together(group: TaskGroup, *failures: BaseException) -> None:
    """Start a task for each failure; all are raised, whatever the first one cancels."""
    going = anyio.Event()

    async def fail(number: int, failure: BaseException) -> None:
        if number:
            with anyio.CancelScope(shield=True):
                await going.wait()
        going.set()
        raise failure

    for number, failure in reversed(list(enumerate(failures))):
        group.start_soon(fail, number, failure)


async def fail_or_wait(failure: BaseException | None) -> None:
    if failure is not None:
        raise failure
    await anyio.sleep_forever()


async def raised(*failures: BaseException, body: BaseException | None = None) -> BaseException:
    """Return what a group raises whose tasks, and body, fail."""
    try:
        async with task_group() as group:
            fail_together(group, *failures)
            await fail_or_wait(body)
    except BaseException as error:  # noqa: BLE001 - it is what the test looks at
        return error
    pytest.fail("nothing was raised")


class EndOfProcessError(BaseException):
    """Stands for what ends a process."""


async def test_the_body_s_own_group_comes_out_as_it_was() -> None:
    mine = ExceptionGroup("mine", [ValueError("a"), KeyError("b")])
    assert await raised(body=mine) is mine
    assert (mine.__cause__, mine.__context__) == (None, None)


async def test_a_body_s_failure_keeps_its_context() -> None:
    mine, before = ValueError("mine"), KeyError("before")
    mine.__context__ = before
    assert await raised(body=mine) is mine
    assert mine.__context__ is before


async def test_one_task_s_failure_comes_out_alone_and_its_own_group_whole() -> None:
    one, group = ValueError("a"), BaseExceptionGroup("g", [EndOfProcessError(), KeyError("b")])
    assert await raised(one) is one
    assert await raised(group) is group


@pytest.mark.parametrize("grave", [InvariantError("a bug"), EndOfProcessError()])
async def test_what_nothing_may_swallow_comes_out_before_other_failures(
    grave: BaseException,
) -> None:
    assert await raised(ValueError("a"), grave) is grave
    assert await raised(grave, body=ValueError("of the body")) is grave


async def test_the_body_s_failure_comes_out_before_a_task_s() -> None:
    mine = ValueError("mine")
    assert await raised(KeyError("a"), body=mine) is mine


async def test_of_several_failures_of_crossfade_the_first_comes_out() -> None:
    found = await raised(BackendUnavailableError("a"), StoreUnavailableError("b"))
    assert isinstance(found, (BackendUnavailableError, StoreUnavailableError))


async def test_several_failures_that_nothing_sets_apart_come_out_as_a_group() -> None:
    failures = ValueError("a"), KeyError("b")
    found = await raised(*failures)
    assert isinstance(found, ExceptionGroup)
    assert set(found.exceptions) == set(failures)
