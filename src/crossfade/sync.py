"""The front door for blocking code: the same names, without `await`, from any thread.

Every call runs on one event loop in a thread of its own, which `open` starts and the end of its
block ends. A call that is interrupted with Ctrl-C goes on in that thread until the block ends.

The thread does not exist in a process that was forked from this one: open after the fork (in
gunicorn's ``post_fork``, in Celery's ``worker_process_init``). A call in a forked process is
refused, because it would wait for ever.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from anyio.from_thread import start_blocking_portal

from crossfade.errors import ConfigurationError
from crossfade.files.facade import Files as AsyncFiles
from crossfade.files.facade import ObjectReader as AsyncObjectReader
from crossfade.setup.opened import Crossfade as AsyncCrossfade
from crossfade.setup.opened import open as open_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from anyio.from_thread import BlockingPortal

    from crossfade.core.objects import ByteRange, ObjectInfo, Side
    from crossfade.core.settings import Workers

__all__ = ["Crossfade", "Files", "ObjectReader", "open"]

P = ParamSpec("P")
T = TypeVar("T")
Inner = TypeVar("Inner")

LISTED_AT_ONCE = 256
"""How many objects a listing fetches with one switch to the event loop's thread."""

_of_the_parent: list[ExitStack] = []


class _Loop:
    """The event loop's thread, as far as it exists in this process."""

    def __init__(self, portal: BlockingPortal) -> None:
        self.portal = portal
        self.closed = False
        self._pid = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this process was forked after the loop was started."""
        return os.getpid() != self._pid

    def close(self) -> None:
        """Refuse every call from now on."""
        self.closed = True

    def call(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine there and wait for it.

        Raises:
            ConfigurationError: this process was forked from the one that opened Crossfade, or the
                block in which it was open has ended.
        """
        if self.forked:
            message = f"Crossfade was opened in process {self._pid}, this is {os.getpid()}"
            hint = "open it after the fork: no thread of it exists here"
            raise ConfigurationError(message, hint=hint)
        if self.closed:
            message = "Crossfade is closed: the block in which it was opened has ended"
            raise ConfigurationError(message, hint="call it inside of `with crossfade.sync.open`")
        answer: T = self.portal.call(act)
        return answer


class _Blocking(Generic[Inner]):
    """Something asynchronous whose methods are called from threads."""

    def __init__(self, loop: _Loop, inner: Inner) -> None:
        self._loop = loop
        self._inner = inner


def _blocking(
    method: Callable[Concatenate[Inner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[_Blocking[Inner], P], T]:
    """Make a blocking method of an asynchronous one: same name, arguments and words."""

    @wraps(method)
    def call(self: _Blocking[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.call(partial(method, self._inner, *args, **kwargs))

    return call


class ObjectReader(_Blocking[AsyncObjectReader]):
    """An object that is being read; a context manager, and an iterator of chunks.

    Attributes:
        info: its description, attributes included.
        side: the side that answers.
    """

    def __init__(self, loop: _Loop, inner: AsyncObjectReader) -> None:
        super().__init__(loop, inner)
        self.info: ObjectInfo = inner.info
        self.side: Side = inner.side

    read = _blocking(AsyncObjectReader.read)
    close = _blocking(AsyncObjectReader.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        chunks = aiter(self._inner)
        while (chunk := self._loop.call(partial(_next, chunks))) is not None:
            yield chunk


class Files(_Blocking[AsyncFiles]):
    """One migration's files; every call goes to a side that may answer."""

    put = _blocking(AsyncFiles.put)
    head = _blocking(AsyncFiles.head)
    delete = _blocking(AsyncFiles.delete)
    copy = _blocking(AsyncFiles.copy)

    def get(
        self,
        key: str,
        *,
        subject: str | None = None,
        range: ByteRange | None = None,  # noqa: A002 - the name that stores give it
        timeout: float | None = None,
    ) -> ObjectReader:
        """Begin to read an object; see `crossfade.Files.get`."""
        begin = partial(self._inner.get, key, subject=subject, range=range, timeout=timeout)
        return ObjectReader(self._loop, self._loop.call(begin))

    def list(
        self,
        prefix: str = "",
        *,
        after: str = "",
        subject: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[ObjectInfo]:
        """Yield the objects with the prefix, in key order; see `crossfade.Files.list`."""
        found = self._inner.list(prefix, after=after, subject=subject, timeout=timeout)
        while some := self._loop.call(partial(_next_some, found)):
            yield from some


class Crossfade(_Blocking[AsyncCrossfade]):
    """An opened configuration: files to read and write, migrations to steer."""

    set_percentage = _blocking(AsyncCrossfade.set_percentage)
    share = _blocking(AsyncCrossfade.share)
    begin = _blocking(AsyncCrossfade.begin)
    route = _blocking(AsyncCrossfade.route)
    status = _blocking(AsyncCrossfade.status)
    status_of = _blocking(AsyncCrossfade.status_of)
    rollback_emergency = _blocking(AsyncCrossfade.rollback_emergency)
    complete = _blocking(AsyncCrossfade.complete)
    backfill = _blocking(AsyncCrossfade.backfill)
    verify = _blocking(AsyncCrossfade.verify)
    repair = _blocking(AsyncCrossfade.repair)

    def files(self, name: str) -> Files:
        """Return a migration's files; see `crossfade.Crossfade.files`."""
        return Files(self._loop, self._inner.files(name))


@contextmanager
def open(
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    workers: Workers | None = None,
) -> Iterator[Crossfade]:
    """Open a configuration for blocking code; a context manager, see `crossfade.open`."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal(name="crossfade"))
        loop = _Loop(portal)
        stack.callback(loop.close)
        opening = open_async(config, environ=environ, workers=workers)
        opened = stack.enter_context(portal.wrap_async_context_manager(opening))
        try:
            yield Crossfade(loop, opened)
        finally:
            if loop.forked:
                # The loop's thread is the parent's: to close it here would wait for ever.
                _of_the_parent.append(stack.pop_all())


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


async def _next_some(found: AsyncIterator[ObjectInfo]) -> list[ObjectInfo]:
    some: list[ObjectInfo] = []
    async for info in found:
        some.append(info)
        if len(some) == LISTED_AT_ONCE:
            break
    return some
