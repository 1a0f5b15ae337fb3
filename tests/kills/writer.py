"""A process that writes through the facade until it is killed: `python -m tests.kills.writer`."""

from __future__ import annotations

import sys
from hashlib import sha256
from itertools import count

import anyio

from crossfade.errors import CrossfadeError, ObjectNotFoundError, PreconditionError
from crossfade.testing.demo.child import Child, child
from crossfade.testing.demo.oplog import Called, Returned, now
from crossfade.testing.history import Requires, Result, Verb

IN_FLIGHT = 6
KEYS = 24


class Writer:
    """Puts, deletes, creates and reads keys that the other process writes too."""

    def __init__(self, me: Child, prefix: str) -> None:
        self._me = me
        self._prefix = prefix
        self._numbers = count(1)

    async def go_on(self) -> None:
        while not self._me.stopping.is_set():
            key = f"{self._prefix}{self._me.rng.randrange(KEYS)}"
            verb = self._me.rng.choices((Verb.PUT, Verb.DELETE, Verb.READ), (60, 15, 25))[0]
            await self._one(verb, key)

    async def _one(self, verb: Verb, key: str) -> None:
        number = next(self._numbers)
        body = f"{self._me.name} {number}".encode()
        value = sha256(body).hexdigest() if verb is Verb.PUT else None
        creates = verb is Verb.PUT and self._me.rng.random() < 0.1
        requires = Requires.ABSENT if creates else Requires.ALWAYS
        line = Called(number, now(), verb, key, self._me.name, value, requires)
        self._me.log.write(line)
        result, found, error = Result.OK, None, ""
        try:
            found = await self._do(verb, key, body, creates)
        except PreconditionError:
            result = Result.PRECONDITION
        except ObjectNotFoundError:
            pass
        except CrossfadeError as failure:
            result, error = Result.UNKNOWN, str(failure)
        self._me.log.write(Returned(number, now(), result, found, error=error))

    async def _do(self, verb: Verb, key: str, body: bytes, creates: bool) -> str | None:
        files, user = self._me.files, self._me.name
        if verb is Verb.PUT:
            await files.put(key, body, subject=user, if_none_match="*" if creates else None)
        elif verb is Verb.DELETE:
            await files.delete(key, subject=user)
        else:
            async with await files.get(key, subject=user) as obj:
                return sha256(await obj.read()).hexdigest()
        return None


async def write(root: str, name: str, seed: str, prefix: str) -> None:
    async with child(root, name, seed) as me:
        writer = Writer(me, prefix)
        async with anyio.create_task_group() as group:
            for _ in range(IN_FLIGHT):
                group.start_soon(writer.go_on)


if __name__ == "__main__":
    root, name, seed, prefix = sys.argv[1:]
    anyio.run(write, root, name, seed, prefix)
