"""The command line's commands, under their names."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from cyclopts import App, Group

from crossfade.faces.cli import moving, starting, steering, trials

_HELP = """Move a live service's files from one place to another: gradually, verified, reversibly.

The way: init, check, deploy, begin, backfill, verify, set 1 … 100, verify, complete.
Beside it: status, worker, repair. Back: rollback --emergency.
"""

FIRST = Group("First steps", sort_key=1)
STEER = Group("Steer", sort_key=2)
MOVE = Group("Move and prove", sort_key=3)
TRY = Group("Try it out", sort_key=4)

COMMANDS: tuple[tuple[Group, str, Callable[..., object]], ...] = (
    (FIRST, "init", starting.init),
    (FIRST, "check", starting.check),
    (STEER, "begin", steering.begin),
    (STEER, "status", steering.status),
    (STEER, "set", steering.set_percentage),
    (STEER, "route", steering.route),
    (STEER, "rollback", steering.rollback),
    (STEER, "complete", steering.complete),
    (MOVE, "worker", moving.worker),
    (MOVE, "backfill", moving.backfill),
    (MOVE, "verify", moving.verify),
    (MOVE, "repair", moving.repair),
    (MOVE, "key", moving.key),
    (TRY, "demo", trials.demo),
    (TRY, "simulate", trials.simulate),
)


def build() -> App:
    """Return the command line."""
    app = App(
        name="crossfade",
        help=_HELP,
        version=version("crossfade"),
        suppress_keyboard_interrupt=False,
    )
    for place, (group, name, command) in enumerate(COMMANDS):
        app.command(command, name=name, group=group, sort_key=place)
    return app
