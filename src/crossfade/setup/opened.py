"""Opening a configuration: sides, catalog and workers wired together, and closed again."""

from __future__ import annotations

import logging
import random
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from crossfade.core import steering
from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.core.routing import DRAW_BITS, basis_points_from_percentage, pick_side, route
from crossfade.core.settings import Unit, Workers
from crossfade.core.steering import Rollback
from crossfade.files.completion import complete
from crossfade.files.engine import Engine, SilentObserver, SilentProbe
from crossfade.files.running import running
from crossfade.files.tasks import task_group
from crossfade.setup.configuration import Configuration, load
from crossfade.setup.holders import new_holder
from crossfade.setup.preparing import is_known, prepare_row, prepare_sides
from crossfade.setup.probing import refuse_overclaims
from crossfade.setup.sharing import known_rows, refuse_other_claims
from crossfade.setup.sides import open_side, open_store
from crossfade.setup.standing import be_present, rolled_back, status_of

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Mapping

    from crossfade.core.records import MigrationRow
    from crossfade.core.routing import Route
    from crossfade.core.settings import Settings
    from crossfade.core.steering import MigrationStatus, Share
    from crossfade.files.backfill_report import BackfillReport, OnProgress
    from crossfade.files.engine import Router
    from crossfade.files.facade import Files
    from crossfade.files.repair import RepairReport
    from crossfade.files.verification import VerificationReport
    from crossfade.ports import Backend, Observer, Probe
    from crossfade.setup.configuration import ConfiguredMigration
    from crossfade.setup.sides import Store

# Silent by default: without a handler of the application's own nothing is written.
logging.getLogger("crossfade").addHandler(logging.NullHandler())


class WrapSide(Protocol):
    """Stands between Crossfade and a side: to measure it, or to make it fail in a trial."""

    def __call__(self, migration: str, side: Side, backend: Backend) -> Backend:
        """Return what is used in the backend's place, and closed before it."""


class Crossfade:
    """An opened configuration: files to read and write, migrations to steer.

    Attributes:
        configuration: what it was opened with.
        store: the catalog and the proofs.
        holder: names this opening in leases; it never repeats.
    """

    def __init__(self, configuration: Configuration, store: Store, holder: str) -> None:
        self.configuration = configuration
        self.store = store
        self.holder = holder
        self._files: dict[str, Files] = {}

    def files(self, name: str) -> Files:
        """Return a migration's files.

        Raises:
            MigrationNotFoundError: none is called that; it names those that are.
        """
        self.configuration.migration(name)
        return self._files[name]

    async def set_percentage(
        self, name: str, percentage: float | str, *, version: int | None = None
    ) -> Share:
        """Set a migration's share of the target, for every process at its next call.

        Args:
            name: the migration.
            percentage: 0 to 100 in steps of 0.01.
            version: refuse if the migration's row has another version by now.

        Returns:
            What is in force: `effective` is 0 while a switch is off, whatever was set.

        Raises:
            AlreadyCompleteError: the migration is complete.
            ConflictError: the row has another version.
            ConfigurationError: no such percentage.
        """
        self.configuration.migration(name)
        points = basis_points_from_percentage(percentage)
        decide = partial(steering.set_share, basis_points=points, version=version)
        await self.store.catalog.change_row(name, decide)
        return await self.share(name)

    async def share(self, name: str) -> Share:
        """Return a migration's share of the target, as it is set and as it is routed."""
        settings = self._settings(name)
        census = await self.store.catalog.census(name)
        return steering.share_of(census, enabled=settings.enabled)

    async def begin(self, name: str) -> bool:
        """Say that every writer of the migration goes through the facade from now on.

        The first time both sides are probed before anything is done.

        Returns:
            Whether that is new; beginning again changes nothing.

        Raises:
            AlreadyCompleteError: the migration is complete.
            CapabilityError: a side declares more than it does; it says what to write.
            BackendError: nothing can be written to a side.
            MigrationExistsError: one of another name has begun with one of its places.
        """
        configured = self.configuration.migration(name)
        await refuse_other_claims(self.store.catalog, configured.row())
        row = (await self.store.catalog.census(name)).migration
        if row.begun_at is None and name in self._files:
            urls = Pair(configured.source, configured.target)
            await refuse_overclaims(self._files[name].engine.sides, urls)
        return await self.store.catalog.change_row(name, steering.begin)

    async def route(self, name: str, *, key: str = "", subject: str | None = None) -> Route:
        """Tell which side a call would ask first, and why."""
        settings = self._settings(name)
        row = (await self.store.catalog.census(name)).migration
        return route(row, settings, key=key, subject=subject, draw=_draw())

    async def status(self) -> tuple[MigrationStatus, ...]:
        """Return where each configured migration stands."""
        found = [await self.status_of(name) for name in self.configuration.migrations]
        return tuple(found)

    async def status_of(self, name: str) -> MigrationStatus:
        """Return where one migration stands."""
        return await status_of(self.store.catalog, name, self._settings(name), self.holder)

    async def rollback_emergency(self) -> Rollback:
        """Route every migration to its source, at once and in every process; safe to repeat.

        Closed keys answer from the source at once; open keys that the target answers for are
        copied back by the workers. What is complete is left alone; the status is `complete`, and
        not `rolled_back`, where that goes for every migration.
        """
        catalog = self.store.catalog
        rows = await catalog.migrations()
        changed = {r.name: await catalog.change_row(r.name, steering.roll_back) for r in rows}
        # Counted only when the last one is rolled back: nothing may delay that.
        done = [await rolled_back(catalog, name, changed=one) for name, one in changed.items()]
        status = "complete" if done and all(one.complete for one in done) else "rolled_back"
        return Rollback(status=status, level="emergency", migrations=tuple(done))

    async def complete(self, name: str) -> MigrationRow:
        """Let the target alone answer from here on; this drops the way back.

        Raises:
            AlreadyCompleteError: it was completed before.
            IllegalTransitionError: something stands in the way, less than 100 % for one; it
                names it, and keys.
        """
        engine = self.files(name).engine
        enabled = engine.settings.enabled
        require = partial(steering.require_whole_share, enabled=enabled)
        return await complete(engine, require=require)

    async def backfill(
        self, name: str, *, dry_run: bool = False, on_progress: OnProgress | None = None
    ) -> BackfillReport:
        """Copy what existed before, and seal what is the same on both sides.

        Args:
            name: the migration.
            dry_run: only count what a run would look at.
            on_progress: called with the report so far, after each key.

        Raises:
            LeaseHeldError: another process backfills this migration.
            AlreadyCompleteError: the migration is complete.
        """
        run = self.files(name).backfill(on_progress=on_progress)
        await self.require(name, steering.Step.BACKFILL)
        return await (run.plan() if dry_run else run.run())

    async def verify(
        self, name: str, *, on_progress: Callable[[VerificationReport], None] | None = None
    ) -> VerificationReport:
        """Compare both sides of what is sealed, by content; what differs is marked.

        Raises:
            BackendError: a side could not be read; the last proof stays.
            AlreadyCompleteError: the migration is complete.
        """
        run = self.files(name).verification(on_progress=on_progress)
        await self.require(name, steering.Step.VERIFY)
        return await run.run()

    async def repair(
        self, name: str, *, winner: Side | str, key: str | None = None, dry_run: bool = False
    ) -> RepairReport:
        """Make one side's object that of both, wherever a difference or an extra is known.

        Args:
            name: the migration.
            winner: the side whose object stays; of an extra, `source` deletes it.
            key: this key alone; every one that is known where not given.
            dry_run: only name the keys.

        Raises:
            AlreadyCompleteError: the migration is complete.
        """
        run = self.files(name).repair()
        await self.require(name, steering.Step.REPAIR)
        return await run.run(Side(winner), await run.findings(key), dry_run=dry_run)

    async def require(self, name: str, step: steering.Step) -> None:
        """Refuse a step that the migration's state does not allow.

        Raises:
            AlreadyCompleteError, IllegalTransitionError: it names the legal steps.
        """
        census = await self.store.catalog.census(name)
        steering.require_step(census, step)
        if step is steering.Step.COMPLETE:
            steering.require_whole_share(census, enabled=self._settings(name).enabled)

    def _settings(self, name: str) -> Settings:
        return self.configuration.migration(name).settings


@asynccontextmanager
async def open(  # noqa: A001 - `crossfade.open` is the front door
    config: str | os.PathLike[str] | Mapping[str, Any] | Configuration | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    workers: Workers | None = None,
    prepare: bool = True,
    observer: Observer | None = None,
    probe: Probe | None = None,
    wrap: WrapSide | None = None,
    new_times: bool = False,
) -> AsyncIterator[Crossfade]:
    """Open a configuration; an asynchronous context manager.

    Let every call end before the block does: what is under way then is drained for
    `Limits.drain_seconds`, and a put or delete that comes later is refused.

    Args:
        config: a TOML file, or a mapping of the same shape; where not given, ``crossfade.toml``
            in the working directory, then what ``CROSSFADE_CONFIG`` names.
        environ: the variables that win over it; the process's own where not given.
        workers: whether this process mirrors and recovers, whatever the configuration says.
        prepare: False leaves the sides of migrations that the catalog knows untouched, for who
            only steers.
        observer: hears what each side was asked and what came of it.
        probe: stands at named points of the data plane, for trials.
        wrap: stands between Crossfade and a side; what it returns is closed before the side is.
        new_times: its migrations take its times from now on; only while no other process runs.

    Raises:
        ConfigurationError: it names the field, its value and what may be given.
        BackendError: a side is not there, or cannot be written, when a migration is new.
        MigrationExistsError: the catalog knows that name with other sides, or a side otherwise.
        StoreError: the catalog cannot be opened.
    """
    if not isinstance(config, Configuration):
        config = load(config, environment=environ)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_catalog(config))
        store = opened.store
        known = await known_rows(store.catalog, config)
        for name, configured in config.migrations.items():
            row, settings = known.get(name), _with_workers(configured.settings, workers)
            sides = _open_sides(configured, stack, wrap, known=is_known(row))
            if prepare or row is None:  # A row of what is not there would hold the wrong place.
                await prepare_sides(name, sides, row)
            await prepare_row(store.catalog, configured.row(), new_times=new_times)
            engine = Engine(
                name=name,
                catalog=store.catalog,
                sides=sides,
                proofs=store.proofs,
                settings=settings,
                route=router(settings),
                draw_route=partial(drawn, settings),
                holder=f"{opened.holder}/{name}",
                observer=observer or SilentObserver(),
                probe=probe or SilentProbe(),
            )
            opened._files[name] = await stack.enter_async_context(_at_work(engine))  # noqa: SLF001
        yield opened


@asynccontextmanager
async def open_catalog(config: Configuration) -> AsyncIterator[Crossfade]:
    """Open the catalog alone, without sides: for a rollback, which nothing may hold up.

    No migration is made that the catalog does not know, and there are no files.
    """
    doubt_seconds = config.doubt_seconds
    store = open_store(config.store_url, folder=config.folder, doubt_seconds=doubt_seconds)
    try:
        yield Crossfade(config, store, new_holder())
    finally:
        await _shielded(store.catalog.close)


def router(settings: Settings) -> Router:
    """Return what picks the side that is asked first, by a migration's settings."""
    if settings.unit is not Unit.REQUEST:
        return drawn(settings)

    def pick_by_draw(row: MigrationRow, *, key: str, subject: str | None) -> Side:
        return pick_side(row, settings, key=key, subject=subject, draw=_draw())

    return pick_by_draw


def drawn(settings: Settings) -> Router:
    """Return a router that picks one side however often it is asked, as a decision must."""
    draw = _draw() if settings.unit is Unit.REQUEST else None

    def pick(row: MigrationRow, *, key: str, subject: str | None) -> Side:
        return pick_side(row, settings, key=key, subject=subject, draw=draw)

    return pick


def _draw() -> int:
    return random.getrandbits(DRAW_BITS)


def _with_workers(settings: Settings, workers: Workers | None) -> Settings:
    return settings if workers is None else replace(settings, workers=workers)


def _open_sides(
    configured: ConfiguredMigration, stack: AsyncExitStack, wrap: WrapSide | None, *, known: bool
) -> Pair[Backend]:
    found = {}
    for side, url in zip(BOTH_SIDES, (configured.source, configured.target), strict=True):
        backend = open_side(url, known=known)
        stack.push_async_callback(_shielded, backend.close)
        found[side] = backend
        if wrap is not None:
            found[side] = wrap(configured.name, side, backend)
        if found[side] is not backend:
            stack.push_async_callback(_shielded, found[side].close)
    return Pair(found[Side.SOURCE], found[Side.TARGET])


@asynccontextmanager
async def _at_work(engine: Engine) -> AsyncIterator[Files]:
    """Run a migration's files, and say so where this process runs its workers."""
    async with task_group() as group:
        if engine.settings.workers is Workers.INLINE:
            group.start_soon(
                be_present, engine.catalog, engine.name, engine.holder, engine.timing.lease
            )
        async with running(engine) as files:
            yield files
        group.cancel_scope.cancel()


async def _shielded(close: Callable[[], Any]) -> None:
    """Close although the caller is being cancelled: what was submitted has to be finished."""
    with anyio.CancelScope(shield=True):
        await close()
