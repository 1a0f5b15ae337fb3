"""The model in ``docs/protocol/``, whole: every scenario, every rule, and many walks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[2] / "docs" / "protocol" / "model.py"


@pytest.mark.parametrize(
    "words", [(), ("--broken",), ("--walk", "20000")], ids=["scenarios", "rules", "walks"]
)
def test_nothing_breaks_a_promise_and_every_rule_is_needed(words: tuple[str, ...]) -> None:
    command = [sys.executable, str(MODEL), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout[-4_000:]
