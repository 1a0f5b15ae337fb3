from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from crossfade import errors
from crossfade.errors import BackendUnavailableError, CrossfadeError, InvariantError
from crossfade.faces.cli.app import COMMANDS
from crossfade.faces.cli.exits import EXIT_OF, MEANING, Exit, exit_of, told

REFERENCE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text()
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
RAISED = [kind for kind in CLASSES if issubclass(kind, CrossfadeError)]


@pytest.mark.parametrize("kind", RAISED)
def test_every_kind_of_error_has_an_exit_code_of_its_own_branch(kind: type[CrossfadeError]) -> None:
    code = exit_of(kind)
    assert code in MEANING
    assert (code is Exit.BUG) == (kind is CrossfadeError)


def test_a_bug_ends_as_a_bug_and_so_does_what_nobody_knows() -> None:
    assert exit_of(InvariantError) is Exit.BUG
    assert exit_of(ZeroDivisionError) is Exit.BUG


def test_every_exit_code_has_one_meaning() -> None:
    assert list(MEANING) == list(Exit)
    assert len(set(MEANING.values())) == len(MEANING)
    assert set(EXIT_OF) <= set(CLASSES)


def test_the_reference_has_the_same_table() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", REFERENCE, re.MULTILINE)
    assert rows == [(str(int(code)), code.name, meaning) for code, meaning in MEANING.items()]


def test_the_reference_has_every_command() -> None:
    table = REFERENCE.split("## Commands")[1].split("##")[0]
    named = re.findall(r"^\| `([a-z]+)", table, re.MULTILINE)
    assert named == [name for _, name, _ in COMMANDS]


def test_an_error_is_told_with_its_place_and_its_hint_apart() -> None:
    error = BackendUnavailableError("it is away", operation="list", side="target", hint="mount it")
    said = told(error)
    assert (said.code, said.message, said.hint) == (
        "backend.unavailable",
        "target, being listed: it is away",
        "mount it",
    )
