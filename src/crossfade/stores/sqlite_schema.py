"""What a catalog's file must be before it is used: of a known schema, and of this boot.

A schema change is one more script in `STEPS`. Expand first (a table or column that older code need
not know, with a default), contract in a later release, when nobody reads the old form any more:
a file is never changed in place in a way that loses what it says.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.core.catalogs import record_after_reboot, row_after_reboot
from crossfade.errors import StoreCorruptError, StoreUnavailableError
from crossfade.stores.encoding import decode_record, decode_row, encode_row
from crossfade.stores.queries import load_script

if TYPE_CHECKING:
    import apsw

    from crossfade.stores.sqlite_changes import SqliteChanges
    from crossfade.stores.sqlite_connections import Place

STEPS = ("sqlite_001", "sqlite_002")
"""The scripts that bring an empty file up; a file's `user_version` says how many it has seen."""

APPLICATION_ID = 0x43524644
"""Tells a catalog from every other SQLite file ("CRFD")."""

_LINUX_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """Return what names this run of the machine: its monotonic clock means nothing in another.

    Raises:
        StoreUnavailableError: the system does not tell.
    """
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            told = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - a fixed command
            found = told.stdout
        else:
            found = _LINUX_BOOT_ID.read_text(encoding="ascii")
    except (OSError, subprocess.CalledProcessError) as error:
        message = "this system does not tell one boot from another"
        hint = "keep the catalog on Linux or macOS"
        raise StoreUnavailableError(message, hint=hint) from error
    return found.strip()


def bring_up(
    changes: SqliteChanges, place: Place, *, boot_id: str, now: float, doubt_seconds: float
) -> None:
    """Make the file a catalog of the newest schema and of this boot; in a transaction.

    Args:
        changes: on the writing connection, with the transaction begun.
        place: to be named in an error.
        boot_id: as `read_boot_id` returned it.
        now: the catalog's clock.
        doubt_seconds: the longest that a doubt of this process lasts.

    Raises:
        StoreCorruptError: it is something else, or was written by a newer release.
    """
    known = _refuse_unknown(changes, place)
    connection = changes.rows.connection
    for step in STEPS[known:]:
        connection.execute(load_script(step))
    if known < len(STEPS):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")
        changes.rows.query("about_put", "release", version("crossfade"))
    longest = max(doubt_seconds, float(changes.rows.about("doubt_seconds") or 0.0))
    if changes.rows.about("boot_id") != boot_id:
        start_clock_anew(changes, now, longest)
    for name, value in (("boot_id", boot_id), ("doubt_seconds", repr(longest))):
        if changes.rows.about(name) != value:
            changes.rows.query("about_put", name, value)


def is_up(changes: SqliteChanges, place: Place, boot_id: str, doubt_seconds: float) -> bool:
    """Tell whether `bring_up` would change nothing.

    Raises:
        StoreCorruptError: it is something else, or was written by a newer release.
    """
    rows = changes.rows
    with rows.snapshot():
        return (
            _refuse_unknown(changes, place) == len(STEPS)
            and rows.about("boot_id") == boot_id
            and float(rows.about("doubt_seconds") or 0.0) >= doubt_seconds
        )


def start_clock_anew(changes: SqliteChanges, now: float, doubt_seconds: float) -> None:
    """After a reboot: every lease is over, every doubt starts anew, nothing counts as older."""
    rows = changes.rows
    for number, body in rows.query("migration_ids"):
        rows.query("migration_put", number, encode_row(row_after_reboot(decode_row(body), now)))
        for key, stored in rows.query("records_between", number, b"", None, -1):
            record = record_after_reboot(decode_record(stored), now, doubt_seconds)
            changes.put_record(number, key, record)
    rows.query("leases_end", now)


def _refuse_unknown(changes: SqliteChanges, place: Place) -> int:
    """Return how many steps the file has seen; refuse what is no catalog, or of a later one."""
    connection = changes.rows.connection
    if _is_empty(connection):
        return 0
    if connection.pragma("application_id") != APPLICATION_ID:
        message = f"{str(place.path)!r} is an SQLite file of something else"
        raise StoreCorruptError(message, hint="give the catalog a file of its own")
    known = int(connection.pragma("user_version"))
    if known > len(STEPS):
        release = changes.rows.about("release") or "unknown"
        message = (
            f"the catalog {str(place.path)!r} was written by Crossfade {release} (schema {known}); "
            f"this is {version('crossfade')} (schema {len(STEPS)})"
        )
        raise StoreCorruptError(message, hint=f"run Crossfade {release} or later")
    return known


def _is_empty(connection: apsw.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]
