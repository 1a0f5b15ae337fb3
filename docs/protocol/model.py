"""Every interleaving of the protocol in docs/protocol.md, for one key and a few clients.

    python docs/protocol/model.py            all scenarios, with the protocol as it stands
    python docs/protocol/model.py NAME       those whose name contains NAME
    python docs/protocol/model.py --broken   each rule taken away in turn: a scenario must catch it
    python docs/protocol/model.py --walk N   N random walks through larger worlds (4 to 6 clients,
                                             more faults)

States are explored breadth first, so a counterexample is a shortest one. Judged are: every
answer is linearizable (at once, also in runs that never end), a closed key is the same on
both sides with nothing under way, nobody gets an error without a fault, no run gets stuck.
Values are unique; 0 is an absent object. A `late` request is one whose sender has stopped
waiting and which may still be applied. An overwrite leaves the old object or the new one.
"""

# A step of the protocol is read best in one place, with all its cases below each other.
# ruff: noqa: C901, PLR0912

from __future__ import annotations

import random
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

SOURCE, TARGET = 0, 1
NAMES = ("source", "target")
ABSENT = 0
GONE, COPIER, CHECKER = -2, -1, -3  # holders of intents that are no clients
OWN = 8  # an object that the target held before the migration began


class Rules(NamedTuple):
    """The rules by the numbers of docs/protocol.md; `--broken` takes each away in turn."""

    mark: bool = True  # 1  a durable record before the first request
    announce: bool = True  # 1  every side that a request may go to stands in the intent
    lease: bool = True  # 2  one mutation of a key at a time
    fence: bool = True  # 2  a commit is refused once the intent is not its own
    take_over: bool = True  # 2  a writer that ends a copier's intent leaves its side in doubt
    open_at_authority: bool = True  # 3  an open key is read at its authority
    unsealed_at_source: bool = True  # 3  without a record in an unsealed range: the source
    look_again: bool = True  # 4  an answer counts if its side is still current afterwards
    list_open: bool = True  # 4  listed keys that are open are asked for one by one
    move_at_commit: bool = True  # 5  the authority moves when the other side has taken the write
    doubt: bool = True  # 6  sent and not known to be refused or committed: in doubt
    doubt_retry: bool = True  # 6  ok after an attempt of unknown outcome: in doubt all the same
    doubt_write: bool = True  # 6  nothing is sent to a side in doubt
    doubt_copy: bool = True  # 6  no copying, no closing while a side is in doubt
    doubt_lasts: bool = True  # 6  doubt ends when the request can no longer land, not before
    doubt_reads: bool = True  # 6  ... nor before reads that began earlier have looked again
    extra: bool = True  # 7  what only the target holds of an unsealed range is left alone
    extra_noted: bool = True  # 7  ... and keeps its range from being sealed
    delete_known: bool = True  # 7  a delete of unknown outcome may be carried over to the target
    copy_check: bool = True  # 7  what a copier read before its mark counts if it is still there
    paired: bool = True  # 7  only a key that was closed goes back to closed when nothing was sent
    condition_waits: bool = True  # 8  a condition is judged when the authority is in no doubt
    complete_closed: bool = True  # 9  complete only when every key is closed
    complete_doubt: bool = True  # 9  a target in doubt makes writers wait after it too


class Env(NamedTuple):
    """What may happen in a world, and how often."""

    mirror: str = "async"  # async | sync (after the primary) | parallel
    fallback: bool = True
    faults: int = 0  # requests of writers or copier that fail or end unknown
    crashes: int = 0  # writers or copiers that die
    lapses: int = 0  # writers or copiers that live on without their lease
    retries: bool = False
    read_faults: int = 0
    backfill: bool = False
    complete: bool = False
    staged: bool = False  # objects are large: a copier reads and stages before it marks
    checks: int = 0  # times that verification or repair looks at a closed key under its lease
    repair: bool = False  # ... and decides for the source on what only the target holds


Step: TypeAlias = "tuple[State, str]"
Pair: TypeAlias = "tuple[T, T]"


class Intent(NamedTuple):
    """The one mutation in flight."""

    who: int
    value: int | None
    sides: Pair[bool]  # announced: a request of it may go there
    fresh: bool  # it opened the key


class Record(NamedTuple):
    """What the catalog holds for an open key; a closed key has none."""

    authority: int
    paired: bool = True  # closed in a sealed range when it opened
    intent: Intent | None = None
    doubt: Pair[bool] = (False, False)
    deleted: bool = False  # a delete may have been applied to the authority since it took a put


class Client(NamedTuple):
    """A caller, and how far it is."""

    kind: str  # put | delete | cput | read | list
    value: int = ABSENT
    expect: int = ABSENT
    pc: str = "start"
    route: int = -1
    primary: int = -1
    authority: int = -1
    outcome: Pair[Any] = ("", "")
    result: object = None
    alive: bool = True


class Copying(NamedTuple):
    """How far the copier is."""

    step: str
    to: int
    value: int | None


class State(NamedTuple):
    """One state of the world."""

    stores: Pair[int]
    record: Record | None
    sealed: bool
    scanned: bool  # the range was compared, and may be sealed
    off: bool
    clients: tuple[Client, ...]
    copier: Copying | None
    checker: tuple[int, ...] | None  # what it has seen of the source, then of the target
    late: tuple[Late, ...]
    configs: frozenset[Config]  # ways in which the answers so far can be explained
    used: tuple[int, ...] = (0, 0, 0, 0, 0)  # faults, crashes, lapses, read faults, checks


Late: TypeAlias = "tuple[int, Any, int]"  # side, value, owner
Config: TypeAlias = "tuple[int, frozenset[tuple[int, Any]]]"

FAULT, CRASH, LAPSE, READ, CHECK = range(5)


class ViolationError(Exception):
    """A promise was broken."""


class World(NamedTuple):
    """How a scenario begins."""

    clients: tuple[tuple[Any, ...], ...]
    stores: Pair[int] = (9, 9)
    sealed: bool = True
    record: Record | None = None


ALL_RULES = Rules()


def put(pair: Pair[T], side: int, value: T) -> Pair[T]:
    """Return the pair with that side's value."""
    return (value, pair[1]) if side == 0 else (pair[0], value)


def spend(s: State, what: int) -> State:
    """Count one thing that happened."""
    return s._replace(used=(*s.used[:what], s.used[what] + 1, *s.used[what + 1 :]))


class Model:
    """One world: what can happen in each of its states, and what must hold."""

    def __init__(self, world: World, env: Env, rules: Rules = ALL_RULES) -> None:
        self.env, self.rules = env, rules
        value = world.stores[world.record.authority if world.record else SOURCE]
        self.start = State(
            stores=world.stores,
            record=world.record,
            sealed=world.sealed,
            scanned=False,
            off=False,
            clients=tuple(Client(*c) for c in world.clients),
            copier=None,
            checker=None,
            late=(),
            configs=frozenset([(value, frozenset())]),
        )

    # -- the register that all this should look like ------------------------------------------
    def closure(self, s: State, open_: list[tuple[int, Client]]) -> set[Config]:
        """Return every way in which operations under way may have taken effect by now."""
        seen, todo = set(s.configs), list(s.configs)
        while todo:
            value, lin = todo.pop()
            done = {k for k, _ in lin}
            for k, c in open_:
                if k in done:
                    continue
                if c.kind == "read":
                    nxt = (value, lin | {(k, value)})
                elif c.kind == "list":
                    nxt = (value, lin | {(k, value != ABSENT)})
                elif c.kind == "cput" and value != c.expect:
                    nxt = (value, lin | {(k, "precondition")})
                else:
                    nxt = (c.value, lin | {(k, "ok")})
                if nxt not in seen:
                    seen.add(nxt)
                    todo.append(nxt)
        return seen

    def answer(self, s: State, i: int, result: object) -> State:
        """Client i answers: keep the explanations in which it took effect with that result."""
        open_ = [
            (k, c)
            for k, c in enumerate(s.clients)
            if k == i or (c.pc != "start" and (c.result is None or failed_write(c)))
        ]
        kept = frozenset(
            (v, lin - {(i, result)}) for v, lin in self.closure(s, open_) if (i, result) in lin
        )
        if not kept:
            raise ViolationError(f"{s.clients[i].kind} of client {i} may not answer {result}")
        return self.change(s, i, result=result)._replace(configs=kept)

    def explained(self, s: State, value: int) -> bool:
        """Tell whether the key may have that value now."""
        open_ = [
            (k, c)
            for k, c in enumerate(s.clients)
            if c.pc != "start" and c.result in (None, "error") and c.kind not in ("read", "list")
        ]
        return any(v == value for v, _ in self.closure(s, open_))

    @staticmethod
    def change(s: State, i: int, **what: object) -> State:
        """Return the state with something of client i changed."""
        changed = s.clients[i]._replace(**what)  # type: ignore[arg-type]  # names are checked
        return s._replace(clients=(*s.clients[:i], changed, *s.clients[i + 1 :]))

    # -- which side may answer ----------------------------------------------------------------
    def current(self, s: State, side: int) -> bool:
        """Tell whether the side may answer for the key."""
        if s.off:
            return side == TARGET
        if s.record is not None:
            return side == s.record.authority or not self.rules.open_at_authority
        return s.sealed or side == SOURCE or not self.rules.unsealed_at_source

    def choose(self, s: State, route: int) -> int:
        """Return the routed side where it is current, else the other."""
        return route if self.current(s, route) else 1 - route

    # -- requests -----------------------------------------------------------------------------
    def request(self, s: State, side: int, value: int | None, owner: int) -> Iterator[Step]:
        """Send a write: what becomes of it, and what its sender hears."""
        assert value is not None
        applied = s._replace(stores=put(s.stores, side, value))
        yield applied, "ok"
        if s.used[FAULT] < self.env.faults:
            later = (*s.late, (side, value, owner))
            yield spend(s, FAULT), "failed"
            yield spend(applied, FAULT), "unknown"
            yield spend(s._replace(late=later), FAULT), "unknown"
            if self.env.retries:
                yield spend(applied._replace(late=later), FAULT), "ok after unknown"

    def late_steps(self, s: State) -> Iterator[Step]:
        """Let what was sent long ago land, or never."""
        for k, (side, value, owner) in enumerate(s.late):
            rest = s._replace(late=s.late[:k] + s.late[k + 1 :])
            landed = rest._replace(stores=put(s.stores, side, value))
            text = f"a late request puts {value} on {NAMES[side]}"
            yield landed, text
            yield rest, f"a late request of {value} to {NAMES[side]} is never applied"
            if owner < 0:
                continue
            c = s.clients[owner]
            if c.pc == "lapsed" and c.outcome[side] == "":
                heard = self.change(landed, owner, outcome=put(c.outcome, side, "ok"))
                yield heard, f"{text}, and client {owner} hears of it"

    # -- writers ------------------------------------------------------------------------------
    def begin(self, s: State, i: int) -> Iterator[Step]:
        """Mark the key: lease, record, intent, in one transaction."""
        c, r, env = s.clients[i], self.rules, self.env
        found, copier, taken = s.record, s.copier, ""
        under_way: list[tuple[Late, ...]] = [()]
        if found is not None and found.intent is not None:
            who, _, sides, _ = found.intent
            if who == COPIER and s.copier is not None:  # end its intent as recovery would
                taken = ", taking over from the copier"
                if s.copier.step == "write":
                    under_way.append(((s.copier.to, s.copier.value, COPIER),))
                if s.copier.step != "commit ok":
                    copier = None
                left = tuple(found.doubt[x] or (sides[x] and r.take_over) for x in (0, 1))
                found = found._replace(intent=None, doubt=(left[0], left[1]))
            elif who == CHECKER and s.checker is not None:
                taken = ", taking over from the checker"
                found = self.unchecked(found)
            elif r.lease or not (who >= 0 and s.clients[who].alive):
                return
        fresh = found is None
        route = c.route if s.sealed else SOURCE
        if s.off:
            rec, primary = found or Record(TARGET), TARGET
            if rec.doubt[TARGET] and r.complete_doubt:
                return
        elif found is None:
            rec, primary = Record(route, s.sealed), route
        else:
            rec = found
            free = [x for x in (route, 1 - route) if not (rec.doubt[x] and r.doubt_write)]
            if not free:
                return
            primary = free[0]
        if c.kind == "cput":
            if rec.doubt[rec.authority] and r.condition_waits:
                return
            if s.stores[rec.authority] != c.expect:
                refused = self.change(self.answer(s, i, "precondition"), i, pc="done")
                yield refused, f"client {i} judges its condition: refused"
                return
        other = 1 - primary
        both = env.mirror == "parallel" and not s.off and not (rec.doubt[other] and r.doubt_write)
        sides = (True, True) if both else announced(primary)
        rec = rec._replace(intent=Intent(i, c.value, sides, fresh))
        text = (
            f"client {i} marks the key for {c.kind} {c.value or ''}: primary {NAMES[primary]}, "
            f"authority {NAMES[rec.authority]}{taken}"
        )
        for more in under_way:
            t = s._replace(record=rec, late=s.late + more, copier=copier)
            yield self.change(t, i, pc="send", primary=primary, authority=rec.authority), text

    def own(self, s: State, who: int) -> bool:
        """Tell whether the intent is still the holder's own."""
        return s.record is not None and s.record.intent is not None and s.record.intent.who == who

    def write_steps(self, s: State, i: int) -> Iterator[Step]:
        """Do one step of a put or delete."""
        c, r, env = s.clients[i], self.rules, self.env
        if c.pc == "start":
            for route in (SOURCE, TARGET):
                begun = self.change(s, i, pc="begin", route=route)
                yield begun, f"client {i} begins {c.kind}, routed to {NAMES[route]}"
            return
        if c.pc == "begin":
            yield from self.begin(s, i)
            return
        if c.pc == "lapsed":
            yield from self.lapsed_steps(s, i)
            return
        rec = s.record
        if rec is None or rec.intent is None or rec.intent.who != i:
            ended = self.change(s, i, pc="done", result=c.result or "error")
            yield ended, f"client {i} finds that the intent is not its own"
            return
        p, o = c.primary, 1 - c.primary
        _, value, sides, _ = rec.intent
        # an early acknowledgement: the authority has it, nothing needs to move
        if c.result is None and c.outcome[rec.authority].startswith("ok"):
            yield self.answer(s, i, "ok"), f"client {i} acknowledges: the authority has it"
        for side in (p, o):
            if sides[side] and c.outcome[side] == "":
                for t, out in self.request(s, side, value, i):
                    sent = self.change(t, i, outcome=put(c.outcome, side, out))
                    yield sent, f"client {i} sends {value} to {NAMES[side]}: {out}"
        if "" in [c.outcome[x] for x in (p, o) if sides[x]]:
            return
        ok = c.outcome[p].startswith("ok")
        more = not sides[o] and not s.off and (env.mirror != "async" if ok else env.fallback)
        if more and not (rec.doubt[o] and r.doubt_write):
            both = rec._replace(intent=rec.intent._replace(sides=(True, True)))
            if r.announce:
                yield s._replace(record=both), f"client {i} announces {NAMES[o]}"
                return
            for t, out in self.request(s, o, value, i):
                sent = self.change(t, i, outcome=put(c.outcome, o, out))
                text = f"client {i} sends {value} to {NAMES[o]}, not announced: {out}"
                yield sent._replace(record=both), text
            return
        yield self.commit(s, i, rec, rec.intent)

    def lapsed_steps(self, s: State, i: int) -> Iterator[Step]:
        """A writer that lives on without its lease."""
        c = s.clients[i]
        if c.result is None and c.outcome[c.authority].startswith("ok"):
            done = self.change(self.answer(s, i, "ok"), i, pc="done")
            yield done, f"client {i}, without its lease, acknowledges what the authority took"
        elif not self.rules.fence and c.outcome[c.primary].startswith("ok"):
            rec = (s.record or Record(c.primary))._replace(authority=c.primary, intent=None)
            done = self.change(self.answer(s._replace(record=rec), i, "ok"), i, pc="done")
            yield done, f"client {i} commits without its lease"
        ended = self.change(s, i, pc="done", result=c.result or "error")
        yield ended, f"client {i} gives up: its lease lapsed"

    def commit(self, s: State, i: int, rec: Record, intent: Intent) -> Step:
        """End a writer's intent with what its requests brought."""
        c, r, value = s.clients[i], self.rules, intent.value
        taken = [x for x in (rec.authority, 1 - rec.authority) if c.outcome[x].startswith("ok")]
        unsure = [
            c.outcome[x] == "unknown" or (c.outcome[x] == "ok after unknown" and r.doubt_retry)
            for x in (0, 1)
        ]
        doubt = (
            rec.doubt[0] or (unsure[0] and r.doubt),
            rec.doubt[1] or (unsure[1] and r.doubt),
        )
        authority = taken[0] if taken and r.move_at_commit else rec.authority
        sent = value == ABSENT and c.outcome[authority] not in ("", "failed")
        if not r.delete_known:
            sent = sent and c.outcome[authority].startswith("ok")
        deleted = sent or (rec.deleted and (value == ABSENT or not taken or doubt[authority]))
        new: Record | None = Record(authority, rec.paired, None, doubt, deleted)
        back = not taken and not any(unsure) and intent.fresh and (rec.paired or not r.paired)
        if s.off:
            new = new if any(doubt) else None
        elif (len(taken) == len(NAMES) and not (any(doubt) and r.doubt_copy)) or back:
            new = None
        t = s._replace(record=new)
        unclear = [NAMES[x] for x in (0, 1) if doubt[x]]
        state = "closed" if new is None else f"authority {NAMES[authority]}, in doubt {unclear}"
        text = f"client {i} commits: {state}"
        if taken:
            if c.result is None:
                t = self.answer(t, i, "ok")
            return self.change(t, i, pc="done"), text + ", acknowledged"
        return self.change(t, i, pc="done", result="error"), text + ", error"

    # -- readers ------------------------------------------------------------------------------
    def read_steps(self, s: State, i: int) -> Iterator[Step]:
        """Do one step of a get or a listing."""
        c, r = s.clients[i], self.rules
        if c.pc == "start":
            for route in (SOURCE, TARGET):
                begun = self.change(s, i, pc="look", route=route)
                yield begun, f"client {i} begins {c.kind}, routed to {NAMES[route]}"
        elif c.pc == "look":
            side = self.choose(s, c.route)
            sure = 0 if s.record is not None else 2 if s.sealed else 1  # 2: both sides are current
            if c.kind == "list" and not c.expect and not s.off:  # a page knows nothing of one key
                side = c.route if s.sealed or not r.unsealed_at_source else SOURCE
            looked = self.change(s, i, pc="fetch", primary=side, authority=sure)
            yield looked, f"client {i} looks: {NAMES[side]}"
        elif c.pc == "fetch":
            got = s.stores[c.primary]
            fetched = self.change(s, i, pc="again", outcome=(got, ""))
            yield fetched, f"client {i} fetches {got} from {NAMES[c.primary]}"
            if s.used[READ] < self.env.read_faults:
                yield self.unreadable(s, i)
        elif c.pc == "again":
            yield self.look_again(s, i)

    def unreadable(self, s: State, i: int) -> Step:
        """A side cannot be read: fall back where both sides are current, else fail."""
        c, t = s.clients[i], spend(s, READ)
        text = f"client {i} cannot read {NAMES[c.primary]}"
        if c.authority == 2 and not s.off and c.outcome[1] != "fell back":
            back = self.change(t, i, primary=1 - c.primary, outcome=("", "fell back"))
            return back, f"{text}, falls back"
        return self.change(t, i, pc="done", result="error"), f"{text}: error"

    def look_again(self, s: State, i: int) -> Step:
        """Look a second time, and answer or start over."""
        c, r = s.clients[i], self.rules
        got, side = c.outcome[0], c.primary
        listing = c.kind == "list"
        closed = s.record is None and c.authority and self.current(s, side)
        if listing and not c.expect and not closed and r.list_open:
            asks = self.change(s, i, pc="look", expect=1, primary=-1, outcome=("", ""))
            return asks, f"client {i} asks for the open key"
        if r.look_again and not self.current(s, side) and (not listing or c.expect):
            over = self.change(s, i, pc="look", primary=-1, outcome=("", ""))
            return over, f"client {i} starts over"
        result = got != ABSENT if listing else got
        done = self.change(self.answer(s, i, result), i, pc="done")
        if listing:
            return done, f"client {i} lists it as {'present' if got else 'absent'}"
        return done, f"client {i} answers {got}"

    # -- copier: mirror, backfill, repair -----------------------------------------------------
    def copy_steps(self, s: State) -> Iterator[Step]:
        """Do one step of the copier."""
        if s.copier is None:
            yield from self.begin_copy(s)
            return
        r, (step, to, value) = self.rules, s.copier
        if step == "staged":
            yield s._replace(copier=None), "the copier drops what it staged"
            yield from self.mark_copy(s, to, value)
        elif not self.own(s, COPIER) and (r.fence or step in ("read", "write")):
            yield s._replace(copier=None), "the copier finds that the intent is not its own"
        elif step == "read":
            assert s.record is not None
            got, alone = s.stores[1 - to], to == TARGET and not s.sealed and not s.record.deleted
            if got == ABSENT != s.stores[to] and alone and r.extra:
                left = s._replace(copier=None, record=None, scanned=s.scanned and not r.extra_noted)
                yield left, "the copier leaves alone what only the target holds"
                return
            if self.env.staged and got != ABSENT:
                yield self.put_back(s, s.record), "the copier finds a large object, and lets go"
                return
            read = s._replace(copier=Copying("write", to, got))
            yield read, f"the copier reads {got} from {NAMES[1 - to]}"
        elif step == "check":
            assert s.record is not None
            if s.stores[1 - to] == value or not r.copy_check:
                checked = s._replace(copier=Copying("write", to, value))
                yield checked, f"the copier finds {NAMES[1 - to]} as it was"
            else:
                yield self.put_back(s, s.record), "the copier finds another object, and lets go"
        elif step == "write":
            for t, out in self.request(s, to, value, COPIER):
                written = t._replace(copier=Copying("commit " + out, to, value))
                yield written, f"the copier writes {value} to {NAMES[to]}: {out}"
        else:
            out = step.removeprefix("commit ")
            rec = s.record or Record(1 - to)
            unsure = out == "unknown" or (out == "ok after unknown" and r.doubt_retry)
            doubt = put(rec.doubt, to, rec.doubt[to] or (unsure and r.doubt))
            new: Record | None = rec._replace(intent=None, doubt=doubt)
            if out.startswith("ok") and not (any(doubt) and r.doubt_copy):
                new = None
            text = "the copier commits: " + ("closed" if new is None else "open")
            yield s._replace(record=new, copier=None), text

    def begin_copy(self, s: State) -> Iterator[Step]:
        """Take the lease of a key that is to be copied; stage a large object first."""
        rec = s.record
        if s.off:
            if rec is not None and rec.intent is None and not any(rec.doubt):
                yield s._replace(record=None), "the record is dropped: complete"
            return
        to = 1 - (SOURCE if rec is None else rec.authority)
        got = s.stores[1 - to]
        if not self.env.staged or got == ABSENT:
            yield from self.mark_copy(s, to)
        elif self.to_copy(s) is not None:
            staged = s._replace(copier=Copying("staged", to, got))
            yield staged, f"the copier stages {got} of {NAMES[1 - to]} on {NAMES[to]}"

    def to_copy(self, s: State) -> Record | None:
        """Return the record of a key that may be copied now."""
        r, rec = self.rules, s.record
        if rec is None:
            differs = s.stores[0] != s.stores[1] and (s.stores[0] != ABSENT or not r.extra)
            if s.off or not (self.env.backfill and not s.sealed and differs):
                return None
            rec = Record(SOURCE, paired=False)
        if s.off or rec.intent is not None or (any(rec.doubt) and r.doubt_copy):
            return None
        return rec

    def mark_copy(self, s: State, to: int, staged: int | None = None) -> Iterator[Step]:
        """Mark the key for a copy; what was staged before is checked next."""
        rec = self.to_copy(s)
        if rec is None or to != 1 - rec.authority:
            return
        sides = put((False, False), to, self.rules.announce)
        new = rec._replace(intent=Intent(COPIER, None, sides, fresh=False))
        text = f"the copier marks the key: {NAMES[1 - to]} to {NAMES[to]}"
        step = "read" if staged is None else "check"
        yield s._replace(record=new, copier=Copying(step, to, staged)), text

    @staticmethod
    def put_back(s: State, rec: Record) -> State:
        """End the copier's intent, of which nothing was sent."""
        return s._replace(record=rec._replace(intent=None), copier=None)

    # -- checker: verification and repair, which look at both sides and send nothing ----------
    @staticmethod
    def unchecked(rec: Record) -> Record | None:
        """End the checker's intent for it: the record goes where the intent opened a paired key."""
        assert rec.intent is not None
        return None if rec.intent.fresh and rec.paired else rec._replace(intent=None)

    def check_steps(self, s: State) -> Iterator[Step]:
        """Do one step of the checker: it opens a closed key, and announces nothing."""
        if s.checker is None:
            alone = s.stores[SOURCE] == ABSENT != s.stores[TARGET]  # an extra, if it is noted
            if s.record is None and not s.off and (s.sealed or (alone and self.env.repair)):
                if s.used[CHECK] >= self.env.checks:
                    return
                intent = Intent(CHECKER, None, (False, False), fresh=True)
                opened = s._replace(record=Record(SOURCE, s.sealed, intent), checker=())
                yield spend(opened, CHECK), "the checker marks the key, to look at both sides"
            return
        if not self.own(s, CHECKER) and self.rules.fence:
            yield s._replace(checker=None), "the checker finds that the intent is not its own"
            return
        seen = s.checker
        if len(seen) < len(NAMES):
            side = len(seen)
            got = s.stores[side]
            looked = s._replace(checker=(*seen, got))
            yield looked, f"the checker reads {got} from {NAMES[side]}"
            return
        rec = s.record
        if rec is not None and not rec.paired:
            yield from self.decide(s, rec, seen)
            return
        if seen[SOURCE] != seen[TARGET]:
            raise ViolationError(f"verification takes {seen} of a closed key for drift")
        yield s._replace(record=None, checker=None), "the checker lets go: the same on both sides"

    def decide(self, s: State, rec: Record, seen: tuple[int, ...]) -> Iterator[Step]:
        """Repair in favour of the source: what only the target holds is deleted by the copier."""
        if seen == (ABSENT, OWN):
            new = rec._replace(authority=SOURCE, intent=None, deleted=True)
            yield s._replace(record=new, checker=None), "repair decides for the source"
        else:
            left = s._replace(record=None, checker=None)
            yield left, "repair finds that a side has changed, and lets go"

    # -- what goes wrong ----------------------------------------------------------------------
    def fault_steps(self, s: State) -> Iterator[Step]:
        """Let the holder of the intent die, or lose its lease."""
        rec, env = s.record, self.env
        if rec is None or rec.intent is None:
            return
        intent = rec.intent
        crash, lapse = s.used[CRASH] < env.crashes, s.used[LAPSE] < env.lapses
        lapsed = s._replace(record=rec._replace(intent=intent._replace(who=GONE)))
        who = intent.who
        if who == CHECKER and s.checker is not None:
            if crash:
                yield spend(s._replace(checker=None), CRASH), "the checker dies"
            if lapse:
                yield spend(lapsed, LAPSE), "the checker's lease lapses, it lives"
        if who == COPIER and s.copier is not None:
            step, to, got = s.copier
            under_way = [(), ((to, got, COPIER),)] if step == "write" else [()]
            for late in under_way:
                if crash:
                    died = s._replace(copier=None, late=s.late + late)
                    yield spend(died, CRASH), f"the copier dies, under way {late}"
            if lapse and step.startswith("commit"):
                yield spend(lapsed, LAPSE), "the copier's lease lapses, it lives"
        if who >= 0 and s.clients[who].pc == "send" and s.clients[who].alive:
            yield from self.writer_faults(s, who, intent, crash=crash, lapse=lapse)

    def writer_faults(
        self, s: State, who: int, intent: Intent, *, crash: bool, lapse: bool
    ) -> Iterator[Step]:
        """Let a writer die or lose its lease, with each choice of what is under way."""
        c, value = s.clients[who], intent.value
        waiting = [x for x in (0, 1) if intent.sides[x] and c.outcome[x] == ""]
        choices: list[tuple[Late, ...]] = [(), *(((x, value, who),) for x in waiting)]
        if len(waiting) == len(NAMES):
            choices.append(tuple((x, value, who) for x in waiting))
        for late in choices:
            t = s._replace(late=s.late + late)
            names = [NAMES[side] for side, _, _ in late]
            if crash:
                died = self.change(t, who, alive=False, pc="dead", result=c.result)
                if not self.rules.mark and intent.fresh:
                    died = died._replace(record=None)
                yield spend(died, CRASH), f"client {who} dies, under way {names}"
            if lapse:
                lapsed = self.change(t, who, pc="lapsed")
                text = f"client {who}'s lease lapses, it lives, under way {names}"
                yield spend(lapsed, LAPSE), text

    def recover_steps(self, s: State) -> Iterator[Step]:
        """Recover an intent whose holder is gone; let doubt end."""
        rec, r = s.record, self.rules
        if rec is None:
            return
        if rec.intent is not None and self.is_gone(s, rec.intent.who):
            _, value, sides, _ = rec.intent
            new: Record | None
            if rec.intent.who in (CHECKER, GONE) and not any(sides):
                new, text = self.unchecked(rec), "recovery drops the intent of the checker"
            else:
                doubt = (
                    rec.doubt[0] or (sides[0] and r.doubt),
                    rec.doubt[1] or (sides[1] and r.doubt),
                )
                deletes = value == ABSENT and sides[rec.authority] and r.delete_known
                new = rec._replace(intent=None, doubt=doubt, deleted=rec.deleted or deletes)
                unclear = [NAMES[x] for x in (0, 1) if doubt[x]]
                text = f"recovery drops the intent, in doubt {unclear}"
            yield s._replace(record=new), text
        for side in (0, 1):
            landing = any(z[0] == side for z in s.late) and r.doubt_lasts
            reading = r.doubt_reads and any(
                c.pc in ("fetch", "again") and c.primary == side for c in s.clients
            )
            if rec.doubt[side] and not landing and not reading:
                sure = rec._replace(doubt=put(rec.doubt, side, value=False))
                yield s._replace(record=sure), f"{NAMES[side]} is in doubt no more"

    @staticmethod
    def is_gone(s: State, who: int) -> bool:
        """Tell whether nobody goes on with the intent."""
        if who == COPIER:
            return s.copier is None
        if who == CHECKER:
            return s.checker is None
        return who == GONE or s.clients[who].pc in ("dead", "lapsed", "done")

    def range_steps(self, s: State) -> Iterator[Step]:
        """Compare and seal the range; complete the migration."""
        r = self.rules
        still_open = ", the key is open" if s.record else ""
        if self.env.backfill and not s.sealed:
            only_target = s.stores[SOURCE] == ABSENT != s.stores[TARGET]
            same = s.stores[0] == s.stores[1] if s.record is None else True
            if not s.scanned and same and not (only_target and r.extra):
                yield s._replace(scanned=True), f"the range is compared{still_open}"
            if s.scanned:
                yield s._replace(sealed=True, scanned=False), f"the range is sealed{still_open}"
        closed = s.record is None or not r.complete_closed
        if self.env.complete and s.sealed and not s.off and closed:
            rec = s.record and s.record._replace(authority=TARGET)
            yield s._replace(off=True, record=rec), "complete: the target alone from here on"

    # -- search -------------------------------------------------------------------------------
    def successors(self, s: State) -> Iterator[Step]:
        """Return everything that can happen next."""
        for i, c in enumerate(s.clients):
            if c.pc not in ("done", "dead"):
                reads = c.kind in ("read", "list")
                yield from (self.read_steps if reads else self.write_steps)(s, i)
        yield from self.copy_steps(s)
        yield from self.check_steps(s)
        yield from self.late_steps(s)
        yield from self.fault_steps(s)
        yield from self.recover_steps(s)
        yield from self.range_steps(s)

    def check(self, s: State) -> None:
        """Hold every state to what must always be true."""
        if not any(s.used[:CHECK]) and any(c.result == "error" for c in s.clients):
            raise ViolationError("an error although nothing failed")
        kept = self.start.stores == (ABSENT, OWN) and not self.env.repair
        deletes = any(c.kind == "delete" for c in s.clients)
        if kept and s.stores[TARGET] == ABSENT and not deletes:
            raise ViolationError("what only the target held is gone")
        if s.record is None and s.sealed and not s.off:
            if s.stores[0] != s.stores[1]:
                raise ViolationError(f"a closed key differs: {s.stores}")
            if s.late:
                raise ViolationError(f"a closed key has requests under way: {s.late}")

    def check_end(self, s: State) -> None:
        """Hold a state in which nothing can happen any more to what must be true at the end."""
        waits = [f"client {i} at {c.pc}" for i, c in enumerate(s.clients) if not has_ended(c)]
        if waits:
            raise ViolationError("stuck: " + ", ".join(waits))
        if s.record is not None:
            raise ViolationError(f"stuck: never closed, {s.record}")
        never = [(ABSENT, OWN), *((ABSENT, c.value) for c in s.clients if c.result != "ok")]
        if not s.sealed and self.env.backfill and s.stores not in never:
            raise ViolationError("stuck: never sealed")
        value = s.stores[TARGET if s.off else SOURCE]
        if not self.explained(s, value):
            raise ViolationError(f"ends with {value}, which no history explains")

    def run(self) -> tuple[int, str | None]:
        """Return how many states there are, and the shortest counterexample if there is one."""
        parents: dict[State, tuple[State, str] | None] = {self.start: None}
        queue = deque([self.start])
        while queue:
            s = queue.popleft()
            ended = True
            try:
                self.check(s)
                for t, label in self.successors(s):
                    ended = False
                    if t not in parents:
                        parents[t] = (s, label)
                        queue.append(t)
                if ended:
                    self.check_end(s)
            except ViolationError as violation:
                return len(parents), story(parents, s, str(violation))
        return len(parents), None


def failed_write(c: Client) -> bool:
    """Tell whether it is a write that answered with an error: it may still take effect."""
    return c.result == "error" and c.kind not in ("read", "list")


def has_ended(c: Client) -> bool:
    """Tell whether a client does nothing any more."""
    return c.pc in ("done", "dead")


def announced(side: int) -> Pair[bool]:
    """Return that side alone as announced."""
    return (side == SOURCE, side == TARGET)


def story(parents: dict[State, tuple[State, str] | None], s: State, end: str) -> str:
    """Tell how a state was reached."""
    lines, before = ["=> " + end], parents[s]
    while before is not None:
        s, label = before
        lines.append(label)
        before = parents[s]
    return "\n      ".join(reversed(lines))


PUT5, PUT6, DELETE, READ_, LIST = ("put", 5), ("put", 6), ("delete",), ("read",), ("list",)
CPUT = ("cput", 6, 9)  # put 6 if the value is 9


def kept(*clients: tuple[Any, ...]) -> World:
    """Return a world whose key is closed in a sealed range."""
    return World(clients)


def new(*clients: tuple[Any, ...]) -> World:
    """Return a world that is not backfilled yet."""
    return World(clients, (9, ABSENT), sealed=False)


def behind(*clients: tuple[Any, ...]) -> World:
    """Return a world whose key is open: the target lacks the newest version."""
    return World(clients, (7, 9), record=Record(SOURCE))


def absent(*clients: tuple[Any, ...], sealed: bool = True) -> World:
    """Return a world in which neither side holds the key."""
    return World(clients, (ABSENT, ABSENT), sealed=sealed)


def extra(*clients: tuple[Any, ...]) -> World:
    """Return a world in which the target held the key before the migration began."""
    return World(clients, (ABSENT, OWN), sealed=False)


SCENARIOS = {
    "put and two reads, async": (kept(PUT5, READ_, READ_), Env(faults=2)),
    "put and two reads, sync": (kept(PUT5, READ_, READ_), Env("sync", faults=2)),
    "put and two reads, parallel": (kept(PUT5, READ_, READ_), Env("parallel", faults=2)),
    "put and two reads, the holder dies": (kept(PUT5, READ_, READ_), Env(faults=1, crashes=1)),
    "put and two reads, parallel, the holder dies": (
        kept(PUT5, READ_, READ_),
        Env("parallel", faults=1, crashes=1),
    ),
    "put and two reads, target behind": (behind(PUT5, READ_, READ_), Env(faults=2)),
    "put and two reads, target behind, dies": (
        behind(PUT5, READ_, READ_),
        Env(faults=1, crashes=1),
    ),
    "put and two reads, lease lapses": (behind(PUT5, READ_, READ_), Env(faults=1, lapses=1)),
    "two puts and a read": (kept(PUT5, PUT6, READ_), Env(faults=2)),
    "two puts and a read, retries": (kept(PUT5, PUT6, READ_), Env(faults=1, retries=True)),
    "two puts and a read, lapse": (kept(PUT5, PUT6, READ_), Env(lapses=1)),
    "two puts, lapse, sync": (kept(PUT5, PUT6), Env("sync", faults=1, lapses=1)),
    "two puts, dies, parallel": (kept(PUT5, PUT6), Env("parallel", faults=1, crashes=1)),
    "put, delete and a read": (kept(PUT5, DELETE, READ_), Env(faults=2)),
    "put, delete and a read, dies": (kept(PUT5, DELETE, READ_), Env(crashes=1)),
    "delete and two reads, new range": (new(DELETE, READ_, READ_), Env(faults=1, backfill=True)),
    "put and a read, new range": (new(PUT5, READ_), Env(faults=2, crashes=1, backfill=True)),
    "put and a read, copier lapses": (new(PUT5, READ_), Env(faults=1, lapses=1, backfill=True)),
    "two puts and a read, target behind, dies": (behind(PUT5, PUT6, READ_), Env(crashes=1)),
    "create and two reads": (absent(PUT5, READ_, READ_), Env(faults=1, crashes=1)),
    "create and two reads, parallel": (absent(PUT5, READ_, READ_), Env("parallel", faults=1)),
    "create and two reads, new range": (
        absent(PUT5, READ_, READ_, sealed=False),
        Env(faults=1, backfill=True),
    ),
    "an object that only the target holds": (
        extra(PUT5, READ_),
        Env(faults=2, crashes=1, backfill=True),
    ),
    "an object that only the target holds, deleted": (
        extra(DELETE, READ_),
        Env(faults=1, crashes=1, backfill=True),
    ),
    "delete and a read, copied but not sealed": (
        World((DELETE, READ_), sealed=False),
        Env(faults=1, crashes=1, backfill=True),
    ),
    "put and delete, new range, both refuse": (new(PUT5, DELETE), Env(faults=2, backfill=True)),
    "put, read, the read fails": (kept(PUT5, READ_, READ_), Env(faults=1, read_faults=1)),
    "conditional put, put and a read": (kept(CPUT, PUT5, READ_), Env(faults=1)),
    "conditional put, put and a read, no fallback": (
        kept(CPUT, PUT5, READ_),
        Env(fallback=False, faults=1),
    ),
    "conditional put, put dies, a read": (kept(CPUT, PUT5, READ_), Env(crashes=1)),
    "list, put and delete": (absent(LIST, PUT5, DELETE), Env(faults=1)),
    "list, put, new range": (absent(LIST, PUT5, sealed=False), Env(faults=1, backfill=True)),
    "two lists and a delete": (kept(LIST, LIST, DELETE), Env(faults=1)),
    "complete while a put and a read run": (kept(PUT5, READ_), Env(faults=1, complete=True)),
    "complete while two puts run": (kept(PUT5, PUT6), Env(faults=1, retries=True, complete=True)),
    "a whole life": (new(PUT5, READ_), Env(faults=1, backfill=True, complete=True)),
    "verification, a put and a read": (kept(PUT5, READ_), Env(faults=1, crashes=1, checks=2)),
    "verification, put and delete, lease lapses": (
        kept(PUT5, DELETE),
        Env(faults=1, lapses=1, checks=1),
    ),
    "verification, conditional put and list": (
        kept(CPUT, LIST),
        Env(faults=1, crashes=1, checks=1),
    ),
    "verification while completing": (kept(PUT5, READ_), Env(faults=1, complete=True, checks=2)),
    "verification, a whole life": (
        new(PUT5, READ_),
        Env(faults=1, crashes=1, backfill=True, complete=True, checks=1),
    ),
    "put and two reads, target behind, staged copy": (
        behind(PUT5, READ_, READ_),
        Env(faults=1, crashes=1, staged=True),
    ),
    "two puts and a read, staged copy, lease lapses": (
        behind(PUT5, PUT6, READ_),
        Env(lapses=1, staged=True),
    ),
    "put and a read, new range, staged copy": (
        new(PUT5, READ_),
        Env(faults=1, crashes=1, backfill=True, staged=True),
    ),
    "delete and a read, new range, staged copy": (
        new(DELETE, READ_),
        Env(faults=1, crashes=1, backfill=True, staged=True),
    ),
    "a whole life with staged copies": (
        new(PUT5, READ_),
        Env(faults=1, backfill=True, complete=True, staged=True),
    ),
    "repair of what only the target holds": (
        extra(PUT5, READ_),
        Env(faults=1, crashes=1, backfill=True, checks=1, repair=True),
    ),
}


# where each rule's absence is seen soonest; any other scenario would do as well
HINTS = {
    "mark": "put and two reads, the holder dies",
    "announce": "put and two reads, the holder dies",
    "lease": "two puts and a read",
    "fence": "put and two reads, lease lapses",
    "open_at_authority": "put and two reads, async",
    "unsealed_at_source": "delete and two reads, new range",
    "look_again": "put and two reads, async",
    "list_open": "list, put and delete",
    "move_at_commit": "put and two reads, async",
    "doubt": "put and two reads, async",
    "doubt_retry": "two puts and a read, retries",
    "doubt_write": "put and two reads, target behind",
    "doubt_copy": "put and two reads, async",
    "doubt_lasts": "put and two reads, async",
    "doubt_reads": "put and two reads, async",
    "extra": "an object that only the target holds",
    "copy_check": "put and two reads, target behind, staged copy",
    "paired": "put and delete, new range, both refuse",
    "extra_noted": "put and delete, new range, both refuse",
    "delete_known": "delete and a read, copied but not sealed",
    "take_over": "put and two reads, target behind",
    "condition_waits": "conditional put, put and a read, no fallback",
    "complete_closed": "complete while a put and a read run",
    "complete_doubt": "complete while two puts run",
}


DRAWN: tuple[tuple[Any, ...], ...] = (
    ("put", 20),
    ("put", 21),
    ("put", 22),
    DELETE,
    ("cput", 30, 9),
    ("cput", 31, 20),
    READ_,
    READ_,
    READ_,
    LIST,
)
STEPS_MAX = 500


def walk(seed: int) -> tuple[int, int, str | None]:
    """Walk at random through one drawn world: steps, and the story if a promise broke."""
    rng = random.Random(seed)
    unsealed = rng.random() < 0.4
    held = [(9, 9), (ABSENT, ABSENT)]
    if unsealed:
        held = [(9, ABSENT), (ABSENT, ABSENT), (ABSENT, OWN), (9, OWN)]
    env = Env(
        mirror=rng.choice(["async", "sync", "parallel"]),
        fallback=rng.random() < 0.7,
        faults=rng.randrange(5),
        crashes=rng.randrange(3),
        lapses=rng.randrange(3),
        retries=rng.random() < 0.5,
        read_faults=rng.randrange(2),
        backfill=unsealed,
        complete=rng.random() < 0.3,
        checks=rng.randrange(4),
        repair=rng.random() < 0.3,
        staged=rng.random() < 0.3,
    )
    clients = tuple(rng.sample(DRAWN, rng.randint(4, 6)))
    m = Model(World(clients, rng.choice(held), sealed=not unsealed), env)
    s, told = m.start, [f"{m.start.clients} {m.start.stores} {env}"]
    for step in range(STEPS_MAX):
        try:
            m.check(s)
            steps = list(m.successors(s))
            if not steps:
                m.check_end(s)
                return seed, step, None
        except ViolationError as violation:
            return seed, step, "\n      ".join([*told, f"=> {violation}"])
        s, label = rng.choice(steps)
        told.append(label)
    return seed, STEPS_MAX, None


def explore(name: str) -> tuple[str, int, str | None]:
    """Explore a scenario whole."""
    world, env = SCENARIOS[name]
    return name, *Model(world, env).run()


def without(rule: str) -> tuple[str, str, int, str | None]:
    """Explore the scenario in which the rule's absence is seen soonest."""
    name = HINTS[rule]
    world, env = SCENARIOS[name]
    return rule, name, *Model(world, env, Rules()._replace(**{rule: False})).run()


def walks(pool: ProcessPoolExecutor, number: int) -> int:
    """Walk through worlds; return how many broke a promise."""
    began, bad, total = time.perf_counter(), 0, 0
    for seed, steps, told in pool.map(walk, range(number), chunksize=200):
        total += steps
        if told:
            bad += 1
            print(f"seed {seed}\n      {told}\n", flush=True)
    print(f"{number} walks, {total:,} steps, {bad} broken, {time.perf_counter() - began:.0f} s")
    return bad


def broken(pool: ProcessPoolExecutor, rules: Iterable[str]) -> int:
    """Take each rule away in turn; return how many absences were not caught."""
    bad = 0
    for rule, name, states, told in pool.map(without, rules):
        caught = f"caught in '{name}' after {states:,} states\n      {told}\n"
        print(f"without {rule}: {caught if told else 'NOT CAUGHT'}", flush=True)
        bad += told is None
    return bad


def scenarios(pool: ProcessPoolExecutor, names: Iterable[str]) -> int:
    """Explore scenarios; return how many broke a promise."""
    began, bad, total = time.perf_counter(), 0, 0
    for name, states, told in pool.map(explore, names):
        verdict = "FAIL" if told else "ok  "
        print(f"{verdict} {states:>9,}  {name}" + (f"\n      {told}" if told else ""), flush=True)
        total, bad = total + states, bad + (told is not None)
    print(f"{total:,} states, {time.perf_counter() - began:.0f} s")
    return bad


def main() -> int:
    """Do what the command line asks for; return how much was found."""
    only = [word for word in sys.argv[1:] if not word.startswith("-")]
    with ProcessPoolExecutor() as pool:
        if "--walk" in sys.argv:
            return walks(pool, int(only[0]))
        if "--broken" in sys.argv:
            return broken(pool, [rule for rule in Rules._fields if not only or rule in only])
        named = [name for name in SCENARIOS if not only or any(word in name for word in only)]
        return scenarios(pool, named)


if __name__ == "__main__":
    sys.exit(main())
