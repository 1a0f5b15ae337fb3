"""What `status` tells: where each migration stands, what differs from the file, what to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core.counts import counted
from crossfade.core.routing import percentage_text
from crossfade.core.steering import State
from crossfade.setup.refusals import OriginKind

if TYPE_CHECKING:
    from crossfade.core.steering import MigrationStatus
    from crossfade.setup.configuration import Configuration, ConfiguredMigration
    from crossfade.setup.opened import Crossfade

OPEN_SECONDS_MAX = 60.0
"""How long a key may be open, with nobody running workers, before `status` warns."""


COPY_SECONDS_MAX = 600.0
"""How long a key may be open while workers run, before `status` warns: doubt is over by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInForce:
    """One setting, and where its value came from."""

    field: str
    value: object
    origin: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """A migration's status beside its configuration.

    Attributes:
        configured_percentage: what file or environment say; it counts at the first start alone.
        overridden: whether the value in force differs from it.
        warnings: what to look at, in sentences.
    """

    status: MigrationStatus
    configured_percentage: float
    configured_by: str
    overridden: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """All migrations of a configuration.

    Attributes:
        not_configured: migrations that the catalog holds and the configuration does not.
        settings: every setting in force.
    """

    migrations: tuple[MigrationReport, ...]
    not_configured: tuple[str, ...]
    warnings: tuple[str, ...]
    settings: tuple[SettingInForce, ...]


async def status_report(xf: Crossfade) -> StatusReport:
    """Look at every migration."""
    configuration = xf.configuration
    reports = [
        report_of(status, configuration.migration(status.migration), configuration)
        for status in await xf.status()
    ]
    rows = await xf.store.catalog.migrations()
    lost = tuple(row.name for row in rows if row.name not in configuration.migrations)
    return StatusReport(
        migrations=tuple(reports),
        not_configured=lost,
        warnings=(*_of_the_catalog(lost), *of_the_environment(configuration)),
        settings=tuple(
            SettingInForce(
                field=entry.field,
                value=entry.value,
                origin=entry.origin.kind.value,
                place=entry.origin.place,
            )
            for entry in configuration.in_force
        ),
    )


def report_of(
    status: MigrationStatus, configured: ConfiguredMigration, configuration: Configuration
) -> MigrationReport:
    """Put a migration's status beside its configuration."""
    field = f"migrations.{configured.name}.percentage"
    origin = configuration.origin(field)
    wanted = configured.basis_points / 100
    said = origin.kind is not OriginKind.DEFAULT and status.state is not State.COMPLETE
    overridden = said and wanted != status.percentage
    warnings = warnings_of(status, configuration)
    if overridden:
        configured_text = percentage_text(configured.basis_points)
        warnings.append(
            f"the configuration says {configured_text} %, and {_percent(status)} % were set at "
            "run time: that counts"
        )
    return MigrationReport(
        status=status,
        configured_percentage=wanted,
        configured_by=origin.place or origin.kind.value,
        overridden=overridden,
        warnings=tuple(warnings),
    )


def warnings_of(status: MigrationStatus, configuration: Configuration) -> list[str]:
    """Say what an operator should look at."""
    name, found = status.migration, []
    if status.percentage and not status.effective and status.state is not State.COMPLETE:
        off = "the master switch" if not configuration.enabled else f"the switch of {name}"
        found.append(
            f"{_percent(status)} % are set and 0 % are in force: {off} is off; what runs goes by "
            f"the switches that it started with, so restart it, or use `crossfade set {name} 0`"
        )
    if status.percentage and status.state not in (State.VERIFIED, State.COMPLETE):
        ranges = counted(status.unsealed, "range is", "ranges are")
        found.append(
            f"{ranges} not sealed: whatever the percentage, their keys are read from the source "
            f"until `crossfade backfill {name}` is through"
        )
    found += _of_open_keys(status)
    if status.copying_back:
        left = status.open_at_target - status.marked_at_target
        keys = counted(left, "key is", "keys are")
        found.append(f"{keys} being copied back to the source")
    decide = f"decide with `crossfade repair {name} --from source` or `--from target`"
    if status.marked:
        found.append(f"{counted(status.marked, 'key is', 'keys are')} damaged or drifted: {decide}")
    if status.extras:
        held = counted(status.extras, "key is", "keys are")
        found.append(f"{held} held by the target alone: {decide}")
    return found


def _of_open_keys(status: MigrationStatus) -> list[str]:
    """Warn of keys that are open longer than expected, or whose copies fail."""
    oldest, found = status.oldest_open_seconds, []
    if status.workers_running is False and oldest is not None and oldest > OPEN_SECONDS_MAX:
        found.append(
            f"nobody runs workers, and a key is open for {oldest:.0f} s: start `crossfade worker`"
        )
    if status.failing:
        found.append(
            f"the last copy of {counted(status.failing, 'open key')} failed: "
            f"`crossfade backfill {status.migration}` tries again and names the reasons"
        )
    elif _is_stuck(status):
        found.append(
            f"a key is open for {oldest:.0f} s although workers run: its copies fail, or it is "
            "written all the time; their log says why"
        )
    return found


def open_words(status: MigrationStatus) -> str:
    """Say which keys are open, since when, why, and what to do; empty where none is.

    Marked ones are not meant: `repair` decides on those.
    """
    count = status.open_count - status.marked
    if count <= 0 or status.state is State.COMPLETE:
        return ""
    words = [counted(count, "key is", "keys are") + " open"]
    if status.oldest_open_seconds is not None:
        words.append(f"the longest for {status.oldest_open_seconds:.0f} s")
    if status.failing:
        words.append(f"the last copy of {status.failing:,} failed")
    if status.in_doubt:
        words.append(f"of {status.in_doubt:,} a side is in doubt")
    name = status.migration
    todo = f"`crossfade backfill {name}` copies what can be, and names why the rest cannot"
    if status.workers_running is False:
        todo = f"nobody runs workers: start the service or `crossfade worker`, or {todo}"
    elif not status.failing:
        todo = "workers run, and copy them"
    return f"{', '.join(words)}; {todo}"


def needs_a_hand(status: MigrationStatus) -> bool:
    """Tell whether open keys stay open as things are: nobody copies them, or copies fail."""
    return bool(open_words(status)) and (bool(status.failing) or status.workers_running is False)


def _is_stuck(status: MigrationStatus) -> bool:
    """Tell whether a key is open that workers should have closed; repair decides on marked ones."""
    oldest = status.oldest_open_seconds
    stuck = oldest is not None and oldest > COPY_SECONDS_MAX
    return stuck and status.workers_running is True and not status.marked


def of_the_environment(configuration: Configuration) -> list[str]:
    """Warn of variables that look like a migration's and name none."""
    return [
        f"the variable {name} names no migration of this configuration"
        for name in configuration.unused_variables
    ]


def _of_the_catalog(names: tuple[str, ...]) -> list[str]:
    return [f"the catalog holds {name!r}, which is not configured any more" for name in names]


def _percent(status: MigrationStatus) -> str:
    return percentage_text(round(status.percentage * 100))
