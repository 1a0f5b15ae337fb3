"""The model in ``docs/protocol/``: it runs, it catches, and it has the rules of the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from crossfade.testing.simulation.mutations import MUTATIONS

MODEL = Path(__file__).parents[2] / "docs" / "protocol" / "model.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(MODEL), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def rules() -> list[str]:
    tree = ast.parse(MODEL.read_text(encoding="utf-8"))
    return [
        field.target.id
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Rules"
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]


def test_small_scenarios_keep_every_promise() -> None:
    ran = run("list, put, new range", "complete while", "verification while completing")

    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count("ok ") == 4


@pytest.mark.parametrize("rule", ["mark", "unsealed_at_source", "extra", "complete_closed"])
def test_a_rule_taken_away_is_caught_with_a_story(rule: str) -> None:
    ran = run("--broken", rule)

    assert ran.returncode == 0, ran.stdout
    assert f"without {rule}: caught in" in ran.stdout
    assert "=> " in ran.stdout


def test_random_walks_keep_every_promise() -> None:
    assert run("--walk", "200").returncode == 0


def test_every_rule_of_the_model_is_taken_out_of_the_code_too() -> None:
    assert len(rules()) == 24
    assert set(rules()) <= set(MUTATIONS)
