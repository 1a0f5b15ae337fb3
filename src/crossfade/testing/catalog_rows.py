"""Checks of a catalog's rows: the migration's own, open keys, extras, counts."""

# ruff: noqa: ARG001 - every check is given the catalog and its clock

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from anyio import create_task_group

from crossfade.core.objects import Pair, Side
from crossfade.core.records import WHOLE, Decision, Look, Mark, MarkKind, Proof, Record
from crossfade.errors import MigrationExistsError, MigrationNotFoundError
from crossfade.testing.catalog_samples import (
    HARD_KEYS,
    NAME,
    OTHER,
    RICH,
    ROW,
    keys_of,
    note,
    put,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crossfade.core.records import Census, MigrationRow
    from crossfade.ports import Catalog
    from crossfade.testing.catalog_samples import CatalogCheck, ManualClock

ROW_CHECKS: list[CatalogCheck] = []


def _check(check: CatalogCheck) -> CatalogCheck:
    ROW_CHECKS.append(check)
    return check


class _TestError(Exception):
    """Raised by a decision, to see what becomes of its transaction."""


# -- the migration's row ---------------------------------------------------------------------------


@_check
async def prepare_makes_the_row_with_one_unsealed_range(
    catalog: Catalog, clock: ManualClock
) -> None:
    """A new migration has its row as given, and nothing is open or sealed."""
    assert await catalog.prepare(ROW) == ROW
    assert list(await catalog.migrations()) == [ROW]
    assert list(await catalog.ranges(NAME)) == [WHOLE]
    census = await catalog.census(NAME)
    assert (census.open_count, census.open_keys, census.extras) == (0, (), 0)
    assert (census.sealed, census.unsealed, census.oldest_since) == (0, 1, None)


@_check
async def prepare_returns_what_is_there(catalog: Catalog, clock: ManualClock) -> None:
    """A second start does not set a running migration back."""
    await catalog.prepare(ROW)
    moved = await catalog.change_row(NAME, _to_percentage(5_000))
    await put(catalog, "k", RICH)
    assert await catalog.prepare(ROW) == moved
    assert (await catalog.look(NAME, "k")).record == RICH


@_check
async def prepare_refuses_other_sides_salt_and_algorithm(
    catalog: Catalog, clock: ManualClock
) -> None:
    """Open keys name sides: the same name cannot stand for others."""
    await catalog.prepare(ROW)
    for field in ("source", "target", "salt", "algorithm"):
        other = replace(ROW, **{field: "other"})  # type: ignore[arg-type]
        assert await refused(catalog.prepare(other), MigrationExistsError), field
    assert list(await catalog.migrations()) == [ROW]


@_check
async def an_unknown_migration_is_refused_by_every_verb(
    catalog: Catalog, clock: ManualClock
) -> None:
    """A name that was never prepared is an error, not an empty migration."""
    await catalog.prepare(OTHER)
    calls: list[Awaitable[object]] = [
        catalog.look(NAME, "k"),
        catalog.look_between(NAME, "", None),
        put(catalog, "k", RICH),
        catalog.change_many(NAME, [("k", lambda _: Decision(None, None))]),
        catalog.change_row(NAME, _to_percentage(1)),
        catalog.census(NAME),
        catalog.due(NAME, 1),
        catalog.seal(NAME, "", None, lambda _: True),
        catalog.unseal(NAME),
        catalog.ranges(NAME),
    ]
    accepted = [
        i for i, call in enumerate(calls) if not await refused(call, MigrationNotFoundError)
    ]
    assert not accepted


@_check
async def migrations_do_not_touch_each_other(catalog: Catalog, clock: ManualClock) -> None:
    """Keys, extras, ranges and rows belong to one migration; rows come by name."""
    await catalog.prepare(OTHER)
    await catalog.prepare(ROW)
    await put(catalog, "k", RICH)
    await note(catalog, "e", extra=True)
    await catalog.seal(NAME, "x", None, lambda _: True)
    assert [row.name for row in await catalog.migrations()] == [NAME, OTHER.name]
    assert (await catalog.look(OTHER.name, "k")).record is None
    assert not (await catalog.look(OTHER.name, "x")).sealed
    interval = await catalog.look_between(OTHER.name, "", None)
    assert (interval.records, interval.extras, interval.ranges) == ((), (), (WHOLE,))
    assert interval.migration == OTHER


@_check
async def a_changed_row_gets_the_next_version(catalog: Catalog, clock: ManualClock) -> None:
    """Every field of the row is kept; only a row that differs gets a version."""
    await catalog.prepare(ROW)
    assert (await catalog.change_row(NAME, lambda c: (c.migration, c.migration))).version == 0
    proof = Proof(begun_at=1.5, ended_at=2.5, ended_wall=3.5, keys=4, drift=5, unconfirmed=6)
    full = replace(ROW, basis_points=1, begun_at=6.5, completed=True, proof=proof, halted=True)
    full = replace(full, completing_until=7.5, changed_at=8.5, late_max=9.5, look_max=10.5)
    full = replace(full, late_complete_max=11.5)
    full = replace(full, known_wall=12.5)
    assert await catalog.change_row(NAME, lambda _: (full, "answer")) == "answer"
    assert await catalog.prepare(ROW) == replace(full, version=1)
    assert (await catalog.look(NAME, "k")).migration == replace(full, version=1)
    await catalog.change_row(NAME, lambda c: (replace(c.migration, proof=None), None))
    assert (await catalog.prepare(ROW)).version == 2  # noqa: PLR2004 - the second change


@_check
async def a_row_whose_decision_raises_stays(catalog: Catalog, clock: ManualClock) -> None:
    """An error of the decision reaches who asked, and changes nothing."""
    await catalog.prepare(ROW)
    assert await refused(catalog.change_row(NAME, _raise_for_row), _TestError)
    assert await catalog.prepare(ROW) == ROW


# -- one key ---------------------------------------------------------------------------------------


@_check
async def a_record_comes_back_as_it_was_stored(catalog: Catalog, clock: ManualClock) -> None:
    """Nothing of a record is lost, whatever its fields hold."""
    await catalog.prepare(ROW)
    plain = Record(authority=Side.SOURCE)
    drift = Mark(kind=MarkKind.DRIFT, tags=Pair(None, "t"), since=0.0)
    for record in (RICH, plain, replace(plain, mark=drift), replace(RICH, digest=None)):
        await put(catalog, "k", record)
        look = await catalog.look(NAME, "k")
        assert look == Look("k", record, False, ROW, clock.now)  # noqa: FBT003 - as the port gives it


@_check
async def a_closed_key_has_no_record(catalog: Catalog, clock: ManualClock) -> None:
    """None closes; the decision is given what was there, and its answer comes back."""
    await catalog.prepare(ROW)
    assert (await put(catalog, "k", RICH)).record is None
    assert (await put(catalog, "k", None)).record == RICH
    assert (await catalog.look(NAME, "k")).record is None
    assert (await catalog.census(NAME)).open_count == 0


@_check
async def a_decision_that_raises_changes_nothing(catalog: Catalog, clock: ManualClock) -> None:
    """An error of the decision reaches who asked; other changes at the same time go on."""
    await catalog.prepare(ROW)
    await put(catalog, "k", RICH)
    raised: list[bool] = []

    async def change(number: int) -> None:
        if number % 2:
            raised.append(await refused(catalog.change(NAME, "k", _raise), _TestError))
        else:
            await put(catalog, f"other/{number}", RICH)

    async with create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(change, number)
    assert raised == [True] * 3
    found = await catalog.look_between(NAME, "", None)
    assert found.records == tuple((k, RICH) for k in ("k", "other/0", "other/2", "other/4"))


@_check
async def changes_of_one_key_follow_each_other(catalog: Catalog, clock: ManualClock) -> None:
    """Each decision sees what the one before it stored, however many wait at once."""
    await catalog.prepare(ROW)

    def one_more(look: Look) -> Decision[int]:
        record = look.record or Record(authority=Side.SOURCE)
        return Decision(replace(record, attempts=record.attempts + 1), record.attempts)

    answers: list[int] = []

    async def change() -> None:
        answers.append(await catalog.change(NAME, "k", one_more))

    async with create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(change)
    assert sorted(answers) == list(range(50))


@_check
async def several_keys_change_together_or_not_at_all(catalog: Catalog, clock: ManualClock) -> None:
    """One transaction, in the order given: each decision sees those before it."""
    await catalog.prepare(ROW)
    seen: list[Record | None] = []

    def decide(look: Look) -> Decision[str]:
        seen.append(look.record)
        return Decision(RICH, look.key, extra=True, repaired=True)

    clock.advance(1.0)
    fails = [("a", decide), ("b", _raise)]
    assert await refused(catalog.change_many(NAME, fails), _TestError)
    assert (await catalog.look_between(NAME, "", None)).records == ()
    assert (await catalog.look_between(NAME, "", None)).extras == ()
    assert await catalog.prepare(ROW) == ROW
    seen.clear()
    pairs = [(key, decide) for key in ("b", "a", "b")]
    assert await catalog.change_many(NAME, pairs) == ["b", "a", "b"]
    assert seen == [None, None, RICH]
    assert keys_of((await catalog.look_between(NAME, "", None)).records) == ["a", "b"]
    assert await catalog.change_many(NAME, []) == []


@_check
async def keys_are_kept_apart_and_in_the_order_of_their_bytes(
    catalog: Catalog, clock: ManualClock
) -> None:
    """No key is normalised, cut off or confused with another."""
    await catalog.prepare(ROW)
    for number, key in enumerate(HARD_KEYS):
        await put(catalog, key, Record(authority=Side.SOURCE, attempts=number))
        await note(catalog, key, extra=True)
    ordered = sorted(HARD_KEYS, key=str.encode)
    interval = await catalog.look_between(NAME, "", None)
    assert keys_of(interval.records) == ordered
    assert list(interval.extras) == ordered
    for number, key in enumerate(HARD_KEYS):
        record = (await catalog.look(NAME, key)).record
        assert record is not None
        assert record.attempts == number, key
    for low, high in pairwise(ordered):
        assert keys_of((await catalog.look_between(NAME, low, high)).records) == [low]


@_check
async def an_interval_holds_its_start_and_not_its_end(catalog: Catalog, clock: ManualClock) -> None:
    """``start <= key < end``; a limit keeps the first of the open keys, and of the extras."""
    await catalog.prepare(ROW)
    for key in "abcd":
        await put(catalog, key, RICH)
        await note(catalog, key + "!", extra=True)
    found = await catalog.look_between(NAME, "b", "d")
    assert (keys_of(found.records), found.extras) == (["b", "c"], ("b!", "c!"))
    assert (found.migration, found.now) == (ROW, clock.now)
    found = await catalog.look_between(NAME, "b", None, 2)
    assert (keys_of(found.records), found.extras) == (["b", "c"], ("b!", "c!"))
    found = await catalog.look_between(NAME, "c", "c")
    assert (found.records, found.ranges, found.extras) == ((), (), ())


# -- extras and repairs ----------------------------------------------------------------------------


@_check
async def an_extra_is_noted_and_dropped_by_decisions_alone(
    catalog: Catalog, clock: ManualClock
) -> None:
    """It is apart from the record; only a look inside a transaction tells of it."""
    await catalog.prepare(ROW)
    assert not await note(catalog, "k", extra=True)
    assert await note(catalog, "k", extra=None)
    assert await note(catalog, "k", extra=True)
    assert not (await catalog.look(NAME, "k")).extra
    await put(catalog, "k", RICH)
    await put(catalog, "k", None)
    assert (await catalog.look_between(NAME, "", None)).extras == ("k",)
    assert (await catalog.census(NAME)).extras == 1
    assert await note(catalog, "k", extra=False)
    assert not await note(catalog, "k", extra=False)
    assert (await catalog.look_between(NAME, "", None)).extras == ()


@_check
async def a_repair_makes_older_proofs_stale(catalog: Catalog, clock: ManualClock) -> None:
    """`changed_at` becomes now with a repair, and with nothing else that happens to a key."""
    await catalog.prepare(ROW)
    clock.advance(5.0)
    await put(catalog, "k", RICH)
    await note(catalog, "k", extra=True)
    assert (await catalog.prepare(ROW)).changed_at == ROW.changed_at
    await catalog.change(NAME, "k", lambda look: Decision(look.record, None, repaired=True))
    assert (await catalog.prepare(ROW)).changed_at == clock.now


@_check
async def a_census_counts_everything(catalog: Catalog, clock: ManualClock) -> None:
    """What is in doubt, marked, old: as the clock says now; a hundred keys are named."""
    await catalog.prepare(ROW)
    marked = replace(RICH, doubt=Pair(None, None), since=900.0)
    for number in range(110):
        await put(catalog, f"{number:03}", Record(authority=Side.SOURCE, since=950.0))
    await put(catalog, "m", marked)
    for key, until in (("over", clock.now), ("doubt", math.nextafter(clock.now, math.inf))):
        await put(catalog, key, Record(authority=Side.SOURCE, doubt=Pair(until, 1.0), since=950.0))
    await note(catalog, "e", extra=True)
    await catalog.seal(NAME, "x", None, lambda _: True)
    census = await catalog.census(NAME)
    assert (census.open_count, census.marked, census.in_doubt, census.extras) == (113, 1, 1, 1)
    assert census.open_keys == tuple(f"{number:03}" for number in range(100))
    assert (census.sealed, census.unsealed, census.oldest_since) == (1, 1, 900.0)
    assert (census.now, census.migration) == (clock.now, await catalog.prepare(ROW))


def _to_percentage(points: int) -> Callable[..., tuple[MigrationRow, MigrationRow]]:
    return lambda census: (
        replace(census.migration, basis_points=points),
        replace(census.migration, basis_points=points, version=census.migration.version + 1),
    )


def _raise(_: object) -> Decision[str]:
    raise _TestError


def _raise_for_row(_: Census) -> tuple[MigrationRow, None]:
    raise _TestError
