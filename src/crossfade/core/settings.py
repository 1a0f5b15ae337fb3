"""Every limit of the data plane, named, with its default."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

RENEW_SHARE = 1 / 3
"""A lease is renewed when this share of it has gone."""


class Mirror(StrEnum):
    """When the other side is written: after the answer, before it, or at once."""

    ASYNC = "async"
    SYNC = "sync"
    PARALLEL = "parallel"
    AUTO = "auto"


class Unit(StrEnum):
    """What a percentage is a share of."""

    SUBJECT = "subject"
    KEY = "key"
    REQUEST = "request"


class Workers(StrEnum):
    """Where mirror and recovery run: in the application too, or only in `worker`."""

    INLINE = "inline"
    SEPARATE = "separate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The protocol's own times, in seconds; every process of a migration must use the same.

    Attributes:
        lease: how long an intent lasts; it is renewed at a third.
        late_max: how long a request of unknown outcome may still land.
        late_complete_max: how long one may that puts the parts of a large object together; where
            it is less than `late_max`, that counts.
        look_max: the longest time between a read's two looks.
        copier_wait: how long a writer waits for a copier before it takes over.
        complete_wait: how long `complete` makes new marks wait.
        proof_age_max: how old a proof may be for `complete`.
    """

    lease: float = 30.0
    late_max: float = 120.0
    late_complete_max: float = 600.0
    look_max: float = 30.0
    copier_wait: float = 2.0
    complete_wait: float = 10.0
    proof_age_max: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of everything the data plane may use.

    Attributes:
        timeout_seconds: deadline of one call, waiting included.
        attempts_max: requests to a side for one operation, retries included.
        small_body_bytes: bodies up to this are kept in memory.
        body_buffer_bytes_max: the largest body that is kept in a temporary file for retries.
        chunk_bytes: what is read or written at once.
        page_keys: keys in one page of a listing.
        copies_max: copies under way at once.
        background_max: commits and copies under way in one process; above it a put commits before
            it answers, and its copy is left to a worker.
        poll_seconds: how often a worker looks for something to do.
        drain_seconds: how long closing waits for calls, commits and copies under way.
        keys_listed_max: how many keys a report or an error names.
    """

    timeout_seconds: float = 60.0
    attempts_max: int = 3
    small_body_bytes: int = 1 << 20
    body_buffer_bytes_max: int = 5 << 30
    chunk_bytes: int = 256 << 10
    page_keys: int = 1_000
    copies_max: int = 16
    background_max: int = 1_000
    poll_seconds: float = 0.5
    drain_seconds: float = 10.0
    keys_listed_max: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one migration's files are moved.

    Attributes:
        enabled: both switches, the master's and the migration's own.
        fallback: whether the other side may be asked when the primary fails.
    """

    enabled: bool = True
    mirror: Mirror = Mirror.AUTO
    unit: Unit = Unit.SUBJECT
    fallback: bool = True
    workers: Workers = Workers.INLINE
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
