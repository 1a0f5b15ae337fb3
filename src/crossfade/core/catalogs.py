"""What every catalog decides alike, wherever it keeps its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.core.objects import BOTH_SIDES, Pair
from crossfade.core.records import Lease
from crossfade.errors import (
    InvariantError,
    MigrationExistsError,
    MigrationNotFoundError,
    StaleEpochError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crossfade.core.proofs import ProofEntry
    from crossfade.core.records import MigrationRow, Record

KEYS_NAMED_MAX = 100
"""How many open keys a census names."""


def no_such_migration(name: str) -> MigrationNotFoundError:
    """Return the error for a migration that the catalog does not hold."""
    message = f"the catalog holds no migration {name!r}"
    return MigrationNotFoundError(message, hint="its name is in the configuration file")


def refuse_other_migration(
    known: MigrationRow, row: MigrationRow, *, elsewhere: bool = False
) -> None:
    """Refuse a row of the same name that is about other sides, or routes by other rules.

    Args:
        known: as the catalog has it.
        row: as it is configured now.
        elsewhere: whether the new sides could be a migration of another name.

    Raises:
        MigrationExistsError: it names what differs.
    """
    for name in ("source", "target", "salt", "algorithm"):
        was, given = getattr(known, name), getattr(row, name)
        if was != given:
            message = f"the migration {row.name!r} exists with {name} {was!r}, not {given!r}"
            other = ", or give the new one another name" if elsewhere else ""
            about = "what the catalog holds of it is about the old one"
            hint = f"put the {name} back as it was{other}: {about}"
            raise MigrationExistsError(message, hint=hint)


def next_row(known: MigrationRow, decided: MigrationRow) -> MigrationRow:
    """Return the row to keep: one that differs gets the next version."""
    if decided == known:
        return known
    if decided.name != known.name:
        message = f"the row of {known.name!r} was decided on as {decided.name!r}"
        raise InvariantError(message)
    return replace(decided, version=known.version + 1)


def next_lease(
    held: Lease | None, name: str, holder: str, now: float, seconds: float
) -> Lease | None:
    """Return the lease as it is after the holder asked for it; None while another has it."""
    if held is None:
        return Lease(name=name, holder=holder, epoch=1, until=now + seconds)
    if held.holder == holder:
        return replace(held, until=now + seconds)
    if held.until > now:
        return None
    return Lease(name=name, holder=holder, epoch=held.epoch + 1, until=now + seconds)


def refuse_stale_epoch(lease: Lease, held: Lease | None) -> None:
    """Refuse a holder that another one has followed.

    Raises:
        StaleEpochError: the named lease has a newer epoch, or was never taken.
    """
    if held is None or held.epoch != lease.epoch:
        newest = 0 if held is None else held.epoch
        message = f"the lease {lease.name!r} is at epoch {newest}, not {lease.epoch}"
        raise StaleEpochError(message, hint="another process has taken the work over")


def refuse_disorder(last: str, entries: Sequence[ProofEntry]) -> None:
    """Refuse entries of a proof that do not rise, from ``last`` on.

    Raises:
        InvariantError: the pass does not go through the keys in order.
    """
    for entry in entries:
        if entry.key <= last:
            message = f"the proof's key {entry.key!r} does not follow {last!r}"
            raise InvariantError(message)
        last = entry.key


def record_after_reboot(record: Record, now: float, doubt_seconds: float) -> Record:
    """Return an open key as it is once its times, of a clock that is gone, mean nothing.

    Whoever held the intent died with the machine, but what it sent may still land: the lease is
    over now and not before, and each doubt runs for its whole length again.
    """
    intent = record.intent
    doubt = Pair(*(None if record.doubt[s] is None else now + doubt_seconds for s in BOTH_SIDES))
    return replace(
        record,
        intent=None if intent is None else replace(intent, lease_until=now),
        doubt=doubt,
        mark=None if record.mark is None else replace(record.mark, since=now),
        since=now,
        next_attempt=now,
    )


def row_after_reboot(row: MigrationRow, now: float) -> MigrationRow:
    """Return a migration's row as it is once its times, of a clock that is gone, mean nothing.

    Nobody is completing any more, the proof's age is not known, and nothing counts as older than
    the boot.
    """
    return replace(
        row,
        begun_at=None if row.begun_at is None else now,
        completing_until=None,
        changed_at=now,
        proof=None,
    )
