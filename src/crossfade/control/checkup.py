"""What `check` looks at before anything moves, and while it does; it starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from crossfade.control.status import OPEN_SECONDS_MAX, of_the_environment, report_of
from crossfade.core.catalogs import refuse_other_migration
from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.core.steering import State
from crossfade.errors import CrossfadeError
from crossfade.setup.opened import open_catalog
from crossfade.setup.preparing import is_known, prepare_side
from crossfade.setup.sides import open_side
from crossfade.setup.standing import status_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.core.records import MigrationRow
    from crossfade.core.steering import MigrationStatus
    from crossfade.ports import Backend
    from crossfade.setup.configuration import Configuration, ConfiguredMigration
    from crossfade.setup.opened import Crossfade


class Level(StrEnum):
    """How serious a finding is: a problem keeps the migration from going on."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFinding:
    """One thing that was found; ``migration`` is empty for what concerns all."""

    level: Level
    migration: str
    message: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """Everything that was found."""

    migrations: tuple[str, ...]
    findings: tuple[CheckFinding, ...]

    @property
    def problems(self) -> int:
        """How many findings keep a migration from going on."""
        return sum(finding.level is Level.PROBLEM for finding in self.findings)


async def check(configuration: Configuration) -> CheckReport:
    """Try both sides of every migration, and look at what is in force.

    Raises:
        StoreError: the catalog cannot be opened.
    """
    checkup = _Checkup(configuration)
    async with open_catalog(configuration) as xf:
        await checkup.run(xf)
    return CheckReport(migrations=tuple(configuration.migrations), findings=tuple(checkup.findings))


class _Checkup:
    """Collects findings."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.findings: list[CheckFinding] = []

    async def run(self, xf: Crossfade) -> None:
        configuration = self._configuration
        self._warn("", of_the_environment(configuration))
        if not configuration.migrations:
            self._add(Level.WARNING, "", "no migration is configured")
        known = {row.name: row for row in await xf.store.catalog.migrations()}
        for configured in configuration.migrations.values():
            row = known.get(configured.name)
            if not await self._sides(configured, row) or row is None:
                continue
            if self._same(configured, row):
                status = await status_of(
                    xf.store.catalog, configured.name, configured.settings, xf.holder
                )
                self._status(status, configured)

    def _same(self, configured: ConfiguredMigration, row: MigrationRow) -> bool:
        try:
            refuse_other_migration(row, configured.row())
        except CrossfadeError as error:
            self._error(configured.name, error)
            return False
        return True

    async def _sides(self, configured: ConfiguredMigration, row: MigrationRow | None) -> bool:
        """Try both sides; tell whether both can be used."""
        completed = row is not None and row.completed
        usable = True
        listed: dict[Side, bool] = {}
        known = is_known(row)
        urls = (configured.source, configured.target)
        sides = Pair(*(open_side(url, known=known) for url in urls))
        for side in BOTH_SIDES:
            if completed and side is Side.SOURCE:
                continue
            try:
                listed[side] = await self._side(configured, side, sides[side])
            except CrossfadeError as error:
                self._error(configured.name, error, side)
                usable = False
            finally:
                await sides[side].close()
        if row is None and listed.get(Side.TARGET):
            self._add(
                Level.WARNING,
                configured.name,
                "the target is not empty: what it holds and the source does not is neither "
                "shown nor deleted until `repair` decides",
            )
        if usable:
            self._kept(configured.name, sides)
        return usable

    async def _side(self, configured: ConfiguredMigration, side: Side, backend: Backend) -> bool:
        """Try one side; tell whether it holds anything."""
        await prepare_side(side, backend)
        backend.capabilities.require_side(backend.location)
        page = await backend.list(limit=1)
        lag = backend.capabilities.listing_lag_seconds
        if not backend.capabilities.listing_consistent:
            self._add(
                Level.WARNING,
                configured.name,
                f"listings of the {side} lag by up to {lag:g} s: a listing may miss what was "
                "written just now, and a range is sealed that much later",
            )
        return bool(page.objects)

    def _kept(self, name: str, sides: Pair[Backend]) -> None:
        """Warn of attributes that the source keeps and the target would lose."""
        kept = [sides[side].capabilities.attributes_kept for side in BOTH_SIDES]
        if lost := sorted(kept[0] - kept[1]):
            self._add(Level.WARNING, name, f"the target does not keep {', '.join(lost)}")

    def _status(self, status: MigrationStatus, configured: ConfiguredMigration) -> None:
        name = status.migration
        self._warn(name, report_of(status, configured, self._configuration).warnings)
        if status.state is State.NEW:
            self._add(
                Level.NOTE,
                name,
                "nothing is sealed before `crossfade begin`, which says that every writer goes "
                "through Crossfade",
            )
        told = status.open_count and status.workers_running is False
        if told and (status.oldest_open_seconds or 0.0) <= OPEN_SECONDS_MAX:
            self._add(Level.WARNING, name, "keys are open and nobody runs workers")

    def _error(self, name: str, error: CrossfadeError, side: Side | None = None) -> None:
        text = str(error)
        if side is not None and not text.startswith(side):
            text = f"{side}: {text}"
        self._add(Level.PROBLEM, name, text, error.code)

    def _warn(self, name: str, messages: Iterable[str]) -> None:
        for message in messages:
            self._add(Level.WARNING, name, message)

    def _add(self, level: Level, name: str, message: str, code: str = "") -> None:
        self.findings.append(CheckFinding(level=level, migration=name, message=message, code=code))
