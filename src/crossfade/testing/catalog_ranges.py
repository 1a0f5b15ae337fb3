"""Checks of a catalog's ranges, of what is due, and of its named leases."""

# ruff: noqa: ARG001 - every check is given the catalog and its clock

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.core.objects import Pair, Side
from crossfade.core.records import WHOLE, Interval, KeyRange, Lease, Mark, MarkKind, Record
from crossfade.errors import StaleEpochError
from crossfade.testing.catalog_samples import NAME, RICH, ROW, note, put, refused

if TYPE_CHECKING:
    from crossfade.ports import Catalog
    from crossfade.testing.catalog_samples import CatalogCheck, ManualClock

RANGE_CHECKS: list[CatalogCheck] = []


def _check(check: CatalogCheck) -> CatalogCheck:
    RANGE_CHECKS.append(check)
    return check


async def _cuts(catalog: Catalog) -> list[tuple[str, bool]]:
    """Return where ranges start and whether they are sealed; they must hold every key."""
    ranges = await catalog.ranges(NAME)
    assert ranges[0].start == ""
    assert [known.end for known in ranges] == [*(known.start for known in ranges[1:]), None]
    return [(known.start, known.sealed) for known in ranges]


async def _seal(catalog: Catalog, start: str, end: str | None) -> None:
    assert await catalog.seal(NAME, start, end, lambda _: True)


# -- ranges ----------------------------------------------------------------------------------------


@_check
async def sealing_splits_ranges_and_merges_sealed_neighbours(
    catalog: Catalog, clock: ManualClock
) -> None:
    """Any interval may be sealed, in any order; what was sealed stays it."""
    await catalog.prepare(ROW)
    await _seal(catalog, "c", "e")
    assert await _cuts(catalog) == [("", False), ("c", True), ("e", False)]
    await _seal(catalog, "g", "i")
    await _seal(catalog, "d", "d\0")
    cuts = [("", False), ("c", True), ("e", False), ("g", True), ("i", False)]
    assert await _cuts(catalog) == cuts
    await _seal(catalog, "e", "g")
    assert await _cuts(catalog) == [("", False), ("c", True), ("i", False)]
    await _seal(catalog, "", "a")
    await _seal(catalog, "b", "k")
    cuts = [("", True), ("a", False), ("b", True), ("k", False)]
    assert await _cuts(catalog) == cuts
    await _seal(catalog, "z", None)
    await _seal(catalog, "", None)
    assert await _cuts(catalog) == [("", True)]


@_check
async def a_key_is_sealed_with_the_range_that_holds_it(
    catalog: Catalog, clock: ManualClock
) -> None:
    """A range holds its start and not its end, for open keys and for closed ones."""
    await catalog.prepare(ROW)
    await _seal(catalog, "b", "d")
    await put(catalog, "c", RICH)
    keys = ("a\0", "b", "c", "c\U0010ffff", "d", "e")
    sealed = [(await catalog.look(NAME, key)).sealed for key in keys]
    assert sealed == [False, True, True, True, False, False]
    assert (await put(catalog, "c", None)).sealed


@_check
async def an_interval_tells_the_ranges_that_it_meets(catalog: Catalog, clock: ManualClock) -> None:
    """They are whole, also where they reach out of it."""
    await catalog.prepare(ROW)
    await _seal(catalog, "b", "d")
    first = KeyRange(start="", end="b")
    middle = KeyRange(start="b", end="d", sealed=True)
    last = KeyRange(start="d", end=None)
    cases = (("", "b", (first,)), ("a", "b\0", (first, middle)), ("b", "d", (middle,)))
    more = (("c", None, (middle, last)), ("d", "e", (last,)), ("", None, (first, middle, last)))
    for start, end, ranges in cases + more:
        assert (await catalog.look_between(NAME, start, end)).ranges == ranges, (start, end)


@_check
async def a_seal_is_decided_on_all_that_is_open_inside(
    catalog: Catalog, clock: ManualClock
) -> None:
    """The decision sees one snapshot of the interval; when it refuses, nothing changes."""
    await catalog.prepare(ROW)
    for key in "abcd":
        await put(catalog, key, RICH)
        await note(catalog, key + "!", extra=True)
    given: list[Interval] = []

    def decide(interval: Interval) -> bool:
        given.append(interval)
        return False

    clock.advance(1.0)
    assert not await catalog.seal(NAME, "b", "d", decide)
    assert given == [await catalog.look_between(NAME, "b", "d")]
    assert await _cuts(catalog) == [("", False)]
    assert await catalog.prepare(ROW) == ROW


@_check
async def a_seal_makes_older_proofs_stale(catalog: Catalog, clock: ManualClock) -> None:
    """`changed_at` becomes now; open keys and extras stay."""
    await catalog.prepare(ROW)
    await put(catalog, "k", RICH)
    await note(catalog, "e", extra=True)
    clock.advance(5.0)
    await _seal(catalog, "", None)
    assert (await catalog.prepare(ROW)).changed_at == clock.now
    found = await catalog.look_between(NAME, "", None)
    assert (found.records, found.extras) == ((("k", RICH),), ("e",))


@_check
async def a_holder_that_was_followed_seals_nothing(catalog: Catalog, clock: ManualClock) -> None:
    """The lease's epoch is checked in the seal's own transaction, before the decision."""
    await catalog.prepare(ROW)
    first = await catalog.take_lease("backfill", "h1", 10.0)
    assert first is not None
    assert await catalog.seal(NAME, "", "b", lambda _: True, first)
    clock.advance(10.0)
    second = await catalog.take_lease("backfill", "h2", 10.0)
    assert second is not None
    assert await refused(catalog.seal(NAME, "b", "c", lambda _: True, first), StaleEpochError)
    never = Lease(name="never", holder="h1", epoch=1, until=2_000.0)
    assert await refused(catalog.seal(NAME, "b", "c", lambda _: True, never), StaleEpochError)
    assert await _cuts(catalog) == [("", True), ("b", False)]
    assert await catalog.seal(NAME, "b", "c", lambda _: True, second)


@_check
async def unsealing_leaves_one_unsealed_range(catalog: Catalog, clock: ManualClock) -> None:
    """Open keys and extras stay; older proofs are stale."""
    await catalog.prepare(ROW)
    await _seal(catalog, "b", "d")
    await _seal(catalog, "x", None)
    await put(catalog, "k", RICH)
    await note(catalog, "e", extra=True)
    clock.advance(5.0)
    await catalog.unseal(NAME)
    assert list(await catalog.ranges(NAME)) == [WHOLE]
    assert not (await catalog.look(NAME, "c")).sealed
    assert (await catalog.prepare(ROW)).changed_at == clock.now
    found = await catalog.look_between(NAME, "", None)
    assert (found.records, found.extras) == ((("k", RICH),), ("e",))


# -- what is due -----------------------------------------------------------------------------------


def _plain(since: float, doubt: float | None = None, next_attempt: float = 0.0) -> Record:
    """Return a record that only waits for the copier."""
    return Record(
        authority=Side.SOURCE,
        doubt=Pair(None, doubt),
        since=since,
        next_attempt=next_attempt,
    )


def _held(since: float, until: float) -> Record:
    """Return a record with an intent whose lease lasts until then."""
    assert RICH.intent is not None
    intent = replace(RICH.intent, lease_until=until)
    return replace(_plain(since), intent=intent)


def _marked(since: float) -> Record:
    mark = Mark(kind=MarkKind.DRIFT, tags=Pair("a", "b"), since=since)
    return replace(_plain(since), mark=mark)


async def _due(catalog: Catalog, limit: int = 100) -> list[str]:
    return [key for key, _ in await catalog.due(NAME, limit)]


@_check
async def due_are_lapsed_intents_and_keys_that_can_be_copied(
    catalog: Catalog, clock: ManualClock
) -> None:
    """Longest open first; at the very moment that a lease, a doubt or a pause is over."""
    await catalog.prepare(ROW)
    now = clock.now
    records = {
        "doubtful": _plain(1.0, doubt=now + 1.0),
        "held": _held(2.0, until=now + 1.0),
        "later": _plain(3.0, next_attempt=now + 1.0),
        "marked": _marked(4.0),
        "b": _plain(6.0, doubt=now, next_attempt=now),
        "a": _plain(6.0),
        "lapsed": _held(5.0, until=now),
    }
    for key, record in records.items():
        await put(catalog, key, record)
    assert list(await catalog.due(NAME, 9)) == [(k, records[k]) for k in ("lapsed", "a", "b")]
    assert await _due(catalog, 2) == ["lapsed", "a"]
    clock.advance(1.0)
    assert await _due(catalog) == ["doubtful", "held", "later", "lapsed", "a", "b"]


@_check
async def after_complete_every_quiet_key_is_due(catalog: Catalog, clock: ManualClock) -> None:
    """Nothing is copied any more: a mark or a pause holds no record back."""
    await catalog.prepare(ROW)
    now = clock.now
    await put(catalog, "doubtful", _plain(1.0, doubt=now + 1.0))
    await put(catalog, "held", _held(2.0, until=now + 1.0))
    await put(catalog, "later", _plain(3.0, next_attempt=now + 9.0))
    await put(catalog, "marked", _marked(4.0))
    await catalog.change_row(NAME, lambda c: (replace(c.migration, completed=True), None))
    assert await _due(catalog) == ["later", "marked"]
    assert await _due(catalog, 1) == ["later"]
    clock.advance(1.0)
    assert await _due(catalog) == ["doubtful", "held", "later", "marked"]


# -- named leases ----------------------------------------------------------------------------------


@_check
async def a_named_lease_has_one_holder_at_a_time(catalog: Catalog, clock: ManualClock) -> None:
    """It is renewed by its holder alone, and free at the moment at which it ends."""
    first = await catalog.take_lease("n", "h1", 10.0)
    assert first == Lease(name="n", holder="h1", epoch=1, until=clock.now + 10.0)
    assert await catalog.take_lease("n", "h2", 10.0) is None
    assert await catalog.take_lease("other", "h2", 10.0) is not None
    clock.advance(9.0)
    renewed = await catalog.take_lease("n", "h1", 10.0)
    assert renewed == replace(first, until=clock.now + 10.0)
    clock.advance(9.0)
    assert await catalog.take_lease("n", "h2", 10.0) is None
    clock.advance(1.0)
    second = await catalog.take_lease("n", "h2", 10.0)
    assert second == Lease(name="n", holder="h2", epoch=2, until=clock.now + 10.0)


@_check
async def a_lease_that_was_given_back_is_free_at_once(catalog: Catalog, clock: ManualClock) -> None:
    """Each new holder gets a greater epoch; giving back an old epoch changes nothing."""
    first = await catalog.take_lease("n", "h1", 10.0)
    assert first is not None
    await catalog.release_lease(first)
    second = await catalog.take_lease("n", "h2", 10.0)
    assert second == Lease(name="n", holder="h2", epoch=2, until=clock.now + 10.0)
    await catalog.release_lease(first)
    assert await catalog.take_lease("n", "h1", 10.0) is None
    await catalog.release_lease(second)
    again = await catalog.take_lease("n", "h2", 10.0)
    assert again == Lease(name="n", holder="h2", epoch=3, until=clock.now + 10.0)
