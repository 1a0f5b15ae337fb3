"""What the checks of backends are made of: bodies, keys, and requirements."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial, wraps
from hashlib import sha256
from typing import TYPE_CHECKING, NoReturn, TypeVar

from anyio import current_time, sleep
from anyio.lowlevel import checkpoint

from crossfade.core.objects import NO_ATTRIBUTES, Attributes, ByteRange, ObjectInfo
from crossfade.errors import (
    BackendError,
    InvalidKeyError,
    SlowDownError,
)
from crossfade.ports import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

T = TypeVar("T")
Check = Callable[[Backend], Awaitable[None]]

CHUNK_BYTES = 256 << 10
LARGE = array("I", range(3 << 18)).tobytes()
"""3 MiB in which no piece is like another, so that none can stand in another's place."""
_LOOK_SECONDS = 0.05
_BUSY_MAX = 5
SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(LARGE))
ODD_KEYS = (
    *("a//b", "folder/", "folder", "a", "a/b", "A", "..", "a/../b", "/lead", "%2F"),
    *("ü/日本.txt", "e\u0301", "\u00e9", "x" * 1024, "a b+c%20d", "tab\there"),
    *("a/b/c", "a/", "/", "//", ".", "a/.", "a.txt", "a\x00b", "\x00", "\n", "\\", "😀" * 256),
    *("%~", "%~-", "%~-a", "%~=a", "%~+a", "%~-%25~-a", "%00", ".crossfade", "con", "c:"),
    *(
        "x" * 252,
        "x" * 253,
        "x" * 255,
        "x" * 256,
        "x" * 255 + "/y",
        "x" * 256 + "/y",
        "x" * 252 + "!",
    ),
)
"""Keys that are legal, and that something between a caller and a disk has been seen to change."""
ILLEGAL_KEYS = ("", "x" * 1025, "ü" * 513, "\ud800", ".crossfade/x")
FULL = Attributes(
    content_type="image/png",
    cache_control="max-age=60, public",
    content_disposition='attachment; filename="a b.png"',
    content_encoding="identity",
    content_language="de",
    expires="Thu, 01 Dec 2033 16:00:00 GMT",
    metadata={"colour": "blue", "empty": "", "spaces": "a  b"},
)


class ConformanceError(AssertionError):
    """A backend broke a promise of the port, or one that it declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestBody:
    """A body whose announcement may be wrong.

    Attributes:
        pieces: the bytes as they come.
        in_memory: whether they are also offered whole.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    pieces: Sequence[bytes]
    size: int
    sha256: str
    in_memory: bool = False

    @property
    def data(self) -> bytes | None:
        """All bytes where they are offered whole."""
        return b"".join(self.pieces) if self.in_memory else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read from the start."""
        for piece in self.pieces:
            await checkpoint()
            yield piece


def body_of(data: bytes, *, in_memory: bool = True) -> TestBody:
    """Return an honest body."""
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    digest = sha256(data).hexdigest()
    return TestBody(pieces=pieces, size=len(data), sha256=digest, in_memory=in_memory)


REGISTERED: dict[str, Check] = {}
"""Every check by its name."""


def registered(check: Check) -> Check:
    """Take a check into the suite; errors that it did not call for are failures too."""
    name = getattr(check, "__name__", "")

    @wraps(check)
    async def run(backend: Backend) -> None:
        try:
            await check(backend)
        except ConformanceError as error:
            message = f"{name}: {error}"
            raise ConformanceError(message) from error
        except BackendError as error:
            message = f"{name}: an error that was not called for: {error}"
            raise ConformanceError(message) from error

    REGISTERED[name] = run
    return run


def fail(message: str) -> NoReturn:
    """Break off a check."""
    raise ConformanceError(message)


def require_same(found: object, expected: object, what: str) -> None:
    """Fail where something is not what it should be."""
    if found != expected:
        fail(f"{what}: {short(found)} instead of {short(expected)}")


def short(value: object) -> str:
    """Show a value in a message, not all of a long one."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text):,} characters)"  # noqa: PLR2004


async def require_refused(
    awaitable: Awaitable[object], kind: type[BackendError], what: str
) -> None:
    """Fail unless a request is refused with that kind of error."""
    try:
        await awaitable
    except kind:
        return
    except BackendError as error:
        fail(f"{what}: {type(error).__name__} ({error}) instead of {kind.__name__}")
    fail(f"{what}: accepted instead of refused with {kind.__name__}")


async def put(
    backend: Backend, key: str, data: bytes, attributes: Attributes = NO_ATTRIBUTES
) -> ObjectInfo:
    """Write an object whose bytes are in memory."""
    return await backend.write(key, body_of(data), attributes)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask, and ask again a few times where the side is too busy: that says nothing of the key."""
    for _ in range(_BUSY_MAX):
        try:
            return await ask()
        except SlowDownError:
            await sleep(_LOOK_SECONDS)
    return await ask()


async def get(
    backend: Backend, key: str, byte_range: ByteRange | None = None, if_match: str | None = None
) -> tuple[ObjectInfo, bytes]:
    """Read an object to its end."""
    read = partial(backend.read, key, byte_range=byte_range, if_match=if_match)
    stream = await patiently(read)
    try:
        return stream.info, b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


def require_agreement(found: ObjectInfo, written: ObjectInfo, what: str) -> None:
    """Fail where a description is not what was said of the write; a store may say less of one."""
    silent = {
        name: getattr(found, name)
        for name in ("modified", "sha256")
        if getattr(written, name) is None or getattr(found, name) is None
    }
    require_same(replace(found, **silent), replace(written, **silent), what)


async def require_listed(
    backend: Backend, keys: Sequence[str], what: str, *, limit: int | None = None
) -> None:
    """Fail unless a listing of all pages has these keys, or has them before its lag is over."""

    async def look() -> list[str]:
        return await keys_of(backend, limit=limit)

    await require_shown(backend, look, list(keys), what)


async def require_shown(
    backend: Backend, look: Callable[[], Awaitable[object]], expected: object, what: str
) -> None:
    """Fail unless a look at listings shows this: at once, or as late as the side declares."""
    consistent = backend.capabilities.listing_consistent
    lag = 0.0 if consistent else backend.capabilities.listing_lag_seconds
    deadline = current_time() + lag
    while (found := await look()) != expected:
        if current_time() >= deadline:
            require_same(found, expected, what)
        await sleep(_LOOK_SECONDS)


async def keys_of(backend: Backend, prefix: str = "", limit: int | None = None) -> list[str]:
    """List all pages, as they are now."""
    keys: list[str] = []
    while True:
        after = keys[-1] if keys else ""
        page = await backend.list(prefix=prefix, after=after, limit=limit)
        if page.objects and page.objects[0].key <= after:
            fail(f"a page after {short(after)} begins with {short(page.objects[0].key)}")
        keys += [info.key for info in page.objects]
        if not page.truncated:
            return keys
        if not page.objects:
            fail("a page without keys says that more keys follow")


def in_order(keys: Iterable[str]) -> list[str]:
    """Sort keys by their UTF-8 bytes."""
    return sorted(keys, key=str.encode)


def holdable(backend: Backend, keys: Iterable[str]) -> list[str]:
    """Return the keys that the backend declares to hold, side by side."""
    found: list[str] = []
    for key in declared(backend, keys):
        if backend.capabilities.keys_nest or not any(_nested(key, other) for other in found):
            found.append(key)
    return found


def declared(backend: Backend, keys: Iterable[str]) -> list[str]:
    """Return the keys that the backend declares to hold, each by itself."""
    found = []
    for key in keys:
        try:
            backend.capabilities.require_object(key, 0)
        except InvalidKeyError:
            continue
        found.append(key)
    return found


def _nested(one: str, other: str) -> bool:
    return one.startswith(other + "/") or other.startswith(one + "/")


async def guarded(
    function: Callable[[int], Awaitable[None]], number: int, failures: list[str]
) -> None:
    """Run a part of a check beside others, and take note of its errors."""
    try:
        await function(number)
    except BackendError as error:
        failures.append(f"{type(error).__name__}: {error}")
