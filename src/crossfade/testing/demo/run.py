"""A run of the demo, from an empty folder to a report."""

from __future__ import annotations

import secrets
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import anyio

from crossfade.core.objects import BOTH_SIDES
from crossfade.core.settings import Workers
from crossfade.files.tasks import task_group
from crossfade.setup.opened import open as open_crossfade
from crossfade.testing.demo.chaos import Chaos
from crossfade.testing.demo.children import Children
from crossfade.testing.demo.corpus import copy_files, put_what_stays
from crossfade.testing.demo.course import Course
from crossfade.testing.demo.judgement import judge
from crossfade.testing.demo.options import (
    LATE_SECONDS_MAX,
    LEASE_SECONDS,
    LOOK_SECONDS_MAX,
    Kind,
)
from crossfade.testing.demo.places import (
    by_hand,
    held_by,
    open_places,
    require_packages,
    source_files,
)
from crossfade.testing.demo.report import DemoReport, show
from crossfade.testing.demo.scene import Scene
from crossfade.testing.demo.screen import Screen
from crossfade.testing.demo.tally import Tally
from crossfade.testing.demo.workspace import Control, Workspace

if TYPE_CHECKING:
    from crossfade.testing.demo.options import DemoOptions


def run_demo(options: DemoOptions) -> DemoReport:
    """Run the demo, print what happens, and write `demo-report.json`.

    Raises:
        TimeoutError: it was not done within ``minutes_max``.
        ProcessDiedError: one of its processes ended by itself; it carries what it said.
    """
    require_packages(options.sides)
    workspace = Workspace.create(options.folder)
    with Screen(quiet=options.quiet) as screen:
        try:
            report = anyio.run(partial(_run, options, workspace, screen))
            report.write(options.report)
            show(report, screen.console)
        finally:
            if options.keep:
                screen.happened(f"everything stays in {workspace.root}")
                if Kind.S3 in options.sides.kinds:
                    screen.happened(f"to start its servers again: sh {workspace.servers}")
            else:
                screen.going_on(f"removing {workspace.root}")
                workspace.remove()
    return report


async def _run(options: DemoOptions, workspace: Workspace, screen: Screen) -> DemoReport:
    seed = secrets.randbits(32) if options.seed is None else options.seed
    screen.happened(
        f"seed {seed}; lease_seconds={LEASE_SECONDS}, late_seconds_max={LATE_SECONDS_MAX}, "
        f"look_seconds_max={LOOK_SECONDS_MAX}, so that recovery can be watched"
    )
    workspace.prepare()
    folder = source_files(workspace, options.sides)
    initial, tags = copy_files(folder, options.files, held_by(options.sides))
    workspace.write_keys(initial)
    if options.sides.source is Kind.S3:
        stays, more_tags = put_what_stays(folder)
        initial, tags = initial | stays, tags | more_tags
    screen.happened(f"copied {len(initial):,} files of this Python into {folder}")
    report, tally = DemoReport(sides=options.sides.value), Tally(tags)
    children = Children(workspace, options, str(seed), tally)
    with open_places(workspace, options.sides) as places:
        for side in BOTH_SIDES:
            screen.happened(f"the {side.value} is {places[side].description}")
        workspace.configure(places.source.url, places.target.url)
        workspace.write_servers(by_hand(places))
        with anyio.fail_after(options.minutes_max * 60):
            async with open_crossfade(
                workspace.configuration, environ={}, workers=Workers.SEPARATE
            ) as xf:
                scene = Scene(
                    options=options,
                    workspace=workspace,
                    screen=screen,
                    tally=tally,
                    report=report,
                    children=children,
                    xf=xf,
                    rng=Random(seed),  # noqa: S311 - a run is repeated from its seed
                    control=Control(),
                    places=places,
                )
                try:
                    await _act(scene, initial)
                finally:
                    children.end_all()
    report.seconds = round(screen.seconds, 1)
    return report


async def _act(scene: Scene, initial: dict[str, str]) -> None:
    course = Course(scene)
    await course.arrive()
    if scene.options.chaos:
        await course.make_extra()
    await course.begin()
    chaos = Chaos(scene, scene.options.chaos)
    async with task_group() as group:
        group.start_soon(chaos.run)
        await course.seal()
        await course.climb()
        await scene.until(lambda: chaos.over, "chaos", seconds_max=scene.options.minutes_max * 60)
    await course.leave()
    await judge(scene, initial, course.doomed)
