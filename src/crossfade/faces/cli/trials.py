"""The commands that try Crossfade out: `demo` and `simulate`. What they run is imported late."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from crossfade.core.counts import counted
from crossfade.faces.cli.exits import Exit
from crossfade.faces.cli.options import COMMON, Common
from crossfade.faces.cli.output import Answer, Output
from crossfade.faces.cli.words import seconds_text

if TYPE_CHECKING:
    from crossfade.testing.simulation import Outcome

_SEED_BITS = 32
_LEAST = Parameter(validator=Number(gte=0))


def demo(
    *,
    sides: Literal["local,local", "local,s3", "s3,s3"] = "s3,s3",
    sabotage: Literal["lost", "stale", "resurrect", "corrupt"] | None = None,
    chaos: Annotated[int, _LEAST] = 0,
    seed: int | None = None,
    keep: Annotated[bool, Parameter(negative="")] = False,
    folder: Path | None = None,
    report: Path = Path("demo-report.json"),
    common: Common = COMMON,
) -> Answer:
    """Move real files between two servers, under traffic, an outage, a kill and a rollback.

    Every answer is checked. The exit code is 13 when a promise was broken. It needs no
    configuration, and writes demo-report.json; servers need the extra `crossfade[demo]`.

    Example: `crossfade demo --sabotage lost`

    Args:
        sides: source and target: directories, or servers of S3 that run for the demo alone.
        sabotage: make one side drop, age, bring back or damage what it took; the run has to fail.
        chaos: kill processes and servers so many times at random moments.
        seed: what chance is drawn from.
        keep: leave directories, catalog and logs for a look.
        folder: where everything lies; a temporary folder by default.
        report: where the report goes.
    """
    from crossfade.testing.demo import DemoOptions, Sabotage, Sides, run_demo

    done = run_demo(
        DemoOptions(
            sides=Sides(sides),
            sabotage=None if sabotage is None else Sabotage(sabotage),
            chaos=chaos,
            seed=seed,
            keep=keep,
            folder=folder,
            report=report,
            quiet=common.json,
        )
    )
    code = Exit.DONE
    if not done.promises_kept:
        code = Exit.BROKEN_PROMISE
    elif done.missed:
        code = Exit.UNFINISHED
    data = {**done.document(), "broken": done.broken, "missed": done.missed}
    # The run itself has shown everything, as it happened.
    return Answer(data=data, show=lambda _: None, code=code)


def simulate(
    *,
    seed: int | None = None,
    count: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    common: Common = COMMON,
) -> Answer:
    """Run schedules of the real data plane on simulated sides; a seed repeats its schedule.

    The exit code is 13 when a promise was broken. It needs no configuration, and the extra
    `crossfade[demo]`.

    Example: `crossfade simulate --seed 7 --count 100`

    Args:
        seed: the first schedule's; drawn by chance where not given.
        count: how many schedules to run, with the seeds that follow.
    """
    _ = common
    from crossfade.testing.simulation import simulate as run_schedule

    first = secrets.randbits(_SEED_BITS) if seed is None else seed
    outcomes = [run_schedule(number) for number in range(first, first + count)]
    broken = [outcome for outcome in outcomes if outcome.violations]
    data = {
        "schedules": len(outcomes),
        "broken": len(broken),
        "outcomes": [_told(outcome) for outcome in outcomes],
    }
    code = Exit.BROKEN_PROMISE if broken else Exit.DONE
    return Answer(data=data, show=lambda output: _show(output, outcomes, broken), code=code)


def _told(outcome: Outcome) -> dict[str, object]:
    return {
        "seed": outcome.seed,
        "violations": outcome.violations,
        "marks": sorted(outcome.marks),
        "trace": outcome.trace,
        "calls": outcome.calls,
        "faults": outcome.faults,
        "seconds": outcome.seconds,
    }


def _show(output: Output, outcomes: list[Outcome], broken: list[Outcome]) -> None:
    for outcome in outcomes:
        output.line(
            f"seed {outcome.seed}: {counted(outcome.calls, 'call')}, "
            f"{counted(outcome.faults, 'fault')}, {seconds_text(outcome.seconds)} of virtual time"
        )
        for violation in outcome.violations:
            output.line(f"  broken: {violation}", "red")
    if broken:
        output.line(f"{counted(len(broken), 'schedule')} broke a promise", "red")
    else:
        output.line(f"{counted(len(outcomes), 'schedule')}: every promise was kept")
