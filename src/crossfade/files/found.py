"""What a side holds of a key: read whole, read through for its digest, or its entity tag alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.core.objects import ABSENT, NO_ATTRIBUTES, Digest
from crossfade.errors import BackendError, IntegrityError, ObjectNotFoundError
from crossfade.files import bodies
from crossfade.files.deadlines import let_go

if TYPE_CHECKING:
    from crossfade.core.objects import ObjectInfo, Side
    from crossfade.files.engine import Engine


@dataclass(slots=True)
class Found:
    """What a side holds, read whole; `close` lets go of it.

    Attributes:
        info, body: None where there is no object.
    """

    digest: Digest
    info: ObjectInfo | None = None
    body: bodies.BytesBody | bodies.FileBody | None = None

    def close(self) -> None:
        """Let go of the bytes."""
        if self.body is not None:
            bodies.close(self.body)


async def read_small(engine: Engine, side: Side, key: str) -> Found | None:
    """Read what one side holds for the other one; None where it is to be staged there first.

    Raises:
        BackendError: it cannot be read, or the other side cannot hold it.
    """
    return await _read(engine, side, key, large=False)


async def read_whole(engine: Engine, side: Side, key: str) -> Found:
    """Read what one side holds for the other one.

    Raises:
        BackendError: it cannot be read, or the other side cannot hold it.
    """
    found = await _read(engine, side, key, large=True)
    assert found is not None
    return found


async def _read(engine: Engine, side: Side, key: str, *, large: bool) -> Found | None:
    try:
        stream = await engine.sides[side].read(key)
    except ObjectNotFoundError:
        return Found(ABSENT)
    except BackendError as error:
        error.side = side.value
        raise
    size = stream.info.size
    most = engine.sides[side.other].capabilities.object_bytes_max
    try:
        if not large and engine.stager(side.other, size) is not None:
            return None
        attributes = stream.info.attributes or NO_ATTRIBUTES
        engine.require_object(side.other, key, size, attributes)
        body = await bodies.take_in(key, stream, engine.limits, size, bytes_max=most)
    finally:
        await let_go(stream)
    digest = Digest(sha256=body.sha256, size=body.size, attributes=attributes)
    return Found(digest, stream.info, body)


async def same_already(engine: Engine, to: Side, key: str, found: Found) -> str | None:
    """Return a side's entity tag if it holds the same already."""
    kept = engine.kept_by_both()
    try:
        there = await engine.sides[to].stat(key)
        if there.size != found.digest.size:
            return None
        digest = await read_digest(engine, to, key)
    except (ObjectNotFoundError, IntegrityError):
        return None
    if digest is None or not found.digest.same(digest[0], kept):
        return None
    return digest[1]


async def read_tag(engine: Engine, side: Side, key: str) -> str | None:
    """Return an object's entity tag, that of a damaged one too; None when there is none."""
    backend = engine.sides[side]
    try:
        return (await backend.stat(key)).etag
    except ObjectNotFoundError:
        return None
    except IntegrityError:
        # A listing says which version it is without a look at what is damaged.
        first = (await backend.list(prefix=key, limit=1)).objects[:1]
        return first[0].etag if first and first[0].key == key else None


async def read_digest(engine: Engine, side: Side, key: str) -> tuple[Digest, str] | None:
    """Read an object through and return its digest and entity tag; None when there is none."""
    try:
        stream = await engine.sides[side].read(key)
    except ObjectNotFoundError:
        return None
    except BackendError as error:
        error.side = side.value
        raise
    hasher = bodies.Hasher()
    try:
        async for chunk in stream:
            hasher.add(chunk)
    finally:
        await let_go(stream)
    return hasher.digest(stream.info.attributes or NO_ATTRIBUTES), stream.info.etag
