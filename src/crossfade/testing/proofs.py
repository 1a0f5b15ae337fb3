"""What every keeper of proofs must do, as named checks; see `crossfade.testing.catalogs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.core.proofs import ProofEntry
from crossfade.errors import InvariantError
from crossfade.testing.catalog_samples import HARD_KEYS, refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeAlias

    from crossfade.ports import Proofs

    ProofCheck: TypeAlias = Callable[[Proofs], Awaitable[None]]

_checks: dict[str, ProofCheck] = {}
PROOF_CHECKS: Mapping[str, ProofCheck] = _checks
"""Every check by its name, which says what must hold."""

NAME = "avatars"


def proof_entry(key: str, number: int = 0) -> ProofEntry:
    """Return an entry whose every field tells it from the others."""
    return ProofEntry(
        key=key,
        source_tag=f"s{number}",
        target_tag=f"é{number}",
        sha256=f"{number:064x}",
        size=number,
        proved_at=number + 0.25,
    )


async def keep(proofs: Proofs, entries: Sequence[ProofEntry], migration: str = NAME) -> None:
    """Write and commit a proof of these entries, in several steps."""
    writer = await proofs.begin(migration)
    for start in range(0, len(entries), 700):
        await writer.add(entries[start : start + 700])
    await writer.commit()


async def kept(proofs: Proofs, migration: str = NAME) -> list[ProofEntry]:
    """Read the last proof."""
    return [entry async for entry in proofs.read(migration)]


def _check(check: ProofCheck) -> ProofCheck:
    _checks[check.__name__] = check
    return check


@_check
async def without_a_pass_there_is_no_proof(proofs: Proofs) -> None:
    """Nothing is found, and that is no error."""
    assert await kept(proofs) == []
    assert await proofs.find(NAME, "k") is None


@_check
async def a_proof_is_read_in_order_and_found_by_key(proofs: Proofs) -> None:
    """Every entry comes back whole, whatever the key; keys between two entries are not found."""
    keys = sorted({*HARD_KEYS, *(f"k/{number:05}" for number in range(2_500))})
    entries = [proof_entry(key, number) for number, key in enumerate(keys)]
    await keep(proofs, entries)
    assert await kept(proofs) == entries
    wanted = [*entries[:5], *entries[990:1_010], *entries[-30:]]
    assert [await proofs.find(NAME, entry.key) for entry in wanted] == wanted
    missing = [keys[0] + "!", "k/00000!", "k/01000!", "k", "\U0010ffff"]
    assert [await proofs.find(NAME, key) for key in missing] == [None] * len(missing)


@_check
async def an_empty_proof_replaces_the_last_one(proofs: Proofs) -> None:
    """A pass over a migration that holds nothing any more is a pass."""
    await keep(proofs, [proof_entry("k")])
    await keep(proofs, [])
    assert await kept(proofs) == []
    assert await proofs.find(NAME, "k") is None


@_check
async def a_proof_counts_once_it_is_committed(proofs: Proofs) -> None:
    """Until then, and after an abort, the last one stays; then it is replaced whole."""
    first, second = [proof_entry("a", 1)], [proof_entry("a", 2), proof_entry("b", 3)]
    await keep(proofs, first)
    writer = await proofs.begin(NAME)
    await writer.add(second)
    assert await kept(proofs) == first
    await writer.abort()
    assert await kept(proofs) == first
    writer = await proofs.begin(NAME)
    await writer.add(second)
    await writer.commit()
    assert await kept(proofs) == second
    assert await proofs.find(NAME, "a") == second[0]


@_check
async def migrations_have_proofs_of_their_own(proofs: Proofs) -> None:
    """Whatever their names are made of."""
    names = ["a", "A", "a/b", "a b", "..", "é", "a.proof"]
    for number, name in enumerate(names):
        await keep(proofs, [proof_entry("k", number)], name)
    found = [await kept(proofs, name) for name in names]
    assert found == [[proof_entry("k", number)] for number in range(len(names))]


@_check
async def keys_that_do_not_rise_are_refused(proofs: Proofs) -> None:
    """A pass that does not go in key order has a bug: its proof could not be searched."""
    writer = await proofs.begin(NAME)
    await writer.add([proof_entry("b")])
    assert await refused(writer.add([proof_entry("b")]), InvariantError)
    assert await refused(writer.add([proof_entry("c"), proof_entry("a")]), InvariantError)
    await writer.abort()


@_check
async def a_proof_being_read_stays_whole(proofs: Proofs) -> None:
    """A reader goes on with the proof that it began with while another replaces it."""
    first = [proof_entry(f"{number:05}", 1) for number in range(2_500)]
    await keep(proofs, first)
    seen: list[ProofEntry] = []
    async for entry in proofs.read(NAME):
        if not seen:
            await keep(proofs, [proof_entry("z", 2)])
        seen.append(entry)
    assert seen == first
