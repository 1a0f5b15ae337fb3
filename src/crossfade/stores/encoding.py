"""Records and rows as bytes, in a form of their own: what is stored outlives the classes.

MessagePack arrays: a later release appends fields with a default, which this one does not see and
leaves out when it writes; no field is ever moved or removed.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TypeVar

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, Encoder

from crossfade.core.objects import ABSENT, NO_ATTRIBUTES, Attributes, Digest, Pair, Side
from crossfade.core.records import (
    Intent,
    Mark,
    MarkKind,
    MigrationRow,
    Operation,
    Proof,
    Record,
)
from crossfade.errors import InvariantError

T = TypeVar("T")

UndecodableError = DecodeError
"""Bytes that are no record or row: raised by the functions below (the subclass names the field)."""


class _Attributes(Struct, array_like=True):
    content_type: str | None
    cache_control: str | None
    content_disposition: str | None
    content_encoding: str | None
    content_language: str | None
    expires: str | None
    metadata: dict[str, str]


class _Digest(Struct, array_like=True):
    sha256: str
    size: int
    attributes: _Attributes | None


class _Intent(Struct, array_like=True):
    token: str
    holder: str
    lease_until: float
    operation: Operation
    digest: _Digest | None
    announced: list[Side]
    opened: bool
    completes: list[Side] = []


class _Mark(Struct, array_like=True):
    kind: MarkKind
    source_tag: str | None
    target_tag: str | None
    since: float


class _Record(Struct, array_like=True):
    authority: Side
    intent: _Intent | None
    source_doubt: float | None
    target_doubt: float | None
    paired: bool
    deleting: bool
    digest: _Digest | None
    mark: _Mark | None
    since: float
    attempts: int
    next_attempt: float


class _Proof(Struct, array_like=True):
    begun_at: float
    ended_at: float
    ended_wall: float
    keys: int
    drift: int
    unconfirmed: int = 0


class _Row(Struct, array_like=True):
    name: str
    source: str
    target: str
    salt: str
    algorithm: str
    basis_points: int
    version: int
    begun_at: float | None
    completed: bool
    completing_until: float | None
    changed_at: float
    proof: _Proof | None
    halted: bool
    late_max: float | None = None
    look_max: float | None = None
    late_complete_max: float | None = None
    known_wall: float | None = None


_encoder = Encoder()
_record_decoder = Decoder(_Record)
_row_decoder = Decoder(_Row)


def encode_record(record: Record) -> bytes:
    """Return the bytes that are stored for an open key.

    Raises:
        InvariantError: it holds a value that could not be read back.
    """
    return _encoded(
        _record_decoder,
        _Record(
            record.authority,
            None if record.intent is None else _stored_intent(record.intent),
            record.doubt.source,
            record.doubt.target,
            record.paired,
            record.deleting,
            None if record.digest is None else _stored_digest(record.digest),
            None if record.mark is None else _stored_mark(record.mark),
            record.since,
            record.attempts,
            record.next_attempt,
        ),
    )


def decode_record(data: bytes) -> Record:
    """Return the open key that was stored as these bytes."""
    stored = _record_decoder.decode(data)
    return Record(
        authority=stored.authority,
        intent=None if stored.intent is None else _intent(stored.intent),
        doubt=Pair(stored.source_doubt, stored.target_doubt),
        paired=stored.paired,
        deleting=stored.deleting,
        digest=None if stored.digest is None else _digest(stored.digest),
        mark=None if stored.mark is None else _mark(stored.mark),
        since=stored.since,
        attempts=stored.attempts,
        next_attempt=stored.next_attempt,
    )


def encode_row(row: MigrationRow) -> bytes:
    """Return the bytes that are stored for a migration.

    Raises:
        InvariantError: it holds a value that could not be read back.
    """
    proof = row.proof
    return _encoded(
        _row_decoder,
        _Row(
            row.name,
            row.source,
            row.target,
            row.salt,
            row.algorithm,
            row.basis_points,
            row.version,
            row.begun_at,
            row.completed,
            row.completing_until,
            row.changed_at,
            None if proof is None else _stored_proof(proof),
            row.halted,
            row.late_max,
            row.look_max,
            row.late_complete_max,
            row.known_wall,
        ),
    )


def decode_row(data: bytes) -> MigrationRow:
    """Return the migration that was stored as these bytes."""
    stored = _row_decoder.decode(data)
    return MigrationRow(
        name=stored.name,
        source=stored.source,
        target=stored.target,
        salt=stored.salt,
        algorithm=stored.algorithm,
        basis_points=stored.basis_points,
        version=stored.version,
        begun_at=stored.begun_at,
        completed=stored.completed,
        completing_until=stored.completing_until,
        changed_at=stored.changed_at,
        proof=None if stored.proof is None else _proof(stored.proof),
        halted=stored.halted,
        late_max=stored.late_max,
        look_max=stored.look_max,
        late_complete_max=stored.late_complete_max,
        known_wall=stored.known_wall,
    )


def _encoded(decoder: Decoder[T], stored: T) -> bytes:
    """Encode only what can be decoded: one value of a wrong type would bar every look."""
    try:
        data = _encoder.encode(stored)
        decoder.decode(data)
    except (DecodeError, TypeError, ValueError, OverflowError) as error:
        message = f"a value that could not be read back was about to be stored ({error})"
        raise InvariantError(message) from error
    return data


def _stored_digest(digest: Digest) -> _Digest:
    attributes = digest.attributes
    if attributes is NO_ATTRIBUTES:
        return _Digest(digest.sha256, digest.size, None)
    stored = _Attributes(
        attributes.content_type,
        attributes.cache_control,
        attributes.content_disposition,
        attributes.content_encoding,
        attributes.content_language,
        attributes.expires,
        dict(attributes.metadata),
    )
    return _Digest(digest.sha256, digest.size, stored)


def _digest(stored: _Digest) -> Digest:
    if stored.size == ABSENT.size:
        return ABSENT
    kept = stored.attributes
    attributes = NO_ATTRIBUTES if kept is None else _attributes(kept)
    return Digest(sha256=stored.sha256, size=stored.size, attributes=attributes)


def _attributes(stored: _Attributes) -> Attributes:
    return Attributes(
        content_type=stored.content_type,
        cache_control=stored.cache_control,
        content_disposition=stored.content_disposition,
        content_encoding=stored.content_encoding,
        content_language=stored.content_language,
        expires=stored.expires,
        metadata=MappingProxyType(stored.metadata),
    )


def _stored_intent(intent: Intent) -> _Intent:
    return _Intent(
        intent.token,
        intent.holder,
        intent.lease_until,
        intent.operation,
        None if intent.digest is None else _stored_digest(intent.digest),
        sorted(intent.announced),
        intent.opened,
        sorted(intent.completes),
    )


def _intent(stored: _Intent) -> Intent:
    return Intent(
        token=stored.token,
        holder=stored.holder,
        lease_until=stored.lease_until,
        operation=stored.operation,
        digest=None if stored.digest is None else _digest(stored.digest),
        announced=frozenset(stored.announced),
        opened=stored.opened,
        completes=frozenset(stored.completes),
    )


def _stored_mark(mark: Mark) -> _Mark:
    return _Mark(mark.kind, mark.tags.source, mark.tags.target, mark.since)


def _mark(stored: _Mark) -> Mark:
    tags = Pair(stored.source_tag, stored.target_tag)
    return Mark(kind=stored.kind, tags=tags, since=stored.since)


def _stored_proof(proof: Proof) -> _Proof:
    return _Proof(
        proof.begun_at,
        proof.ended_at,
        proof.ended_wall,
        proof.keys,
        proof.drift,
        proof.unconfirmed,
    )


def _proof(stored: _Proof) -> Proof:
    return Proof(
        begun_at=stored.begun_at,
        ended_at=stored.ended_at,
        ended_wall=stored.ended_wall,
        keys=stored.keys,
        drift=stored.drift,
        unconfirmed=stored.unconfirmed,
    )
