"""The map leads somewhere: each function, test and mutation that ARCHITECTURE.md names is there.

Each checker takes the page's text and returns its findings; beside the test of the real page stand
samples that it has to find fault with.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crossfade.testing.simulation.mutations import MUTATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Checker = Callable[[str], list[str]]

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "crossfade"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")

NAMED = re.compile(r"`([\w./-]+\.py): ([\w.]+)`")
ROW = re.compile(r"^\| ([0-9]+) \|(.*)\|(.*)\|(.*)\| `(\w*)` \|$", re.MULTILINE)
RULE = re.compile(r"^\*\*([0-9]+)\. ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of rules; functions and tests as (path, name)."""

    rule: int
    functions: tuple[tuple[str, str], ...]
    tests: tuple[tuple[str, str], ...]
    mutation: str


def rows(page: str) -> Iterator[Row]:
    for number, _, functions, tests, mutation in ROW.findall(page):
        yield Row(
            int(number), tuple(NAMED.findall(functions)), tuple(NAMED.findall(tests)), mutation
        )


def place(path: str) -> Path:
    """Return a named file: paths are from the package, tests' and scripts' from the root."""
    inside = SOURCE / path
    return inside if inside.exists() else ROOT / path


@cache
def names_in(file: Path) -> frozenset[str]:
    """Return what a module defines at its top, methods and fields of classes included."""
    return frozenset(defined(ast.parse(file.read_text(encoding="utf-8")).body))


def defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef(name=name):
                yield name
                yield from (f"{name}.{inner}" for inner in defined(node.body))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                yield from (one.id for one in targets if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case _:
                pass


# -- the checkers ----------------------------------------------------------------------------------


def missing_names(page: str) -> list[str]:
    """Every `path: name` of the page exists."""
    found = []
    for path, name in NAMED.findall(page):
        file = place(path)
        if not file.is_file():
            found.append(f"{path} is not there")
        elif name not in names_in(file):
            found.append(f"{path} has no {name}")
    return found


def missing_mutations(page: str) -> list[str]:
    """Every mutation has one row, and every row a mutation of its own rule."""
    found = [row.mutation for row in rows(page)]
    wrong = [f"no row for the mutation {name}" for name in MUTATIONS if name not in found]
    wrong += [f"two rows for {name}" for name in set(found) if found.count(name) > 1]
    for row in rows(page):
        if row.mutation not in MUTATIONS:
            wrong.append(f"no mutation is called {row.mutation!r}")
        elif MUTATIONS[row.mutation].rule != row.rule:
            wrong.append(f"{row.mutation} takes out rule {MUTATIONS[row.mutation].rule}")
    return wrong


def missing_rules(page: str) -> list[str]:
    """Each rule that docs/protocol.md explains has a row, and no other."""
    explained = {int(number) for number in RULE.findall(PROTOCOL)}
    in_table = {row.rule for row in rows(page)}
    return [f"rule {number} stands on one page alone" for number in explained ^ in_table]


def incomplete_rows(page: str) -> list[str]:
    """A row names a test, and each function that its mutation replaces."""
    found = []
    for row in rows(page):
        if not any(name.startswith("test_") for _, name in row.tests):
            found.append(f"no test for {row.mutation}")
        named = {(Path(path).stem, name) for path, name in row.functions}
        replaced = MUTATIONS[row.mutation].replaced if row.mutation in MUTATIONS else ()
        for module, name, _ in replaced:
            if (module.__name__.rpartition(".")[2], name) not in named:
                found.append(f"the row of {row.mutation} does not name {name}")
    return found


# -- the tests -------------------------------------------------------------------------------------

CHECKERS: list[Checker] = [missing_names, missing_mutations, missing_rules, incomplete_rows]
TEST_OF = "`tests/test_tidy.py: test_the_tree_is_tidy`"
GOOD_ROW = f"| 9 | all closed | `core/protocol.py: open_refusal` | {TEST_OF} | `complete_closed` |"


def table(*others: str) -> str:
    """Return the page's own table with rows added."""
    return "\n".join(line for line in PAGE.splitlines() if ROW.match(line)) + "\n".join(
        ("", *others)
    )


def without_row(mutation: str) -> str:
    return "\n".join(line for line in PAGE.splitlines() if not line.endswith(f"| `{mutation}` |"))


BAD: list[tuple[Checker, str]] = [
    (missing_names, "`core/protocol.py: take_it_all`"),
    (missing_names, "`core/gone.py: take`"),
    (missing_names, "`files/reads.py: Reader.write`"),
    (missing_names, "`tests/test_tidy.py: test_that_is_not_there`"),
    (missing_mutations, without_row("mark")),
    (missing_mutations, table(GOOD_ROW)),
    (missing_mutations, table(GOOD_ROW.replace("complete_closed", "gone"))),
    (missing_mutations, PAGE.replace("| 8 | a condition", "| 7 | a condition")),
    (missing_rules, without_row("condition_waits")),
    (missing_rules, table(GOOD_ROW.replace("| 9 |", "| 10 |"))),
    (incomplete_rows, GOOD_ROW.replace(TEST_OF, "")),
    (incomplete_rows, GOOD_ROW.replace("open_refusal", "mark")),
]


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda checker: checker.__name__)
def test_the_map_leads_to_what_it_names(checker: Checker) -> None:
    assert checker(PAGE) == []


@pytest.mark.parametrize(("checker", "page"), BAD)
def test_a_map_that_leads_nowhere_is_found(checker: Checker, page: str) -> None:
    assert len(checker(page)) == 1


def test_the_table_is_read_whole() -> None:
    assert len(list(rows(PAGE))) == len(MUTATIONS)
    assert {row.rule for row in rows(PAGE)} == set(range(1, 10))
    assert list(rows(GOOD_ROW)) == [
        Row(
            9,
            (("core/protocol.py", "open_refusal"),),
            (("tests/test_tidy.py", "test_the_tree_is_tidy"),),
            "complete_closed",
        )
    ]
