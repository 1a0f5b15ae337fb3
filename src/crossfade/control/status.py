"""What `status` tells: where each migration stands, what differs from the file, what to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        found.append(f"{_percent(status)} % are set and 0 % are in force: {off} is off")
    if status.percentage and status.state not in (State.VERIFIED, State.COMPLETE):
        found.append(
            f"{status.unsealed} ranges are not sealed: whatever the percentage, their keys are "
            "read from the source until they are backfilled"
        )
    oldest = status.oldest_open_seconds
    if status.workers_running is False and oldest is not None and oldest > OPEN_SECONDS_MAX:
        found.append(
            f"nobody runs workers, and a key is open for {oldest:.0f} s: start `crossfade worker`"
        )
    if _is_stuck(status):
        found.append(
            f"a key is open for {oldest:.0f} s although workers run: its copies fail, or it is "
            "written all the time; their log says why"
        )
    if status.copying_back:
        found.append(f"{status.open_at_target} keys are being copied back to the source")
    if status.marked:
        found.append(f"{status.marked} keys are damaged or drifted: decide with `repair`")
    if status.extras:
        found.append(f"{status.extras} keys are held by the target alone: decide with `repair`")
    return found


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
