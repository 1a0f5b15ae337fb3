"""The commands that steer: `begin`, `status`, `set`, `route`, `rollback`, `complete`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from crossfade.control.directories import laid_open
from crossfade.control.leaving import what_a_plain_client_misses
from crossfade.control.overlap import held_at_begin
from crossfade.control.route_report import route_report
from crossfade.control.status import MigrationReport, StatusReport, status_report, warnings_of
from crossfade.core.counts import counted
from crossfade.core.settings import Workers
from crossfade.core.steering import MigrationStatus, Rollback, RolledBack, State, Step
from crossfade.faces.cli.exits import Exit, UsageError
from crossfade.faces.cli.options import COMMON, Common, require_key
from crossfade.faces.cli.output import Answer, Output
from crossfade.faces.cli.words import percent_text, seconds_text
from crossfade.setup.opened import Crossfade, open_catalog
from crossfade.setup.opened import open as open_crossfade
from crossfade.setup.standing import workers_running

_SETTING_COLUMNS = ("setting", "value", "from")


async def begin(
    migration: str,
    /,
    *,
    new_times: Annotated[bool, Parameter(negative="")] = False,
    common: Common = COMMON,
) -> Answer:
    """Say that every writer of a migration goes through Crossfade from now on.

    Only what is compared after that is sealed. Beginning again changes nothing.

    Example: `crossfade begin avatars`

    Args:
        migration: the migration's name.
        new_times: every migration takes `late_seconds_max`, `late_complete_seconds_max` and
            `look_seconds_max` from the configuration; only while every other process is stopped,
            for as long as they say together.
    """
    configuration = common.load()
    async with open_crossfade(configuration, workers=Workers.SEPARATE, new_times=new_times) as xf:
        new = await xf.begin(migration)
        state = (await xf.status_of(migration)).state
        warnings = await _warned(xf, migration) if new else []
    words = "has begun" if new else "had begun before; nothing was changed"

    def show(output: Output) -> None:
        for warning in warnings:
            output.warn(warning)
        output.line(f"{migration} {words}. Next: `crossfade backfill {migration}`")

    data = {"migration": migration, "begun": True, "new": new, "state": state}
    return Answer(data=data | {"warnings": warnings}, show=show)


async def _warned(xf: Crossfade, migration: str) -> list[str]:
    """Say what the target held before, and what others may read in it afterwards."""
    row = (await xf.store.catalog.census(migration)).migration
    sides = xf.files(migration).engine.sides
    found = [await held_at_begin(sides, row.known_wall), await laid_open(sides)]
    return [words for words in found if words]


async def status(
    *, settings: Annotated[bool, Parameter(negative="")] = False, common: Common = COMMON
) -> Answer:
    """Show where every migration stands, and what to look at.

    Example: `crossfade status --json | jq '.migrations[].status.state'`

    Args:
        settings: also list every setting with its value and where that came from.
    """
    async with open_crossfade(common.load(), workers=Workers.SEPARATE, prepare=False) as xf:
        report = await status_report(xf)
    return Answer(data=report, show=lambda output: _show_status(output, report, settings))


def _show_status(output: Output, report: StatusReport, settings: bool) -> None:
    columns = ("migration", "state", "set>", "in force>", "sealed>", "open>", "proof")
    output.table(columns, [_row(one) for one in report.migrations])
    for one in report.migrations:
        for warning in one.warnings:
            output.warn(f"{one.status.migration}: {warning}")
    for warning in report.warnings:
        output.warn(warning)
    if settings:
        rows = [(s.field, str(s.value), s.place or s.origin) for s in report.settings]
        output.table(_SETTING_COLUMNS, rows)


def _row(report: MigrationReport) -> tuple[str, ...]:
    found = report.status
    halted = found.halted and found.state is not State.COMPLETE
    state = f"{found.state} (halted)" if halted else found.state.value
    proof = "none"
    if found.proof is not None:
        age = f"{seconds_text(found.proof.age_seconds)} old"
        proof = f"{age}, stale" if found.proof.stale else age
    sealed = _sealed(found)
    shares = (percent_text(found.percentage), percent_text(found.effective))
    return found.migration, state, *shares, sealed, f"{found.open_count:,}", proof


def _sealed(found: MigrationStatus) -> str:
    return f"{found.sealed} of {found.sealed + found.unsealed}"


async def set_percentage(migration: str, percentage: str, /, *, common: Common = COMMON) -> Answer:
    """Set the share of the target, for every process at its next call.

    Prints the percentage that is in force: it is 0 while a switch is off, whatever was set, and
    then the exit code is 4.

    Example: `crossfade set avatars 12.5`

    Args:
        migration: the migration's name.
        percentage: 0 to 100 in steps of 0.01.
    """
    configuration = common.load()
    async with open_crossfade(configuration, workers=Workers.SEPARATE, prepare=False) as xf:
        share = await xf.set_percentage(migration, percentage)
        found = await xf.status_of(migration)
    warnings = warnings_of(found, configuration)

    def show(output: Output) -> None:
        where = f" where it is sealed, {_sealed(found)} ranges" if found.unsealed else ""
        output.line(
            f"{migration}: {percent_text(share.percentage)} set, "
            f"{percent_text(share.effective)} in force{where if share.effective else ''}"
        )
        for warning in warnings:
            output.warn(warning)

    data = {
        "migration": migration,
        "percentage": share.percentage,
        "effective": share.effective,
        "version": share.version,
        "state": share.state,
        "warnings": warnings,
    }
    return Answer(data=data, show=show, code=Exit.DONE if share.in_force else Exit.NOT_IN_FORCE)


async def route(
    migration: str,
    /,
    *,
    subject: str | None = None,
    key: str | None = None,
    common: Common = COMMON,
) -> Answer:
    """Show which side a call would ask, and why.

    Example: `crossfade route avatars --subject u42 --key u42/photo.png`

    Args:
        migration: the migration's name.
        subject: the user, or other unit, of the call.
        key: the key of the call; it is its own subject where none is given.
    """
    if subject is None and key is None:
        message = "routing needs a subject or a key"
        raise UsageError(message, "give --subject, --key or both")
    require_key(key)
    async with open_crossfade(common.load(), workers=Workers.SEPARATE, prepare=False) as xf:
        report = await route_report(xf, migration, subject=subject, key=key)

    def show(output: Output) -> None:
        output.line(f"{report.routed}: {report.why}")
        if report.because:
            output.line(
                f"A read of this key asks the {report.asked} all the same: {report.because}"
            )

    return Answer(data=report, show=show)


async def rollback(
    *, emergency: Annotated[bool, Parameter(negative="")] = False, common: Common = COMMON
) -> Answer:
    """Route every migration back to its source, at once and in every process.

    It looks at no side, so that nothing holds it up, and it can be repeated. Percentages stay 0
    until somebody sets them again; open keys that the target answers for are copied back by the
    workers.

    Example: `crossfade rollback --emergency`

    Args:
        emergency: say that this is meant; it concerns all migrations.
    """
    if not emergency:
        message = "a rollback of all migrations has to be meant"
        raise UsageError(message, "give --emergency, or `crossfade set <migration> 0` for one")
    async with open_catalog(common.load()) as xf:
        done = await xf.rollback_emergency()
        names = [one.migration for one in done.migrations if _copied_back(one)]
        idle = [name for name in names if await _nobody_works(xf, name)]
    warnings = [
        f"{one.migration} is complete: the target alone answers, nothing leads back"
        for one in done.migrations
        if one.complete
    ]
    warnings += [f"nobody runs workers for {name}: start `crossfade worker`" for name in idle]
    data = {
        "status": done.status,
        "level": done.level,
        "migrations": done.migrations,
        "warnings": warnings,
    }
    code = Exit.REFUSED if done.status == "complete" else Exit.DONE
    return Answer(data=data, show=lambda output: _show_rollback(output, done, warnings), code=code)


async def _nobody_works(xf: Crossfade, name: str) -> bool:
    return await workers_running(xf.store.catalog, name, xf.holder) is False


def _copied_back(one: RolledBack) -> int:
    """Return how many keys workers copy back to the source."""
    return one.open_at_target - one.marked_at_target


def _show_rollback(output: Output, done: Rollback, warnings: list[str]) -> None:
    if not done.migrations:
        output.line("no migration has ever been opened: there is nothing to roll back")
    for one in done.migrations:
        if one.complete:
            continue
        words = [f"{one.migration}: rolled back"]
        if back := _copied_back(one):
            words.append(f"{counted(back, 'key')} being copied back to the source")
        if one.marked_at_target:
            marked = counted(one.marked_at_target, "key is", "keys are")
            words.append(
                f"{marked} damaged or drifted, and answered for by the target until "
                f"`crossfade repair {one.migration}` decides"
            )
        output.line("; ".join(words if words[1:] else [*words, "the source holds everything"]))
    for warning in warnings:
        output.warn(warning)


async def complete(
    migration: str,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    common: Common = COMMON,
) -> Answer:
    """Let the target alone answer from here on; this drops the way back.

    100 % have to be in force, and everything closed and freshly verified; what stands in the way
    is named.

    Example: `crossfade complete avatars --yes`

    Args:
        migration: the migration's name.
        yes: do not ask.
    """
    output = common.output()
    async with open_crossfade(common.load(), workers=Workers.SEPARATE, prepare=False) as xf:
        await xf.require(migration, Step.COMPLETE)
        output.confirm(f"Complete {migration}? No way leads back to the source.", yes=yes)
        row = await xf.complete(migration)
        left = (await xf.status_of(migration)).open_count
    # What follows is the one line that has to be changed to take Crossfade out.
    change = f"replace `xf.files({migration!r})` by a plain client of {row.target}"
    kept = await what_a_plain_client_misses(row.target)
    data = {
        "migration": migration,
        "state": State.COMPLETE,
        "target": row.target,
        "open": left,
        "to_remove_crossfade": change,
        "warnings": kept,
    }

    def show(said: Output) -> None:
        said.line(f"{migration} is complete: the target alone answers.")
        said.line(f"To remove Crossfade, {change}")
        for warning in kept:
            said.warn(warning)
        if left:
            said.warn(f"wait with that until no key is open: {counted(left, 'key')} still to close")

    return Answer(data=data, show=show)
