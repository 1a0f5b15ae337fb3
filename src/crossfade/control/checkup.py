"""What `check` looks at before anything moves, and while it does; it starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from crossfade.control.directories import laid_open, require_objects_alone
from crossfade.control.overlap import EARLIER_LIFE, overlap, overlap_words
from crossfade.control.status import OPEN_SECONDS_MAX, of_the_environment, report_of
from crossfade.core.counts import counted
from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.core.steering import State
from crossfade.errors import BackendError, CrossfadeError, MigrationExistsError, ObjectNotFoundError
from crossfade.setup.opened import open_catalog
from crossfade.setup.preparing import is_known, prepare_side
from crossfade.setup.probing import probe_side
from crossfade.setup.sharing import refuse_other_claims
from crossfade.setup.sides import open_side
from crossfade.setup.standing import status_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.core.probed import Claim, ProbeReport
    from crossfade.core.records import MigrationRow
    from crossfade.core.steering import MigrationStatus
    from crossfade.ports import Backend
    from crossfade.setup.configuration import Configuration, ConfiguredMigration
    from crossfade.setup.opened import Crossfade

READ_KEYS_MAX = 1_000
"""How many objects of the source are opened, to see that they can be read."""


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
class CheckedProbe:
    """What a probe saw of one side, and where that differs from what the side declares."""

    migration: str
    side: Side
    report: ProbeReport
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """Everything that was found.

    Attributes:
        probes: what was seen of each side that can be probed, by migration and side.
    """

    migrations: tuple[str, ...]
    findings: tuple[CheckFinding, ...]
    probes: tuple[CheckedProbe, ...] = ()

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
    return CheckReport(
        migrations=tuple(configuration.migrations),
        findings=tuple(checkup.findings),
        probes=tuple(checkup.probes),
    )


class _Checkup:
    """Collects findings."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.findings: list[CheckFinding] = []
        self.probes: list[CheckedProbe] = []

    async def run(self, xf: Crossfade) -> None:
        configuration = self._configuration
        self._warn("", of_the_environment(configuration))
        if not configuration.migrations:
            self._add(
                Level.PROBLEM, "", "no migration is configured: add a [migrations.NAME] table"
            )
        known = {row.name: row for row in await xf.store.catalog.migrations()}
        for configured in configuration.migrations.values():
            row = known.get(configured.name)
            refused = await self._refusal(configured, xf)
            usable = refused is None and await self._sides(configured, row)
            if row is None or not row.completed:
                self._switches(configured)
            if refused is not None:
                self._error(configured.name, refused)
            elif usable and row is not None:
                status = await status_of(
                    xf.store.catalog, configured.name, configured.settings, xf.holder
                )
                self._status(status, configured)

    def _switches(self, configured: ConfiguredMigration) -> None:
        """Warn of a switch that is off; where a percentage is set, `report_of` says more."""
        if configured.settings.enabled:
            return
        off = f"[migrations.{configured.name}] enabled"
        if not self._configuration.enabled:
            off = "[crossfade] enabled, the master switch,"
        words = f"{off} is off: the source serves everybody, whatever percentage is set"
        self._add(Level.WARNING, configured.name, words)

    async def _refusal(
        self, configured: ConfiguredMigration, xf: Crossfade
    ) -> MigrationExistsError | None:
        """Return why the catalog would not take it: another one has its name, or its places."""
        try:
            await refuse_other_claims(xf.store.catalog, configured.row())
        except MigrationExistsError as error:
            return error
        return None

    async def _sides(self, configured: ConfiguredMigration, row: MigrationRow | None) -> bool:
        """Try both sides; tell whether both can be used."""
        known = is_known(row)
        urls = (configured.source, configured.target)
        sides = Pair(*(open_side(url, known=known) for url in urls))
        try:
            usable = await self._try_sides(configured, row, sides)
            if usable:
                self._kept(configured.name, sides)
            return usable
        finally:
            for side in BOTH_SIDES:
                await sides[side].close()

    async def _try_sides(
        self, configured: ConfiguredMigration, row: MigrationRow | None, sides: Pair[Backend]
    ) -> bool:
        completed = row is not None and row.completed
        usable = True
        listed: dict[Side, bool] = {}
        for side in BOTH_SIDES:
            if completed and side is Side.SOURCE:
                continue
            try:
                await prepare_side(side, sides[side])
                await require_objects_alone(sides[side])
                listed[side] = await self._side(configured, side, sides[side])
                if side is Side.SOURCE and listed[side]:
                    await self._readable(configured.name, sides.source)
            except CrossfadeError as error:
                self._error(configured.name, error, side)
                usable = False
        if row is None and listed.get(Side.TARGET):
            self._add(
                Level.WARNING,
                configured.name,
                "the target is not empty: what it holds and the source does not is neither "
                "shown nor deleted until `repair` decides",
            )
        if usable and not completed and (row is None or row.begun_at is None):
            await self._overlap(configured.name, sides, row)
            self._warn(configured.name, filter(None, [await laid_open(sides)]))
        return usable

    async def _readable(self, name: str, source: Backend) -> None:
        """Open the first objects of the source: what cannot be read can never be copied."""
        refused: list[BackendError] = []
        objects = (await source.list(limit=READ_KEYS_MAX)).objects
        for info in objects:
            try:
                await (await source.read(info.key)).aclose()
            except ObjectNotFoundError:
                continue
            except BackendError as error:
                refused.append(error)
        if refused:
            of = f"of the first {counted(len(objects), 'object')} of the source {len(refused):,}"
            message = f"{of} cannot be read, and so not be copied: {refused[0]}"
            self._add(Level.PROBLEM, name, message, refused[0].code)

    async def _overlap(self, name: str, sides: Pair[Backend], row: MigrationRow | None) -> None:
        try:
            known_since = None if row is None else row.known_wall
            common, unlike, whole = await overlap(sides, known_since)
        except CrossfadeError as error:
            self._error(name, error)
            return
        if common:
            words = overlap_words(common, unlike, whole=whole)
            self._add(Level.WARNING, name, f"{words}. {EARLIER_LIFE}")

    async def _side(self, configured: ConfiguredMigration, side: Side, backend: Backend) -> bool:
        """Try one side; tell whether it holds anything."""
        backend.capabilities.require_side(backend.location)
        await self._probe(configured, side, backend)
        page = await backend.list(limit=1)
        if not backend.capabilities.undisturbed:
            self._add(
                Level.WARNING,
                configured.name,
                f"requests at once disturb each other on the {side}: it is one for trials alone",
            )
        lag = backend.capabilities.listing_lag_seconds
        if not backend.capabilities.listing_consistent:
            self._add(
                Level.WARNING,
                configured.name,
                f"listings of the {side} lag by up to {lag:g} s: a listing may miss what was "
                "written just now, and a range is sealed that much later",
            )
        return bool(page.objects)

    async def _probe(self, configured: ConfiguredMigration, side: Side, backend: Backend) -> None:
        """Find out by doing what a side can, and compare it with what it declares.

        Raises:
            CapabilityError: it declares more than it does.
            BackendError: nothing can be written there.
        """
        url = configured.source if side is Side.SOURCE else configured.target
        probed = await probe_side(side, backend, url)
        if probed is None:
            return
        name = configured.name
        self.probes.append(
            CheckedProbe(migration=name, side=side, report=probed.report, claims=probed.claims)
        )
        for level, messages in ((Level.WARNING, probed.warnings), (Level.NOTE, probed.notes)):
            for message in messages:
                self._add(level, name, f"{side}: {message}")
        if probed.refusal is not None:
            raise probed.refusal

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
