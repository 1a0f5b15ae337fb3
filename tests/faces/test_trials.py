from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from crossfade.faces.cli import run
from crossfade.faces.cli.exits import Exit
from crossfade.testing import demo, simulation
from crossfade.testing.demo import DemoOptions, DemoReport

if TYPE_CHECKING:
    from pathlib import Path

    from crossfade.testing.simulation import Outcome


def test_a_seed_repeats_its_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        assert run(["simulate", "--seed", "3", "--count", "2", "--json"]) == Exit.DONE
        said.append(json.loads(capsys.readouterr().out))
    assert said[0] == said[1]
    assert [one["seed"] for one in said[0]["outcomes"]] == [3, 4]
    assert run(["simulate", "--seed", "3"]) == Exit.DONE
    assert "seed 3:" in capsys.readouterr().out


def test_a_schedule_that_breaks_a_promise_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = simulation.simulate

    def broken(seed: int) -> Outcome:
        return replace(real(seed), violations=("a byte was lost",))

    monkeypatch.setattr(simulation, "simulate", broken)
    assert run(["simulate", "--seed", "3"]) == Exit.BROKEN_PROMISE
    assert "broken: a byte was lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (DemoReport(), Exit.DONE),
        (DemoReport(missed=["no rollback"]), Exit.UNFINISHED),
        (DemoReport(broken=["'k' is stale"], missed=["no rollback"]), Exit.BROKEN_PROMISE),
    ],
)
def test_the_demo_is_run_as_it_was_asked_for_and_its_verdict_is_the_exit_code(
    report: DemoReport,
    code: Exit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[DemoOptions] = []

    def instead(options: DemoOptions) -> DemoReport:
        asked.append(options)
        return report

    monkeypatch.setattr(demo, "run_demo", instead)
    arguments = ["demo", "--sabotage", "stale", "--chaos", "3", "--folder", str(tmp_path)]
    assert run([*arguments, "--seed", "5", "--keep", "--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert said["promises_kept"] == (not report.broken)
    (options,) = asked
    assert options.sides == "s3,s3"
    assert (options.sabotage, options.chaos, options.seed) == ("stale", 3, 5)
    assert (options.keep, options.quiet, options.folder) == (True, True, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--chaos", "-1"],
        ["demo", "--sabotage", "all"],
        ["demo", "--sides", "s3,local"],
        ["simulate", "--count", "0"],
    ],
)
def test_a_trial_that_cannot_be_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.USAGE
    assert "error:" in capsys.readouterr().err
