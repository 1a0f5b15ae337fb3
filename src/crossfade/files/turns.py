"""Writers of one key in one process wait first come, first served."""

from __future__ import annotations

from collections import deque

import anyio


class Turns:
    """A queue for each key that somebody writes; keys without a writer cost nothing."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[anyio.Event]] = {}

    async def take(self, key: str) -> None:
        """Wait until it is this caller's turn."""
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque()
            return
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

    def release(self, key: str) -> None:
        """Let the next one go."""
        queue = self._queues[key]
        if queue:
            queue.popleft().set()
        else:
            del self._queues[key]
