from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import tracemalloc
from typing import TYPE_CHECKING

import pytest
import trio

from crossfade.errors import StoreCorruptError, StoreUnavailableError
from crossfade.stores import proof_files
from crossfade.stores.memory import MemoryProofs, MemoryProofWriter
from crossfade.stores.proof_files import FileProofs, file_name
from crossfade.testing.catalogs import PROOF_CHECKS
from crossfade.testing.proofs import NAME, keep, kept, proof_entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from crossfade.core.proofs import ProofEntry
    from crossfade.testing.proofs import ProofCheck

pytestmark = pytest.mark.anyio

each_check = pytest.mark.parametrize("check", PROOF_CHECKS.values(), ids=PROOF_CHECKS)


@each_check
async def test_proofs_in_memory(check: ProofCheck) -> None:
    await assert_holds(check, MemoryProofs())


@each_check
async def test_proofs_in_files(check: ProofCheck, tmp_path: Path) -> None:
    await assert_holds(check, FileProofs(tmp_path / "proofs"))
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert all(name.endswith(".proof") for name in left), left


async def assert_holds(check: ProofCheck, proofs: MemoryProofs | FileProofs) -> None:
    await check(proofs)


# -- each check finds a fault ----------------------------------------------------------------------


class FindsAnything(MemoryProofs):
    async def find(self, migration: str, key: str) -> ProofEntry | None:
        return await super().find(migration, key) or proof_entry(key)


class FindsNeighbours(MemoryProofs):
    async def find(self, migration: str, key: str) -> ProofEntry | None:
        entries = [e for e in self._last.get(migration, []) if e.key <= key]
        return entries[-1] if entries else None


class MixesUpNames(MemoryProofs):
    async def begin(self, migration: str) -> MemoryProofWriter:
        return await super().begin(migration.lower())

    def read(self, migration: str) -> AsyncIterator[ProofEntry]:
        return super().read(migration.lower())


class SlowReader(MemoryProofs):
    async def read(self, migration: str) -> AsyncIterator[ProofEntry]:
        index = 0
        while index < len(self._last.get(migration, [])):
            yield self._last[migration][index]
            index += 1


class KeepsWhatHeld(MemoryProofWriter):
    async def commit(self) -> None:
        if self._entries:
            await super().commit()


class ShowsWhatIsNotCommitted(MemoryProofWriter):
    async def add(self, entries: Sequence[ProofEntry]) -> None:
        await super().add(entries)
        await self.commit()


class TakesAnyOrder(MemoryProofWriter):
    async def add(self, entries: Sequence[ProofEntry]) -> None:
        self._entries.extend(entries)


def with_writer(writer: type[MemoryProofWriter]) -> MemoryProofs:
    class Proofs(MemoryProofs):
        async def begin(self, migration: str) -> MemoryProofWriter:
            return writer(self._last, migration)

    return Proofs()


FAULTY = {
    "without_a_pass_there_is_no_proof": FindsAnything(),
    "a_proof_is_read_in_order_and_found_by_key": FindsNeighbours(),
    "an_empty_proof_replaces_the_last_one": with_writer(KeepsWhatHeld),
    "a_proof_counts_once_it_is_committed": with_writer(ShowsWhatIsNotCommitted),
    "migrations_have_proofs_of_their_own": MixesUpNames(),
    "keys_that_do_not_rise_are_refused": with_writer(TakesAnyOrder),
    "a_proof_being_read_stays_whole": SlowReader(),
}


@each_check
async def test_each_check_finds_a_fault(check: ProofCheck) -> None:
    with pytest.raises(AssertionError):
        await check(FAULTY[check.__name__])


# -- files -----------------------------------------------------------------------------------------


def entries_of(count: int) -> list[ProofEntry]:
    return [proof_entry(f"k/{number:06}", number) for number in range(count)]


def test_proof_files_work_on_another_event_loop(tmp_path: Path) -> None:
    async def write_and_read() -> list[ProofEntry]:
        await keep(FileProofs(tmp_path), entries_of(3))
        return await kept(FileProofs(tmp_path))

    assert trio.run(write_and_read) == entries_of(3)


async def test_a_proof_cut_off_anywhere_is_damaged(tmp_path: Path) -> None:
    proofs = FileProofs(tmp_path)
    await keep(proofs, entries_of(2_500))
    path = tmp_path / file_name(NAME)
    whole = path.read_bytes()
    for length in (0, 1, 17, 18, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreCorruptError, match="verify again"):
            await kept(proofs)
        with pytest.raises(StoreCorruptError, match=r"avatars\.proof"):
            await proofs.find(NAME, "k/000001")


async def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    proofs = FileProofs(tmp_path)
    await keep(proofs, entries_of(2_500))
    path = tmp_path / file_name(NAME)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), len(whole) // 150), *range(len(whole) - 60, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(StoreCorruptError):
            await kept(proofs)


async def test_finding_a_key_reads_one_block(tmp_path: Path) -> None:
    proofs = FileProofs(tmp_path)
    await keep(proofs, entries_of(20_000))
    path = tmp_path / file_name(NAME)
    whole = path.read_bytes()
    # All blocks but the first two are spoiled: a key of the second is found all the same.
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes(1_000) + whole[half + 1_000 :])
    assert await proofs.find(NAME, "k/001500") == proof_entry("k/001500", 1_500)
    with pytest.raises(StoreCorruptError):
        await kept(proofs)


async def test_neither_writing_nor_reading_holds_the_whole_proof(tmp_path: Path) -> None:
    proofs = FileProofs(tmp_path)

    async def peak_bytes(count: int) -> int:
        tracemalloc.start()
        try:
            writer = await proofs.begin(NAME)
            for start in range(0, count, 500):
                numbers = range(start, start + 500)
                await writer.add([proof_entry(f"{number:08}", number) for number in numbers])
            await writer.commit()
            seen = 0
            async for _ in proofs.read(NAME):
                seen += 1
            assert seen == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small = await peak_bytes(3_000)
    assert await peak_bytes(18_000) < small * 1.5


async def test_what_a_killed_writer_left_is_removed_and_a_living_one_s_is_not(
    tmp_path: Path,
) -> None:
    proofs = FileProofs(tmp_path)
    abandoned = tmp_path / f"{file_name(NAME)}.dead"
    abandoned.write_bytes(b"half a proof")
    held = tmp_path / f"{file_name(NAME)}.alive"
    held.write_bytes(b"half a proof")
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = await proofs.begin(NAME)
    assert held.exists()
    assert not abandoned.exists()
    await writer.abort()


async def test_a_file_that_is_removed_before_its_writer_locked_it_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, mkstemp = [], tempfile.mkstemp

    def watched(*, dir: Path, prefix: str) -> tuple[int, str]:  # noqa: A002 - as it is called
        descriptor, name = mkstemp(dir=dir, prefix=prefix)
        made.append(name)
        if len(made) == 1:
            proof_files._remove_abandoned(tmp_path / file_name(NAME))
        return descriptor, name

    monkeypatch.setattr(tempfile, "mkstemp", watched)
    proofs = FileProofs(tmp_path)
    await keep(proofs, entries_of(3))
    assert len(made) == 2
    assert len(await kept(proofs)) == 3


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match="file/proofs"):
        await FileProofs(tmp_path / "file" / "proofs").begin(NAME)


async def test_a_proof_is_on_the_disk_before_it_takes_the_last_one_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    await keep(FileProofs(tmp_path), entries_of(3))
    assert steps == ["file", "replace", "folder"]
