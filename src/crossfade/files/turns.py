"""Writers of one key in one process wait first come, first served."""

from __future__ import annotations

from collections import deque

import anyio

from crossfade.errors import ConfigurationError


class Turns:
    """A queue for each key that somebody writes; keys without a writer cost nothing."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[anyio.Event]] = {}
        self._closed = False
        self._idle = anyio.Event()

    def close(self) -> None:
        """Let nobody come any more; who has a turn, or waits for one, goes on."""
        self._closed = True
        if not self._queues:
            self._idle.set()

    async def drain(self) -> None:
        """Wait until all who came before the end are done."""
        await self._idle.wait()

    def take_free(self, key: str) -> bool:
        """Take the turn where nobody has it; tell whether that is so.

        Raises:
            ConfigurationError: it comes after the end.
        """
        if self._closed:
            message = f"{key!r} cannot be written: these files are closed"
            hint = "let every call end before the block of `crossfade.open` does, or open it again"
            raise ConfigurationError(message, hint=hint)
        if key in self._queues:
            return False
        self._queues[key] = deque()
        return True

    async def take(self, key: str) -> None:
        """Wait until it is this caller's turn."""
        if self.take_free(key):
            return
        queue = self._queues[key]
        event = anyio.Event()
        queue.append(event)
        try:
            await event.wait()
        except BaseException:
            if event.is_set():
                self.release(key)
            else:
                queue.remove(event)
            raise

    def is_wanted(self, key: str) -> bool:
        """Tell whether somebody waits for the turn that somebody has."""
        return bool(self._queues.get(key))

    def release(self, key: str) -> None:
        """Let the next one go."""
        queue = self._queues[key]
        if queue:
            queue.popleft().set()
        else:
            del self._queues[key]
            if self._closed and not self._queues:
                self._idle.set()
