from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import crossfade
from crossfade import errors

HEAVY = {"anyio", "apsw", "asyncio", "cyclopts", "msgspec", "rich", "stamina", "xxhash"}


def test_about_thirty_names_stand_at_the_front_door() -> None:
    assert len(crossfade.__all__) <= 36
    assert list(crossfade.__all__) == sorted(crossfade.__all__)


@pytest.mark.parametrize("name", crossfade.__all__)
def test_every_name_of_the_front_door_can_be_had(name: str) -> None:
    assert getattr(crossfade, name) is not None
    assert name in dir(crossfade)


def test_every_error_of_the_front_door_is_the_one_that_is_raised() -> None:
    classes = dict(inspect.getmembers(errors, inspect.isclass))
    for name in crossfade.__all__:
        if name.endswith("Error"):
            assert getattr(crossfade, name) is classes[name]


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = crossfade.opne


def test_to_import_crossfade_imports_nothing_heavy() -> None:
    script = "import crossfade, sys; print(*sys.modules)"
    run = [sys.executable, "-I", "-S", "-c", script]
    paths = f"import sys; sys.path[:0] = {sys.path!r}; {script}"
    run[-1] = paths
    said = subprocess.run(run, capture_output=True, check=True, text=True).stdout.split()
    assert "crossfade" in said
    assert HEAVY.isdisjoint(said)
    assert [name for name in said if name.startswith("crossfade.")] == []
