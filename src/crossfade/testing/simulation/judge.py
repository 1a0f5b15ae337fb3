"""What is watched while a schedule runs: histories, invariants, marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

from crossfade.core.objects import BOTH_SIDES, Side
from crossfade.core.protocol import any_doubt
from crossfade.core.records import MarkKind, Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from crossfade.backends.memory import MemoryBackend
    from crossfade.core.objects import Pair
    from crossfade.core.records import Decision, Interval, Look, Record
    from crossfade.stores.memory import MemoryCatalog
    from crossfade.testing.simulation.chance import Chance
    from crossfade.testing.simulation.clock import VirtualClock
    from crossfade.testing.simulation.network import Network
    from crossfade.testing.simulation.plan import Plan
    from crossfade.testing.simulation.process import Process

T = TypeVar("T")

MARKS = (
    "late landing",
    "lapsed lease",
    "authority moved by a fallback",
    "acknowledged before a crash",
    "second look that starts over",
    "both sides in doubt",
    "rollback during an open delete",
    "write during backfill of its key",
    "a writer takes over from the copier",
    "sealed while open",
    "complete refused for an open key",
    "staged before mark",
    "stage dropped for another primary",
    "large copy started over",
    "parts put together late",
)
"""States that schedules must reach, each in at least one in a hundred."""


@dataclass(slots=True)
class Call:
    """One operation of a client, with the numbers of its call and its return."""

    client: str
    kind: str
    key: str
    called: int
    value: str | None = None
    expected: str | None = None
    returned: int | None = None
    result: str = ""
    seen: str | None = None
    listed: dict[str, bool] = field(default_factory=dict)
    faults_before: int = 0


class Judge:
    """Hears everything that happens in one schedule."""

    def __init__(self, chance: Chance, plan: Plan, clock: VirtualClock) -> None:
        self.chance = chance
        self.clock = clock
        self.plan = plan
        self.group: TaskGroup
        self.catalog: MemoryCatalog
        self.network: Network
        self.sides: Pair[MemoryBackend]
        self.healed = False
        self.marks: set[str] = set()
        self.faults = 0
        self.faults_before_the_end = 0
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.died: set[str] = set()
        self.damaged: set[str] = set()
        self._damage: tuple[Side, str, str] | None = None
        self._known_since: int | None = None
        self.on_crash: Callable[[Process], None] = lambda _: None
        self.on_changed: Callable[[], None] = lambda: None
        self._clock = 0
        self._trace = blake2b(digest_size=8)

    # -- what happened

    def tick(self, what: str) -> int:
        """Number an event, and take it into the trace."""
        self._clock += 1
        self._trace.update(what.encode())
        return self._clock

    @property
    def trace(self) -> str:
        """A digest of everything that happened, in its order."""
        return self._trace.hexdigest()

    def reached(self, name: str) -> None:
        """Note a mark."""
        self.marks.add(name)
        self.tick(name)

    def fault(self, what: str) -> None:
        """Note that something was broken."""
        self.faults += 1
        self.tick(what)

    def violation(self, what: str) -> None:
        """Note that a promise was broken."""
        self.violations.append(what)

    def pause_seconds(self) -> float:
        """Draw how long a process sleeps: past its leases, not past what doubt allows for."""
        timing = self.plan.settings.timing
        return self.chance.of("pauses").uniform(
            timing.lease * 1.05, timing.lease + timing.late_max * 0.4
        )

    def stall_seconds(self) -> float:
        """Draw how long a task stalls before its commit: past its lease and every doubt."""
        timing = self.plan.settings.timing
        return timing.lease + self.chance.of("stalls").uniform(
            0.0, 1.6 * (timing.late_max + timing.look_max)
        )

    # -- calls

    def call(self, client: str, kind: str, key: str, **more: str | None) -> Call:
        """A client begins an operation."""
        call = Call(
            client=client,
            kind=kind,
            key=key,
            called=self.tick(f"{client} {kind} {key}"),
            value=more.get("value"),
            expected=more.get("expected"),
            faults_before=self.faults,
        )
        self.calls.append(call)
        return call

    def answered(self, call: Call, result: str, seen: str | None = None) -> None:
        """A client has its answer."""
        call.returned = self.tick(f"{call.client} {result} {seen}")
        call.result = result
        call.seen = seen

    def failed(self, call: Call, error: Exception) -> None:
        """A client has an error; without any fault before it that is a finding."""
        self.answered(call, "error")
        if not self.faults:
            self.violation(f"an error without a fault: {call.kind} {call.key!r}: {error!r}")

    # -- invariants

    def changed(self, key: str | None) -> None:
        """A transaction on a key, or on all of them, was committed."""
        self.tick(f"changed {key}")
        self._check_extras()
        self.on_changed()
        for each in self.plan.keys if key is None else (key,):
            self._check_closed(each)

    def landed(self, side: Side, key: str) -> None:
        """A request has taken effect on a side."""
        self.tick(f"{side} took {key}")
        self._check_spread(key)

    def record(self, key: str) -> Record | None:
        """Return the key's record as it is now."""
        return self.catalog._states["m"].records.get(key)  # noqa: SLF001

    def is_sealed(self, key: str) -> bool:
        """Tell whether the key's range is sealed now."""
        return any(r.sealed and r.holds(key) for r in self.catalog._states["m"].ranges)  # noqa: SLF001

    def is_completed(self) -> bool:
        """Tell whether the migration is complete."""
        return self.catalog._states["m"].row.completed  # noqa: SLF001

    def held(self, side: Side, key: str) -> str | None:
        """Return what a side holds of a key now."""
        found = self.sides[side]._objects.get(key)  # noqa: SLF001
        return None if found is None else found[1].decode()

    def _check_closed(self, key: str) -> None:
        """A closed key of a sealed range is the same on both sides, with nothing under way."""
        if self.record(key) is not None or not self.is_sealed(key) or self.is_completed():
            return
        values = [self.held(side, key) for side in BOTH_SIDES]
        if values[0] != values[1] and key not in self.damaged:
            self.violation(f"the closed key {key!r} differs: {values}")
        waiting = [side.value for side in BOTH_SIDES if self.network.under_way[side, key]]
        if waiting:
            self.violation(f"the closed key {key!r} has requests under way to {waiting}")

    # -- damage and drift: a side that changed by itself

    def damage(self, side: Side, key: str, value: str) -> None:
        """A side is about to change an object past the facade."""
        self.fault(f"{side} changes {key} by itself")
        self.damaged.add(key)
        self._damage = (side, key, value)

    def undamaged(self, key: str) -> None:
        """Repair decides on the key: whatever it holds is right from now on."""
        if self._damage is not None and self._damage[1] == key:
            self._damage = None

    def marked_keys(self) -> list[str]:
        """Return the keys that wait for repair."""
        records = ((key, self.record(key)) for key in self.plan.keys)
        return [key for key, record in records if record is not None and record.mark is not None]

    def heal(self) -> None:
        """Nothing is broken from here on; at the very end the source is switched off."""
        self.healed = True
        self.faults_before_the_end = self.faults

    def check_damage(self, call: Call, body: str) -> None:
        """Known damage is never given to a reader that began after it was known."""
        if self._damage is None or self._known_since is None or self._damage[1] != call.key:
            return
        if body == self._damage[2] and call.called > self._known_since:
            self.violation(f"known damage of {call.key!r} was read as good")

    def _watch_marks(self, key: str, before: Record | None, after: Record | None) -> None:
        """Note since when damage is known; a marked key is the copier's no more."""
        mark = None if after is None else after.mark
        if mark is not None and mark.kind is MarkKind.DAMAGED and self._known_since is None:
            self._known_since = self.tick(f"{key} is known to be damaged")
        if before is None or before.mark is None or after is None or after.intent is None:
            return
        copies = after.intent.operation is Operation.COPY and after.intent.announced
        if copies and after.mark is not None:
            self.violation(f"the copier took the marked key {key!r}")

    def _check_spread(self, key: str) -> None:
        """What a side changed by itself, while its key was open, is not copied."""
        if self._damage is None or self._damage[1] != key:
            return
        side, _, value = self._damage
        record = self.record(key)
        if record is None or record.digest is None:
            return  # nobody can know any more what the side took
        if self.held(side.other, key) == value:
            self.violation(f"the damage of {key!r} was copied to the {side.other}")

    # -- what only the target holds

    def _check_extras(self) -> None:
        """What the target held before, and nobody wrote or deleted, stays until repair decides."""
        if self.healed:
            return
        mutated = {call.key for call in self.calls if call.kind not in ("get", "head", "list")}
        held = {key for side, key, _ in self.plan.before if side == "source"}
        for side, key, value in self.plan.before:
            alone = side == "target" and key in self.plan.keys and key not in held
            if alone and key not in mutated and self.held(Side.TARGET, key) != value:
                self.violation(f"what only the target held of {key!r} is gone")

    def _check_new_extra(self, key: str) -> None:
        """Only what the target held before, or what an error answered for, becomes an extra."""
        value = self.held(Side.TARGET, key)
        own = {v for side, k, v in self.plan.before if side == "target" and k == key}
        own -= {v for side, k, v in self.plan.before if side == "source" and k == key}
        unsure = {call.value for call in self.calls if call.result != "ok"}
        if key not in self.damaged and value is not None and value not in own | unsure:
            self.violation(f"{value!r} of {key!r} became an extra, though the source took it")

    # -- marks that only a bird's eye sees

    def watching(self, decide: Callable[[Look], Decision[T]]) -> Callable[[Look], Decision[T]]:
        """Watch what a transaction decides on a key."""

        def watched(look: Look) -> Decision[T]:
            decision = decide(look)
            before, after = look.record, decision.record
            self._watch_marks(look.key, before, after)
            if decision.extra:
                self._check_new_extra(look.key)
            if before is not None and before.intent is not None:
                self._watch_intent(look, before, after)
            return decision

        return watched

    def _watch_intent(self, look: Look, before: Record, after: Record | None) -> None:
        old = before.intent
        new = after.intent if after is not None else None
        if old is None or (new is not None and new.token == old.token):
            return
        if old.operation is Operation.COPY and new is not None and not look.sealed:
            self.reached("write during backfill of its key")
        if old.lease_until <= look.now and not self.holder_died(old.holder):
            self.reached("lapsed lease")

    def watching_seal(self, decide: Callable[[Interval], bool]) -> Callable[[Interval], bool]:
        """Watch whether a range is sealed while a key of it is open."""

        def watched(interval: Interval) -> bool:
            sealed = decide(interval)
            if sealed and interval.records:
                self.reached("sealed while open")
            return sealed

        return watched

    def watch_rollback(self) -> None:
        """The percentage was lowered: is a delete open?"""
        for key in self.plan.keys:
            record = self.record(key)
            if record is None:
                continue
            deletes = record.intent is not None and record.intent.operation is Operation.DELETE
            if deletes or record.deleting:
                self.reached("rollback during an open delete")

    def holder_died(self, holder: str) -> bool:
        """Tell whether the process of that name has died."""
        return holder in self.died

    def crashed(self, process: Process) -> None:
        """A process dies: were writes of it acknowledged that it had not committed?"""
        self.fault(f"{process.name} dies")
        acknowledged = {call.value for call in self.calls if call.result == "ok"}
        for key in self.plan.keys:
            record = self.record(key)
            if record is None or record.intent is None:
                continue
            mine = record.intent.holder == process.name
            if mine and self.held(record.authority, key) in acknowledged:
                self.reached("acknowledged before a crash")
        self.died.add(process.name)
        process.kill()
        self.on_crash(process)

    def doubts(self) -> bool:
        """Tell whether any key is in doubt now."""
        now = self.catalog.now()
        records = (self.record(key) for key in self.plan.keys)
        return any(record is not None and any_doubt(record, now) for record in records)
