"""One schedule: processes and their clients, what disturbs them, and how it ends."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from crossfade.backends.memory import MemoryBackend
from crossfade.core import routing
from crossfade.core.objects import BOTH_SIDES, Attributes, Pair, Side
from crossfade.core.records import MigrationRow
from crossfade.errors import (
    AlreadyCompleteError,
    CrossfadeError,
    IllegalTransitionError,
    ObjectNotFoundError,
    PreconditionError,
)
from crossfade.files.bodies import BytesBody
from crossfade.files.completion import complete
from crossfade.files.engine import Engine
from crossfade.files.running import running
from crossfade.stores.memory import MemoryCatalog, MemoryProofs
from crossfade.testing.simulation.network import Network, SimulatedSide
from crossfade.testing.simulation.plan import COMMIT_POINTS, KINDS, LARGE, LARGE_BYTES_MIN, POINTS
from crossfade.testing.simulation.process import Crashed, Process, SimulatedCatalog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from random import Random

    from anyio.abc import TaskGroup

    from crossfade.core.objects import ObjectInfo
    from crossfade.core.records import Census
    from crossfade.files.facade import Files
    from crossfade.files.repair import Repair
    from crossfade.files.verification import Finding
    from crossfade.ports import Backend
    from crossfade.testing.simulation.judge import Call, Judge
    from crossfade.testing.simulation.plan import Plan

M = TypeVar("M")
NAME = "m"
QUIET_SECONDS_MAX = 400.0
DAMAGE = "damage"
COMPLETE_ATTEMPTS = 20
WRITER_SLOWER = 10
"""Where one client alone writes it takes its time, so that keys close between its writes."""


class World:
    """Everything that takes part in one schedule."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self._pause = judge.clock.pause
        self.plan: Plan = judge.plan
        self.catalog = MemoryCatalog(anyio.current_time)
        self.proofs = MemoryProofs()
        self.sides = Pair(
            *(MemoryBackend(side, staged_bytes_min=LARGE_BYTES_MIN) for side in BOTH_SIDES)
        )
        judge.catalog, judge.sides = self.catalog, self.sides
        judge.on_crash = self._restart
        judge.on_changed = self._note_change
        self._changed = anyio.Event()
        self._lives: dict[str, int] = {}
        self._alive: dict[str, tuple[Process, Files]] = {}
        self._todo: dict[str, int] = {}
        self._tags: dict[str, dict[str, str | None]] = {}
        self._group: TaskGroup
        self._engines: list[Engine] = []
        self._values = 0

    async def run(self) -> None:
        """Live through the schedule, heal, and judge."""
        async with anyio.create_task_group() as group:
            self._group = self.judge.group = group
            self.network = self.judge.network = Network(self.plan, self.judge, group)
            await self._prepare()
            for number in range(self.plan.processes):
                group.start_soon(self._live, f"p{number}")
            for number in range(self.plan.clients):
                self._todo[f"c{number}"] = self.plan.operations
            for disturb in (self._steer, self._backfill, self._crash, self._doze, self._outage):
                group.start_soon(self._disturb, disturb)
            if self.plan.damage:
                group.start_soon(self._disturb, self._damage)
                group.start_soon(self._disturb, self._verify)
            await self._until(lambda: not any(self._todo.values()), "clients are not done")
            await self._heal()
            await self._finish()
            await self._until(lambda: not self._has_stages(), "what was staged is not let go of")
            if any(engine.background.failed for engine in self._engines):
                self.judge.violation("work in the background failed with an error nobody expects")
            group.cancel_scope.cancel()

    def _has_stages(self) -> bool:
        """Tell whether a process that lives holds something that it staged."""
        return any(process.staged for process, _ in self._alive.values())

    async def _prepare(self) -> None:
        row = MigrationRow(
            name=NAME,
            source="memory://source",
            target="memory://target",
            salt="simulation",
            algorithm=routing.ALGORITHM,
        )
        await self.catalog.prepare(row)
        for side, key, value in self.plan.before:
            await self._change_directly(Side(side), key, value)
        if self.plan.sealed:
            await self.catalog.change_row(NAME, _begin)
            await self.catalog.seal(NAME, "", None, lambda _: True)

    # -- processes and their clients

    async def _live(self, name: str) -> None:
        """Live one life of a process; after a crash the next one begins."""
        life = self._lives[name] = self._lives.get(name, 0) + 1
        process = Process(f"{name}.{life}", self.judge)
        engine = self._engine(process)
        with anyio.CancelScope() as process.scope:
            try:
                async with running(engine) as files:
                    self._alive[name] = (process, files)
                    async with anyio.create_task_group() as group:
                        for client in self._clients_of(name):
                            group.start_soon(self._client, client, files)
                        await anyio.sleep_forever()
            except BaseException:
                if not process.dead:
                    raise

    def _engine(self, process: Process) -> Engine:
        settings = self.plan.settings

        def route(row: MigrationRow, *, key: str, subject: str | None) -> Side:
            return routing.pick_side(row, settings, key=key, subject=subject)

        sides: Pair[Backend] = Pair(
            SimulatedSide(self.network, Side.SOURCE, self.sides.source, process),
            SimulatedSide(self.network, Side.TARGET, self.sides.target, process),
        )
        engine = Engine(
            name=NAME,
            catalog=SimulatedCatalog(self.catalog, process),
            sides=sides,
            proofs=self.proofs,
            settings=settings,
            route=route,
            holder=process.name,
            probe=process,
        )
        self._engines.append(engine)
        return engine

    def _clients_of(self, name: str) -> list[str]:
        mine = int(name[1:])
        return [c for c in self._todo if int(c[1:]) % self.plan.processes == mine]

    def _restart(self, process: Process) -> None:
        name = process.name.split(".")[0]
        self._alive.pop(name, None)
        self._group.start_soon(self._live, name)

    async def _client(self, client: str, files: Files) -> None:
        random = self.judge.chance.of(client)
        tags = self._tags.setdefault(client, {})
        await self._pause(self.plan.starts_after - anyio.current_time())
        think = self.plan.think * (WRITER_SLOWER if client == self.plan.writer else 1)
        while self._todo[client]:
            self._todo[client] -= 1
            await self._pause(random.expovariate(1 / think))
            await self._operate(client, random, files, tags)

    async def _operate(
        self, client: str, random: Random, files: Files, tags: dict[str, str | None]
    ) -> None:
        key = random.choice(self.plan.keys)
        kind = random.choices(KINDS, self.plan.kinds)[0]
        if self.plan.writer:
            kind = "put" if client == self.plan.writer else "get"
        match kind:
            case "put":
                await self._put(client, files, key, tags)
            case "cput" if tags.get(key):
                await self._put(client, files, key, tags, if_match=tags[key])
            case "create":
                await self._put(client, files, key, tags, if_none_match="*")
            case "delete":
                call = self.judge.call(client, "delete", key)
                await self._mutate(call, files.delete(key, subject=client))
            case "list":
                await self._list(client, files)
            case _:
                await self._read(client, files, key, tags, head=kind == "head")

    async def _put(
        self,
        client: str,
        files: Files,
        key: str,
        tags: dict[str, str | None],
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> None:
        self._values += 1
        large = self.judge.chance.of(f"{client}:sizes").random() < self.plan.large_share
        value = f"v{self._values} {client}" + (LARGE if large else "")
        kind = "create" if if_none_match else "cput" if if_match else "put"
        expected = tags.get(f"={if_match}") if if_match else None
        call = self.judge.call(client, kind, key, value=value, expected=expected)
        put = files.put(
            key,
            value.encode(),
            subject=client,
            metadata={"value": value},
            if_match=if_match,
            if_none_match=if_none_match,
        )
        info = await self._mutate(call, put)
        if info is not None:
            tags[key] = info.etag
            tags[f"={info.etag}"] = value

    async def _mutate(self, call: Call, work: Awaitable[M]) -> M | None:
        try:
            info = await work
        except PreconditionError:
            self.judge.answered(call, "precondition")
            return None
        except CrossfadeError as error:
            self.judge.failed(call, error)
            return None
        self.judge.answered(call, "ok")
        return info

    async def _read(
        self, client: str, files: Files, key: str, tags: dict[str, str | None], *, head: bool
    ) -> None:
        call = self.judge.call(client, "head" if head else "get", key)
        try:
            if head:
                info = await files.head(key, subject=client)
                body = _value_of(info)
            else:
                async with await files.get(key, subject=client) as found:
                    info, body = found.info, (await found.read()).decode()
        except ObjectNotFoundError:
            self.judge.answered(call, "ok", None)
            return
        except CrossfadeError as error:
            self.judge.failed(call, error)
            return
        if _value_of(info) != body:
            self.judge.violation(f"{key!r} has the metadata of another version")
        tags[key] = info.etag
        tags[f"={info.etag}"] = body
        self.judge.answered(call, "ok", body)
        self.judge.check_damage(call, body)

    async def _list(self, client: str, files: Files) -> None:
        call = self.judge.call(client, "list", "")
        found: set[str] = set()
        try:
            async for info in files.list(subject=client):
                if info.key in found:
                    self.judge.violation(f"{info.key!r} is listed twice")
                found.add(info.key)
        except CrossfadeError as error:
            self.judge.failed(call, error)
            return
        call.listed = {key: key in found for key in self.plan.keys}
        self.judge.answered(call, "ok")

    # -- what disturbs them

    async def _disturb(self, disturb: Callable[[], Awaitable[None]]) -> None:
        await disturb()

    async def _steer(self) -> None:
        random = self.judge.chance.of("steering")
        if not self.plan.sealed:
            self._group.start_soon(self._begin_later)
        share = 0
        while not self.judge.healed:
            await self._pause(random.expovariate(1 / (self.plan.think * 4)))
            wanted = random.choice(self.plan.shares)
            if wanted < share:
                self.judge.watch_rollback()
            share = wanted
            await self.catalog.change_row(NAME, partial(_with_share, share))
            if random.random() < self.plan.complete_share:
                await self._try_complete(random)

    async def _begin_later(self) -> None:
        await self._pause(self.plan.begins_after)
        await self.catalog.change_row(NAME, _begin)

    async def _try_complete(self, random: Random) -> None:
        files = self._any_files(random)
        wanted = self.plan.sealed and self.plan.completes and not self.judge.is_completed()
        if files is None or not wanted:
            return
        async with inside():
            await files.verification().run()
            await complete(files.engine)

    def _any_files(self, random: Random) -> Files | None:
        names = sorted(self._alive)
        return self._alive[random.choice(names)][1] if names else None

    async def _backfill(self) -> None:
        random = self.judge.chance.of("backfill")
        while True:
            await self._pause(random.expovariate(1 / 0.5))
            files = self._any_files(random)
            if files is None:
                continue
            async with inside():
                if (await files.backfill().run()).finished:
                    return

    async def _crash(self) -> None:
        random = self.judge.chance.of("crashes")
        for _ in range(self.plan.crashes):
            await self._pause(random.expovariate(1 / (self.plan.think * self.plan.operations / 3)))
            if self.judge.healed or not self._alive:
                return
            process = self._alive[random.choice(sorted(self._alive))][0]
            liked = sorted(self.plan.points)
            if liked and random.random() < 0.7:
                process.tempt(random.choice(liked), "die")
            else:
                self.judge.crashed(process)

    async def _doze(self) -> None:
        random = self.judge.chance.of("dozing")
        for _ in range(self.plan.pauses):
            await self._pause(random.expovariate(1 / (self.plan.think * self.plan.operations / 3)))
            if self.judge.healed or not self._alive:
                return
            process = self._alive[random.choice(sorted(self._alive))][0]
            if random.random() < self.plan.stall_share:
                process.tempt(random.choice(COMMIT_POINTS), "stall")
            else:
                liked = sorted(self.plan.points) or list(POINTS)
                process.tempt(random.choice(liked), "sleep")

    async def _outage(self) -> None:
        random = self.judge.chance.of("outages")
        for _ in range(self.plan.outages):
            await self._pause(random.expovariate(1 / (self.plan.think * self.plan.operations / 3)))
            if self.judge.healed:
                return
            side = random.choice(BOTH_SIDES)
            self.judge.fault(f"{side} is away")
            self.network.away.add(side)
            await self._pause(random.uniform(0.2, 3.0))
            self.network.away.discard(side)

    async def _damage(self) -> None:
        """Let a side lose or change an object by itself, once, past the facade."""
        random = self.judge.chance.of("damage")
        await self._pause(random.expovariate(1 / (self.plan.think * self.plan.operations / 3)))
        wanted = random.choice(("open", "open", "closed"))
        while not self.judge.healed:
            await self._changed.wait()
            for key in random.sample(self.plan.keys, len(self.plan.keys)):
                side = self._vulnerable(key, wanted, random)
                if side is not None:
                    self.judge.damage(side, key, DAMAGE)
                    value = random.choice((DAMAGE, DAMAGE, None))
                    await self._change_directly(side, key, value)
                    return

    def _note_change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _vulnerable(self, key: str, wanted: str, random: Random) -> Side | None:
        record = self.judge.record(key)
        if self.judge.held(Side.SOURCE, key) is None and wanted == "closed":
            return None
        if wanted == "closed":
            closed = record is None and self.judge.is_sealed(key)
            return random.choice(BOTH_SIDES) if closed else None
        if record is None or record.intent is not None or record.digest is None:
            return None
        return record.authority

    async def _change_directly(self, side: Side, key: str, value: str | None) -> None:
        if value is None:
            await self.sides[side].delete(key)
        else:
            attributes = Attributes(metadata={"value": value})
            await self.sides[side].write(key, BytesBody(value.encode()), attributes)

    async def _verify(self) -> None:
        """Verify again and again, where something drifts by itself."""
        random = self.judge.chance.of("verification")
        while not self.judge.healed:
            await self._pause(random.expovariate(1 / (self.plan.think * 3)))
            await self._verify_once(random)

    async def _verify_once(self, random: Random) -> None:
        files = self._any_files(random)
        if files is not None:
            async with inside():
                await files.verification().run()

    # -- the end

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = anyio.current_time() + QUIET_SECONDS_MAX
        while not condition():
            if anyio.current_time() > deadline:
                self.judge.violation(f"stuck: {what}")
                return
            await self._pause(0.4)

    async def _heal(self) -> None:
        self.judge.heal()
        self.network.healed = True
        self.network.away.clear()
        await self._until(lambda: len(self._alive) == self.plan.processes, "nobody is alive")

    async def _finish(self) -> None:
        """Close every key, seal every range, prove, complete, and read everything once more."""
        await self.catalog.change_row(NAME, lambda c: (_with_begin(c), None))
        if self.plan.damage:
            await self._verify_once(self.judge.chance.of("finish"))
        await self._until(self._quiet, "a key stays open or a range stays unsealed")
        random = self.judge.chance.of("finish")
        files = self._any_files(random)
        assert files is not None
        if self.plan.completes and not self.judge.is_completed():
            await self._prove_and_complete(files)
        for key in self.plan.keys:
            self.judge.changed(key)
            await self._read("last", files, key, {}, head=False)
        await self._list("last", files)

    def _quiet(self) -> bool:
        if self._extras() or self.judge.marked_keys():
            self._group.start_soon(self._repair)
            return False
        if any(self.judge.record(key) is not None for key in self.plan.keys):
            return False
        ranges = self.catalog._states[NAME].ranges  # noqa: SLF001 - a bird's eye view
        return self.judge.is_completed() or all(each.sealed for each in ranges)

    def _extras(self) -> bool:
        return bool(self.catalog._states[NAME].extras)  # noqa: SLF001

    async def _repair(self) -> None:
        random = self.judge.chance.of("repair")
        files = self._any_files(random)
        if files is None:
            return
        repair = files.repair()
        async with inside():
            findings = await repair.findings()
            winner = random.choice(BOTH_SIDES)
            for finding in findings:
                await self._repair_one(repair, winner, finding)

    async def _repair_one(self, repair: Repair, winner: Side, finding: Finding) -> None:
        """Take an extra over, which is a put of what the target holds; or decide on a mark."""
        if finding.kind != "extra":
            self.judge.undamaged(finding.key)
        if winner is Side.SOURCE or finding.kind != "extra":
            await repair.run(winner, [finding])
            return
        value = self.judge.held(Side.TARGET, finding.key)
        call = self.judge.call("repair", "put", finding.key, value=value)
        report = await repair.run(winner, [finding])
        if finding.key in report.refused:
            self.judge.calls.remove(call)
        else:
            self.judge.answered(call, "ok")

    async def _prove_and_complete(self, files: Files) -> None:
        """Complete; what was under way when the faults ended may take a few attempts."""
        refusal: CrossfadeError | None = None
        for _ in range(COMPLETE_ATTEMPTS):
            try:
                await files.verification().run()
                await complete(files.engine)
            except AlreadyCompleteError:
                return
            except IllegalTransitionError as error:
                refusal = error
                if self.plan.damage and self.judge.marked_keys():
                    await self._repair()  # the operator decides on what this proof found
                await self._pause(1.0)
            else:
                self.network.away.add(Side.SOURCE)
                return
        self.judge.violation(f"quiet and proved, but not completed: {refusal}")


@asynccontextmanager
async def inside() -> AsyncIterator[None]:
    """Run an operator's command in some process; it ends with an error, or with the process."""
    try:
        yield
    except (CrossfadeError, Crashed):
        return
    except BaseExceptionGroup as failures:
        _, rest = failures.split((CrossfadeError, Crashed))
        if rest is not None:
            raise


def _value_of(info: ObjectInfo) -> str:
    """Return what the metadata says that the bytes are."""
    return "" if info.attributes is None else info.attributes.metadata["value"]


def _begin(census: Census) -> tuple[MigrationRow, None]:
    return replace(census.migration, begun_at=census.now - 100.0), None


def _with_begin(census: Census) -> MigrationRow:
    if census.migration.begun_at is not None:
        return census.migration
    return replace(census.migration, begun_at=census.now)


def _with_share(share: int, census: Census) -> tuple[MigrationRow, None]:
    return replace(census.migration, basis_points=share), None
