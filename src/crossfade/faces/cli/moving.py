"""The commands that move and prove: `worker`, `backfill`, `verify`, `repair`, `key`."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from crossfade.control.backfilling import backfill as run_backfill
from crossfade.control.key_report import KeyReport, SideReport, key_report
from crossfade.control.overlap import overlap_words
from crossfade.control.status import needs_a_hand, open_words
from crossfade.control.workers import work
from crossfade.core.counts import counted
from crossfade.core.objects import Side
from crossfade.core.settings import Workers
from crossfade.core.steering import Step
from crossfade.faces.cli.exits import Exit
from crossfade.faces.cli.options import COMMON, Common, require_key
from crossfade.faces.cli.output import Answer, Output
from crossfade.faces.cli.progress import backfill_bar, verify_bar
from crossfade.faces.cli.words import bytes_text, key_text, seconds_text
from crossfade.setup.opened import open as open_crossfade

if TYPE_CHECKING:
    from crossfade.core.steering import MigrationStatus
    from crossfade.files.backfill_report import BackfillReport
    from crossfade.files.repair import RepairReport
    from crossfade.files.verification import Finding, VerificationReport

FULL_PERCENTAGE = 100
STEPS = (1, 10, 50, 100)
"""The percentages that are proposed, one after the other."""


async def worker(*, common: Common = COMMON) -> Answer:
    """Recover and copy for all migrations, until SIGTERM or Ctrl-C.

    Any number may run, wherever the catalog can be opened: with SQLite on its one host. Leases
    decide who does what.

    Example: `crossfade worker`
    """
    configuration, output = common.load(), common.output()
    names = ", ".join(configuration.migrations) or "no migration"
    report = await work(
        configuration, on_started=lambda _: output.note(f"working on {names}; Ctrl-C stops")
    )
    done = f"{counted(report.copied, 'key')} copied"
    if report.recovered:
        done += f", {counted(report.recovered, 'intent')} of processes that are gone ended"

    def show(said: Output) -> None:
        said.line(f"stopped after {seconds_text(report.seconds)}; {done}")
        if report.failed:
            failed = counted(report.failed, "piece")
            said.warn(f"{failed} of work failed for another reason; their keys stay open")

    return Answer(data=report, show=show)


async def backfill(
    migration: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    common: Common = COMMON,
) -> Answer:
    """Copy what existed before, and seal what is the same on both sides.

    Ctrl-C stops it cleanly with the exit code 130, SIGTERM with 143; the next run goes on where it
    stopped. What is sealed is never listed again.

    Example: `crossfade backfill avatars --dry-run`

    Args:
        migration: the migration's name.
        dry_run: only count keys and bytes; nothing is copied or sealed.
    """
    output = common.output()
    async with open_crossfade(common.load(), workers=Workers.SEPARATE) as xf:
        if dry_run:
            planned = await xf.backfill(migration, dry_run=True)
            return _planned(migration, planned)
        with backfill_bar(output) as on_progress:
            report, stopped_by = await run_backfill(xf, migration, on_progress=on_progress)
        status = await xf.status_of(migration)
    code = Exit.DONE
    if report.stopped:
        code = Exit.TERMINATED if stopped_by is signal.SIGTERM else Exit.INTERRUPTED
    elif not report.finished:
        code = Exit.UNFINISHED
    data = {
        "migration": migration,
        "finished": report.finished,
        "state": status.state,
        **asdict(report),
    }
    return Answer(data=data, show=lambda said: _show_backfill(said, status, report), code=code)


def _planned(migration: str, report: BackfillReport) -> Answer:
    data = {
        "migration": migration,
        "dry_run": True,
        "listed": report.listed,
        "listed_bytes": report.listed_bytes,
        "common": report.common,
        "unlike": report.unlike,
    }

    def show(output: Output) -> None:
        output.line(
            f"{migration}: {counted(report.listed, 'object')}, {bytes_text(report.listed_bytes)}, "
            "in ranges that are not sealed"
        )
        if report.common:
            output.warn(overlap_words(report.common, report.unlike))

    return Answer(data=data, show=show)


def _show_backfill(output: Output, status: MigrationStatus, report: BackfillReport) -> None:
    output.line(
        f"{status.migration}: {counted(report.copied, 'object')} copied "
        f"({bytes_text(report.copied_bytes)}), {report.same:,} on the target already, "
        f"in {seconds_text(report.seconds)}"
    )
    for key, error in report.failed.items():
        output.warn(f"{key_text(key)} was not copied: {error}")
    if report.failed_count > len(report.failed):
        output.warn(f"{report.failed_count - len(report.failed):,} more were not copied")
    for key, why in report.left.items():
        output.warn(f"{key_text(key)} is {why}")
    if report.left_count > len(report.left):
        output.warn(f"{report.left_count - len(report.left):,} more are open")
    _show_next(output, status, report)


def _show_next(output: Output, status: MigrationStatus, report: BackfillReport) -> None:
    migration = status.migration
    again = f"`crossfade backfill {migration}`"
    if report.stopped:
        output.line(f"stopped; the next run goes on from here: {again}")
        return
    if report.halted:
        output.warn(f"given up: {report.halted}")
        output.line(f"See to that, then run {again} again; it goes on from here.")
        return
    if report.unsealed_reason:
        output.warn(f"not everything is sealed: {report.unsealed_reason}")
    if report.unsealed_reason and status.extras:
        output.warn(_sealing(status))
    if report.marked:
        marked = counted(report.marked, "key is", "keys are")
        repair = f"`crossfade repair {migration} --from source` or `--from target`"
        output.warn(f"{marked} damaged or drifted, and not copied: decide with {repair}")
    if report.failed_count or report.left_count:
        open_keys = counted(report.failed_count + report.left_count, "key stays", "keys stay")
        output.line(
            f"{open_keys} open. See to the reasons, then run {again} again; the service and "
            "`crossfade worker` go on trying too."
        )
    elif report.finished:
        output.line(
            f"every range is sealed, no key was left open. Next: `crossfade verify {migration}`"
        )


async def verify(migration: str, /, *, common: Common = COMMON) -> Answer:
    """Compare both sides by content, and mark what differs; memory stays flat.

    Example: `crossfade verify avatars`

    Args:
        migration: the migration's name.
    """
    output = common.output()
    async with open_crossfade(common.load(), workers=Workers.SEPARATE) as xf:
        with verify_bar(output) as on_progress:
            report = await xf.verify(migration, on_progress=on_progress)
        status = await xf.status_of(migration)
    code = Exit.DONE
    if report.differences:
        code = Exit.DIFFERENCES
    elif not report.proof or needs_a_hand(status):
        code = Exit.UNFINISHED
    data = {
        "migration": migration,
        "differences": report.differences,
        **asdict(report),
        "open": status.open_count,
        "failing": status.failing,
    }
    return Answer(data=data, show=lambda said: _show_verify(said, status, report), code=code)


def _show_verify(output: Output, status: MigrationStatus, report: VerificationReport) -> None:
    migration = status.migration
    output.line(
        f"{migration}: {counted(report.compared, 'object')} the same on both sides "
        f"({bytes_text(report.bytes)} read), in {seconds_text(report.seconds)}"
    )
    if report.findings:
        output.table(("key", "finding", "source", "target"), _found(report.findings))
    hidden = report.differences - len(report.findings)
    if hidden > 0:
        output.line(f"and {counted(hidden, 'more difference')}")
    if report.opened:
        output.line(f"{counted(report.opened, 'open key')} passed over")
    if report.unsealed:
        ranges = counted(report.unsealed, "range is", "ranges are")
        output.warn(
            f"{ranges} not sealed, and {'was' if report.unsealed == 1 else 'were'} not "
            f"compared: no proof. Next: {_sealing(status)}"
        )
    if report.unconfirmed:
        keys = counted(report.unconfirmed, "key")
        output.warn(f"{keys} unconfirmed, held by writers to the end: verify again; no proof yet")
    if report.differences:
        output.warn(f"decide with `crossfade repair {migration} --from source` or `--from target`")
    _show_proof(output, status, report)


def _sealing(status: MigrationStatus) -> str:
    """Say what seals the ranges that are not: a key that the target alone holds bars its own."""
    backfill = f"`crossfade backfill {status.migration}`"
    if not status.extras:
        return backfill
    held = counted(status.extras, "key is", "keys are")
    repair = f"`crossfade repair {status.migration} --from source` or `--from target`"
    return f"{held} held by the target alone: decide with {repair}, then {backfill}"


def _show_proof(output: Output, status: MigrationStatus, report: VerificationReport) -> None:
    """Say what may follow, and nothing of it while a key stays open for want of a hand."""
    if words := open_words(status):
        (output.warn if needs_a_hand(status) else output.line)(words)
    if not report.proof or needs_a_hand(status):
        return
    migration = status.migration
    if status.effective == FULL_PERCENTAGE and not status.halted:
        output.line(f"a fresh proof: `crossfade complete {migration}` may follow")
    else:
        output.line(
            f"a fresh proof. Next: {_raise_words(status)}; "
            f"at 100 % verify again, then `crossfade complete {migration}`"
        )


def _raise_words(status: MigrationStatus) -> str:
    """Name the steps above the percentage of now."""
    steps = [str(step) for step in STEPS if step > status.percentage]
    words = [] if status.enabled else ["turn both switches on and restart what runs"]
    if steps:
        then = f", then {', '.join(steps[1:])}" if steps[1:] else ""
        words.append(f"`crossfade set {status.migration} {steps[0]}`{then}")
    return "; ".join(words)


def _found(findings: list[Finding]) -> list[tuple[str, str, str, str]]:
    return [
        (key_text(one.key), one.kind, one.source_tag or "absent", one.target_tag or "absent")
        for one in findings
    ]


async def repair(
    migration: str,
    /,
    *,
    from_: Annotated[Literal["source", "target"], Parameter(name="--from")],
    key: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    common: Common = COMMON,
) -> Answer:
    """Decide for one side where both differ: its object becomes that of both.

    For a key that the target alone holds, `--from source` deletes it and `--from target` takes
    it over. Only what is known as different is touched, and only if it is still as it was found.

    Example: `crossfade repair avatars --from source --key u42/photo.png`

    Args:
        migration: the migration's name.
        from_: the side whose objects stay.
        key: this key alone.
        dry_run: only name the keys.
        yes: do not ask.
    """
    output, winner = common.output(), Side(from_)
    require_key(key)
    async with open_crossfade(common.load(), workers=Workers.SEPARATE) as xf:
        run = xf.files(migration).repair()
        await xf.require(migration, Step.REPAIR)
        found = await run.findings(key)
        if found and not dry_run:
            output.confirm(f"On the {winner.other}: {_decided(found, winner)}?", yes=yes)
        report = await run.run(winner, found, dry_run=dry_run)
    data = {
        "migration": migration,
        "from": winner,
        "dry_run": dry_run,
        "findings": found,
        **asdict(report),
    }
    code = Exit.UNFINISHED if report.refused or (report.waiting and not dry_run) else Exit.DONE
    return Answer(
        data=data,
        show=lambda said: _show_repair(said, winner, found, report, dry_run=dry_run),
        code=code,
    )


def _decided(found: list[Finding], winner: Side) -> str:
    """Say what becomes of the other side's objects."""
    tags = [(one.source_tag, one.target_tag) for one in found]
    if winner is Side.TARGET:
        tags = [(target, source) for source, target in tags]
    counts = {
        "write over": sum(mine is not None and other is not None for mine, other in tags),
        "delete": sum(mine is None and other is not None for mine, other in tags),
        "add": sum(mine is not None and other is None for mine, other in tags),
    }
    said = [f"{verb} {counted(count, 'object')}" for verb, count in counts.items() if count]
    return ", ".join(said) or "change nothing"


def _show_repair(
    output: Output, winner: Side, found: list[Finding], report: RepairReport, *, dry_run: bool
) -> None:
    if not found:
        output.line("nothing is known as different; `crossfade verify` looks")
        return
    if dry_run:
        output.table(("key", "finding", "source", "target"), _found(found))
        output.line(f"{counted(len(found), 'key')} would be repaired")
        return
    kinds = {one.key: one.kind for one in found}
    for key in report.repaired:
        what = f"the {winner}'s object is on both sides now"
        if winner is Side.SOURCE and kinds.get(key) == "extra":
            what = "it was deleted from the target"
        output.line(f"repaired {key_text(key)}: {what}")
    for key in report.waiting:
        output.warn(f"{key_text(key)} is decided; a worker brings the other side up")
    for key, reason in report.refused.items():
        output.warn(f"{key_text(key)} was left alone: {reason}")


async def key(migration: str, key: str, /, *, common: Common = COMMON) -> Answer:
    """Show all that is known of one key: open or closed, both sides, when it was last proved.

    Example: `crossfade key avatars u42/photo.png`

    Args:
        migration: the migration's name.
        key: the key.
    """
    require_key(key)
    async with open_crossfade(common.load(), workers=Workers.SEPARATE, prepare=False) as xf:
        report = await key_report(xf, migration, key)
    return Answer(
        data=report,
        show=lambda output: _show_key(output, report),
        code=Exit.DIFFERENCES if report.differs else Exit.DONE,
    )


def _show_key(output: Output, report: KeyReport) -> None:
    output.line(f"{report.migration} {key_text(report.key)}", "bold")
    for sentence in report.words:
        output.line(sentence)
    if report.token:
        output.line(f"intent {report.token}")
    columns = ("side", "bytes>", "tag", "modified", "type")
    output.table(columns, [_side_row(side) for side in report.sides])
    if report.missed:
        output.line("the last verification has no proof of it: it differed, was open or came later")
    if report.proved is None:
        if not report.missed:
            output.line("no verification has found it the same on both sides yet")
        return
    ago = seconds_text(report.proved.seconds)
    since = "unchanged since" if report.proved.unchanged else "a side has changed since"
    output.line(f"found the same on both sides {ago} ago, {since}")


def _side_row(side: SideReport) -> tuple[str, ...]:
    if side.present is None:
        return (side.side, "", f"could not be asked: {side.error}", "", "")
    if not side.present:
        return (side.side, "", "absent", "", "")
    modified = side.modified.isoformat(" ", "seconds") if side.modified else ""
    return (side.side, f"{side.size:,}", side.etag or "", modified, side.content_type or "")
