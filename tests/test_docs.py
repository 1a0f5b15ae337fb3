"""The documents: their Python runs, their links lead somewhere, their pages say all nine rules.

Each checker takes texts by path and returns its findings; samples that it has to find fault with
stand beside the test of the real documents.
"""

from __future__ import annotations

import ast
import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Texts = Mapping[str, str]

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
HEADING = re.compile(r"^#{1,6} +(.*?)\s*$", re.MULTILINE)
COMMAND = re.compile(r"^(?:\$ )?crossfade ([a-z]+)", re.MULTILINE)
EXAMPLE_LINES_MAX = 15
EXTERNAL = ("http://", "https://", "mailto:")


def documents() -> dict[str, str]:
    """Read every page that a reader may come to."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    found += ROOT.glob("benchmarks/*.md")
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in found}


def anchors(text: str) -> set[str]:
    """Return what links may lead to within a page, as hosts make it of headings."""
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = found.get(name, 0)
        found[name] = number + 1
        names.add(f"{name}-{number}" if number else name)
    return names


def broken_links(texts: Texts, is_there: Callable[[str], bool]) -> list[str]:
    """Every link within the repository leads to a file, and to a heading of it."""
    found = []
    for path, text in texts.items():
        for link in LINK.findall(CODE.sub("", FENCE.sub("", text))):
            if link.startswith(EXTERNAL):
                continue
            target, _, anchor = link.partition("#")
            joined = posixpath.join(posixpath.dirname(path), target)
            place = posixpath.normpath(joined) if target else path
            if not is_there(place):
                found.append(f"{path}: {link} leads nowhere")
            elif anchor and anchor not in anchors(texts.get(place, "")):
                found.append(f"{path}: {link} leads to no heading")
    return found


def is_in_the_tree(place: str) -> bool:
    return not place.startswith("..") and (ROOT / place).exists()


def examples() -> list[tuple[str, str]]:
    """Return the Python of all pages, as (page and number, code)."""
    return [
        (f"{path}:{number}", code)
        for path, text in sorted(documents().items())
        for number, code in enumerate(PYTHON.findall(text), 1)
    ]


GOOD_LINKS = {
    "README.md": "[a](docs/a.md) [b](docs/a.md#two-words-now) `[c](no.md)` [d](#top)\n\n# Top\n",
    "docs/a.md": "[up](../README.md)\n\n## Two `words`, now!\n\n````md\n```\n[x](gone.md)\n````\n",
}
BAD_LINKS = [
    {"README.md": "[a](docs/gone.md)"},
    {"README.md": "[a](#nowhere)"},
    {"README.md": "[a](a.md#gone)", "a.md": "# here"},
    {"docs/a.md": "[up](README.md)", "README.md": ""},
    {"README.md": "![a picture](gone.png)"},
]


def test_every_link_leads_somewhere() -> None:
    assert broken_links(documents(), is_in_the_tree) == []


def test_a_link_that_leads_somewhere_is_let_pass() -> None:
    assert broken_links(GOOD_LINKS, GOOD_LINKS.__contains__) == []


@pytest.mark.parametrize("texts", BAD_LINKS)
def test_a_link_that_leads_nowhere_is_found(texts: Texts) -> None:
    assert len(broken_links(texts, texts.__contains__)) == 1


@pytest.mark.parametrize(("name", "code"), examples(), ids=[name for name, _ in examples()])
def test_an_example_runs_as_it_stands(name: str, code: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", code]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert ran.returncode == 0, f"{name}: {ran.stderr}"
    assert ran.stdout


def test_the_readme_shows_two_memory_sides_in_fifteen_lines() -> None:
    first = PYTHON.findall(documents()["README.md"])[0]

    assert len([line for line in first.splitlines() if line.strip()]) <= EXAMPLE_LINES_MAX
    assert first.count("memory://") == 2
    assert {"open", "files", "put", "get", "set_percentage"} <= {
        node.attr for node in ast.walk(ast.parse(first)) if isinstance(node, ast.Attribute)
    }


def test_every_command_of_the_readme_exists() -> None:
    reference = documents()["docs/reference/cli.md"]
    named = COMMAND.findall(documents()["README.md"])

    assert len(named) >= 10
    assert [command for command in named if f"| `{command}" not in reference] == []


def test_the_protocols_page_explains_nine_rules_and_why_a_put_waits() -> None:
    page = documents()["docs/protocol.md"]

    assert re.findall(r"^\*\*([0-9])\. ", page, re.MULTILINE) == list("123456789")
    assert "## Why did my put wait?" in page
