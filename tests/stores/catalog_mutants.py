"""Catalogs with one fault each, to see that every check finds the fault that it is for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import checkpoint

from crossfade.core.catalogs import no_such_migration
from crossfade.core.objects import Side
from crossfade.core.records import WHOLE, Decision, KeyRange, Record
from crossfade.stores.memory import MemoryCatalog, _State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crossfade.core.records import Census, Interval, Lease, Look, MigrationRow

    Decide = Callable[[Look], Decision[Any]]


class Deciding(MemoryCatalog):
    """A catalog that passes what was decided through `amend` first."""

    def amend(self, look: Look, decision: Decision[Any]) -> Decision[Any]:
        raise NotImplementedError

    async def change_many(self, migration: str, decides: Sequence[tuple[str, Decide]]) -> list[Any]:
        def amended(decide: Decide) -> Decide:
            return lambda look: self.amend(look, decide(look))

        return await super().change_many(migration, [(k, amended(d)) for k, d in decides])


class StartsSealed(MemoryCatalog):
    async def prepare(self, row: MigrationRow) -> MigrationRow:
        if row.name not in self._states:
            self._states[row.name] = _State(row, ranges=(replace(WHOLE, sealed=True),))
        return await super().prepare(row)


class StartsOver(MemoryCatalog):
    async def prepare(self, row: MigrationRow) -> MigrationRow:
        known = self._states.pop(row.name, None)
        if known is not None and known.row.source != row.source:
            self._states[row.name] = known
        return await super().prepare(row)


class TakesOtherSides(MemoryCatalog):
    async def prepare(self, row: MigrationRow) -> MigrationRow:
        known = self._states.get(row.name)
        return known.row if known is not None else await super().prepare(row)


class MakesWhatItIsAskedFor(MemoryCatalog):
    async def ranges(self, migration: str) -> Sequence[KeyRange]:
        return (WHOLE,) if migration not in self._states else await super().ranges(migration)


class SharesRecords(MemoryCatalog):
    async def prepare(self, row: MigrationRow) -> MigrationRow:
        prepared = await super().prepare(row)
        first = next(iter(self._states.values()))
        self._states[row.name].records, self._states[row.name].keys = first.records, first.keys
        return prepared


class ForgetsVersions(MemoryCatalog):
    async def change_row(
        self, migration: str, decide: Callable[[Census], tuple[MigrationRow, Any]]
    ) -> Any:
        answer = await super().change_row(migration, decide)
        state = self._states[migration]
        state.row = replace(state.row, version=0)
        return answer


class ChangesTheRowFirst(MemoryCatalog):
    async def change_row(
        self, migration: str, decide: Callable[[Census], tuple[MigrationRow, Any]]
    ) -> Any:
        state = self._state(migration)
        before, state.row = state.row, replace(state.row, halted=True)
        _, answer = decide(self._census(replace_row(state, before)))
        state.row = before
        return await super().change_row(migration, lambda census: (decide(census)[0], answer))


def replace_row(state: _State, row: MigrationRow) -> _State:
    return _State(row, state.records, state.keys, state.extras, state.ranges)


class ForgetsMarks(Deciding):
    def amend(self, look: Look, decision: Decision[Any]) -> Decision[Any]:
        record = decision.record
        return replace(decision, record=None if record is None else replace(record, mark=None))


class NeverCloses(Deciding):
    def amend(self, look: Look, decision: Decision[Any]) -> Decision[Any]:
        return replace(decision, record=decision.record or look.record)


class ClosesOnError(MemoryCatalog):
    async def change(self, migration: str, key: str, decide: Decide) -> Any:
        try:
            return await super().change(migration, key, decide)
        except BaseException:
            await super().change(migration, key, lambda _: Decision(None, None))
            raise


class LosesUpdates(MemoryCatalog):
    async def change(self, migration: str, key: str, decide: Decide) -> Any:
        decision = decide(await self.look(migration, key))
        await checkpoint()
        return await super().change(migration, key, lambda _: decision)


class CommitsOneByOne(MemoryCatalog):
    async def change_many(self, migration: str, decides: Sequence[tuple[str, Decide]]) -> list[Any]:
        return [
            (await super(CommitsOneByOne, self).change_many(migration, [d]))[0] for d in decides
        ]


class EndsKeysAtNul(MemoryCatalog):
    async def change(self, migration: str, key: str, decide: Decide) -> Any:
        return await super().change(migration, key.partition("\0")[0] or key, decide)


class HoldsTheEnd(MemoryCatalog):
    async def look_between(
        self, migration: str, start: str, end: str | None, limit: int | None = None
    ) -> Interval:
        end = None if end is None else end + "\0"
        return await super().look_between(migration, start, end, limit)


class ForgetsExtras(Deciding):
    def amend(self, look: Look, decision: Decision[Any]) -> Decision[Any]:
        return replace(decision, extra=None)


class IgnoresRepairs(Deciding):
    def amend(self, look: Look, decision: Decision[Any]) -> Decision[Any]:
        return replace(decision, repaired=False)


class CountsNoDoubt(MemoryCatalog):
    async def census(self, migration: str) -> Census:
        return replace(await super().census(migration), in_doubt=0)


class SealsWholeRanges(MemoryCatalog):
    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        met = (await self.look_between(migration, start, end)).ranges
        return await super().seal(migration, met[0].start, met[-1].end, decide, lease)


class SealsTheEnd(MemoryCatalog):
    async def look(self, migration: str, key: str) -> Look:
        look = await super().look(migration, key)
        ranges = await self.ranges(migration)
        return replace(
            look, sealed=any(r.sealed and r.start <= key <= (r.end or key) for r in ranges)
        )


class TellsAllRanges(MemoryCatalog):
    async def look_between(
        self, migration: str, start: str, end: str | None, limit: int | None = None
    ) -> Interval:
        interval = await super().look_between(migration, start, end, limit)
        return replace(interval, ranges=tuple(await self.ranges(migration)))


class SealsUnseen(MemoryCatalog):
    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        def blind(interval: Interval) -> bool:
            return decide(replace(interval, records=()))

        return await super().seal(migration, start, end, blind, lease)


class SealsUnnoticed(MemoryCatalog):
    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        before = self._states[migration].row
        answer = await super().seal(migration, start, end, decide, lease)
        self._states[migration].row = before
        return answer


class IgnoresEpochs(MemoryCatalog):
    async def seal(
        self,
        migration: str,
        start: str,
        end: str | None,
        decide: Callable[[Interval], bool],
        lease: Lease | None = None,
    ) -> bool:
        return await super().seal(migration, start, end, decide, None)


class NeverUnseals(MemoryCatalog):
    async def unseal(self, migration: str) -> None:
        if migration not in self._states:
            raise no_such_migration(migration)


class OrdersDueByKey(MemoryCatalog):
    async def due(self, migration: str, limit: int) -> Sequence[tuple[str, Record]]:
        return sorted(await super().due(migration, limit), key=lambda pair: pair[0])


class IgnoresDoubtOfDue(MemoryCatalog):
    async def due(self, migration: str, limit: int) -> Sequence[tuple[str, Record]]:
        self._state(migration)
        before = self._clock
        self._clock = lambda: before() + 5.0
        try:
            return await super().due(migration, limit)
        finally:
            self._clock = before


class CopiesAfterComplete(MemoryCatalog):
    async def due(self, migration: str, limit: int) -> Sequence[tuple[str, Record]]:
        state = self._state(migration)
        before, state.row = state.row, replace(state.row, completed=False)
        try:
            return await super().due(migration, limit)
        finally:
            state.row = before


class GivesLeasesToAll(MemoryCatalog):
    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        held = self._leases.get(name)
        if held is not None and held.holder != holder:
            self._leases[name] = replace(held, until=self.now())
        return await super().take_lease(name, holder, seconds)


class TakesBackAnyLease(MemoryCatalog):
    async def release_lease(self, lease: Lease) -> None:
        await super().release_lease(self._leases[lease.name])


class MovesAuthorities(Deciding):
    def amend(self, look: Look, decision: Decision[Any]) -> Decision[Any]:
        record = decision.record
        moved = None if record is None else replace(record, authority=Side.SOURCE)
        return replace(decision, record=moved)


MUTANTS: dict[type[MemoryCatalog], str] = {
    StartsSealed: "prepare_makes_the_row_with_one_unsealed_range",
    StartsOver: "prepare_returns_what_is_there",
    TakesOtherSides: "prepare_refuses_other_sides_salt_and_algorithm",
    MakesWhatItIsAskedFor: "an_unknown_migration_is_refused_by_every_verb",
    SharesRecords: "migrations_do_not_touch_each_other",
    ForgetsVersions: "a_changed_row_gets_the_next_version",
    ChangesTheRowFirst: "a_row_whose_decision_raises_stays",
    ForgetsMarks: "a_record_comes_back_as_it_was_stored",
    MovesAuthorities: "a_record_comes_back_as_it_was_stored",
    NeverCloses: "a_closed_key_has_no_record",
    ClosesOnError: "a_decision_that_raises_changes_nothing",
    LosesUpdates: "changes_of_one_key_follow_each_other",
    CommitsOneByOne: "several_keys_change_together_or_not_at_all",
    EndsKeysAtNul: "keys_are_kept_apart_and_in_the_order_of_their_bytes",
    HoldsTheEnd: "an_interval_holds_its_start_and_not_its_end",
    ForgetsExtras: "an_extra_is_noted_and_dropped_by_decisions_alone",
    IgnoresRepairs: "a_repair_makes_older_proofs_stale",
    CountsNoDoubt: "a_census_counts_everything",
    SealsWholeRanges: "sealing_splits_ranges_and_merges_sealed_neighbours",
    SealsTheEnd: "a_key_is_sealed_with_the_range_that_holds_it",
    TellsAllRanges: "an_interval_tells_the_ranges_that_it_meets",
    SealsUnseen: "a_seal_is_decided_on_all_that_is_open_inside",
    SealsUnnoticed: "a_seal_makes_older_proofs_stale",
    IgnoresEpochs: "a_holder_that_was_followed_seals_nothing",
    NeverUnseals: "unsealing_leaves_one_unsealed_range",
    OrdersDueByKey: "due_are_lapsed_intents_and_keys_that_can_be_copied",
    IgnoresDoubtOfDue: "due_are_lapsed_intents_and_keys_that_can_be_copied",
    CopiesAfterComplete: "after_complete_every_quiet_key_is_due",
    GivesLeasesToAll: "a_named_lease_has_one_holder_at_a_time",
    TakesBackAnyLease: "a_lease_that_was_given_back_is_free_at_once",
}
"""Each faulty catalog, with the check that is there to find it."""
