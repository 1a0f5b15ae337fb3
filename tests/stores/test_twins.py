"""Random scripts of operations give the same answers in memory and in SQLite."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crossfade.core.intents import Ask, Outcome
from crossfade.core.objects import ABSENT, Attributes, Digest, Pair, Side
from crossfade.core.protocol import (
    commit,
    leave_extra,
    mark,
    mark_damaged,
    may_seal,
    recover_lapsed,
    renew,
)
from crossfade.core.records import Decision, Look, Operation
from crossfade.core.settings import Mirror, Timing
from crossfade.errors import CrossfadeError
from crossfade.stores.memory import MemoryCatalog
from crossfade.stores.sqlite import SqliteCatalog
from crossfade.testing.catalog_samples import NAME, OTHER, ROW, ManualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crossfade.core.records import Census, Interval, Lease, MigrationRow
    from crossfade.ports import Catalog

TIMING = Timing(lease=4.0, late_max=6.0, look_max=2.0)
KEYS = ("a", "a\0", "a/b", "ü", "\uffff", "\U00010000")
NAMES = (NAME, OTHER.name)
LIMIT = 3

keys = st.sampled_from(KEYS)
names = st.sampled_from(NAMES)
bounds = st.tuples(st.sampled_from(("", *KEYS)), st.none() | st.sampled_from(KEYS))
tokens = st.sampled_from([f"t{number}" for number in range(4)])
outcomes = st.builds(Pair, st.sampled_from(Outcome), st.sampled_from(Outcome))
digests = st.sampled_from(
    [None, ABSENT, Digest(sha256="a" * 64, size=3, attributes=Attributes(metadata={"k": "é"}))]
)
asks = st.builds(
    Ask,
    token=tokens,
    holder=st.sampled_from(["h1", "h2"]),
    operation=st.sampled_from([Operation.PUT, Operation.DELETE]),
    digest=digests,
    routed=st.sampled_from(Side),
    mirror=st.sampled_from([Mirror.ASYNC, Mirror.PARALLEL]),
)


@dataclass(frozen=True)
class Step:
    """One operation on a catalog, which can be done on each twin."""

    name: str
    arguments: tuple[Any, ...]
    act: Callable[[Catalog, dict[str, Lease]], Awaitable[Any]]

    def __repr__(self) -> str:
        return f"{self.name}{self.arguments}"


def marking(key: str, ask: Ask) -> Callable[[Look], Decision[Any]]:
    return lambda look: mark(look, ask, TIMING)


def changing(
    name: str, migration: str, key: str, decide: Callable[[Look], Decision[Any]], *shown: Any
) -> Step:
    async def act(catalog: Catalog, leases: dict[str, Lease]) -> Any:
        return await catalog.change(migration, key, decide)

    return Step(name, (migration, key, *shown), act)


def mark_step(migration: str, key: str, ask: Ask) -> Step:
    return changing("mark", migration, key, marking(key, ask), ask)


def commit_step(migration: str, key: str, token: str, outcome: Pair[Outcome]) -> Step:
    decide = partial(commit, token=token, outcomes=outcome, timing=TIMING)
    return changing("commit", migration, key, decide, token, outcome)


def end_step(migration: str, key: str, token: str, how: str) -> Step:
    decides: dict[str, Callable[[Look], Decision[Any]]] = {
        "renew": partial(renew, token=token, timing=TIMING),
        "leave_extra": partial(leave_extra, token=token),
        "mark_damaged": partial(mark_damaged, token=token, tags=Pair("x", None)),
        "recover": partial(recover_lapsed, timing=TIMING),
    }
    return changing(how, migration, key, decides[how], token)


def amend_step(migration: str, key: str, extra: bool | None, repaired: bool, closes: bool) -> Step:
    def decide(look: Look) -> Decision[Any]:
        record = None if closes else look.record
        return Decision(record, look, extra=extra, repaired=repaired)

    return changing("amend", migration, key, decide, extra, repaired, closes)


def many_step(migration: str, asked: list[tuple[str, Ask]], fails: bool) -> Step:
    def fail(look: Look) -> Decision[Any]:
        raise CrossfadeError(look.key)

    async def act(catalog: Catalog, leases: dict[str, Lease]) -> Any:
        pairs = [(key, marking(key, ask)) for key, ask in asked]
        return await catalog.change_many(migration, pairs + [("a", fail)] * fails)

    return Step("change_many", (migration, asked, fails), act)


def row_step(migration: str, points: int, completed: bool) -> Step:
    def decide(census: Census) -> tuple[MigrationRow, Census]:
        row = replace(census.migration, basis_points=points, completed=completed)
        return row, census

    async def act(catalog: Catalog, leases: dict[str, Lease]) -> Any:
        return await catalog.change_row(migration, decide)

    return Step("change_row", (migration, points, completed), act)


def seal_step(migration: str, bound: tuple[str, str | None], holder: str | None) -> Step:
    def decide(interval: Interval) -> bool:
        return may_seal(interval, {})

    async def act(catalog: Catalog, leases: dict[str, Lease]) -> Any:
        lease = leases.get(holder or "")
        return await catalog.seal(migration, *bound, decide, lease)

    return Step("seal", (migration, bound, holder), act)


def lease_step(holder: str, seconds: float, gives_back: bool) -> Step:
    async def act(catalog: Catalog, leases: dict[str, Lease]) -> Any:
        if gives_back:
            if holder in leases:
                await catalog.release_lease(leases[holder])
            return None
        lease = await catalog.take_lease("worker", holder, seconds)
        if lease is not None:
            leases[holder] = lease
        return lease

    return Step("lease", (holder, seconds, gives_back), act)


def unseal_step(migration: str) -> Step:
    async def act(catalog: Catalog, leases: dict[str, Lease]) -> Any:
        return await catalog.unseal(migration)

    return Step("unseal", (migration,), act)


def wait_step(seconds: float) -> Step:
    async def act(catalog: Catalog, leases: dict[str, Lease]) -> Any:
        return None

    return Step("wait", (seconds,), act)


holders = st.sampled_from(["h1", "h2"])
steps = st.one_of(
    st.builds(mark_step, names, keys, asks),
    st.builds(commit_step, names, keys, tokens, outcomes),
    st.builds(
        end_step,
        names,
        keys,
        tokens,
        st.sampled_from(["renew", "leave_extra", "mark_damaged", "recover"]),
    ),
    st.builds(amend_step, names, keys, st.sampled_from([None, True, False]), *[st.booleans()] * 2),
    st.builds(many_step, names, st.lists(st.tuples(keys, asks), max_size=4), st.booleans()),
    st.builds(row_step, names, st.integers(0, 10_000), st.booleans()),
    st.builds(seal_step, names, bounds, st.none() | holders),
    st.builds(lease_step, holders, st.sampled_from([1.0, 5.0]), st.booleans()),
    st.builds(unseal_step, names),
    st.builds(wait_step, st.sampled_from([1.0, 2.0, 4.0, 8.0])),
)


async def outcome_of(step: Step, catalog: Catalog, leases: dict[str, Lease]) -> Any:
    try:
        return await step.act(catalog, leases)
    except CrossfadeError as error:
        return type(error), str(error)


async def everything(catalog: Catalog) -> list[Any]:
    """Return all that a catalog tells of what it holds."""
    told: list[Any] = [list(await catalog.migrations())]
    for name in NAMES:
        told += [await catalog.look(name, key) for key in KEYS]
        told += [await catalog.look_between(name, "", None)]
        told += [await catalog.look_between(name, "a/", "\uffff", 1)]
        told += [list(await catalog.ranges(name)), await catalog.census(name)]
        told += [list(await catalog.due(name, 100)), list(await catalog.due(name, LIMIT))]
    return told


async def compare(script: list[Step], one: Catalog, other: Catalog, clock: ManualClock) -> None:
    twins: list[tuple[Catalog, dict[str, Lease]]] = [(one, {}), (other, {})]
    for catalog, _ in twins:
        for row in (ROW, OTHER):
            await catalog.prepare(row)
    for step in script:
        if step.name == "wait":
            clock.advance(step.arguments[0])
        first, second = [await outcome_of(step, catalog, leases) for catalog, leases in twins]
        assert first == second, step
        assert await everything(one) == await everything(other), step


async def compare_twins(script: list[Step]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteCatalog(Path(folder) / "catalog.db", clock=clock, boot_id="boot")
        try:
            await compare(script, MemoryCatalog(clock), sqlite, clock)
        finally:
            await sqlite.close()


ALL = [
    mark_step(NAME, "a", Ask(token="t0", holder="h", operation=Operation.DELETE, digest=ABSENT)),
    lease_step("h1", 1.0, False),
    seal_step(NAME, ("a", "ü"), "h1"),
    wait_step(1.0),
    lease_step("h2", 1.0, False),
    seal_step(NAME, ("ü", None), "h1"),
    amend_step(NAME, "a/b", True, True, False),
    wait_step(8.0),
    end_step(NAME, "a", "t0", "recover"),
    row_step(NAME, 100, True),
    wait_step(8.0),
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(st.lists(steps, min_size=10, max_size=30))
@example(ALL)
def test_both_twins_give_the_same_answers(script: list[Step]) -> None:
    asyncio.run(compare_twins(script))


class Forgetful(MemoryCatalog):
    """Forgets one thing: that a repair makes older proofs stale."""

    async def change(
        self, migration: str, key: str, decide: Callable[[Look], Decision[Any]]
    ) -> Any:
        return await super().change(
            migration, key, lambda look: replace(decide(look), repaired=False)
        )


def test_a_twin_that_differs_is_found() -> None:
    clock = ManualClock()
    with pytest.raises(AssertionError, match="amend"):
        asyncio.run(compare(ALL, Forgetful(clock), MemoryCatalog(clock), clock))
