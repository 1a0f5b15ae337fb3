"""One of the two processes of users: many of them at once, every call and answer logged."""

from __future__ import annotations

import argparse
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING

import anyio

from crossfade.errors import CrossfadeError, ObjectNotFoundError, PreconditionError
from crossfade.testing.demo.child import Child, child
from crossfade.testing.demo.mix import Act, Mix, Wish
from crossfade.testing.demo.oplog import Called, Returned, now
from crossfade.testing.demo.options import Sabotage
from crossfade.testing.history import Requires, Result, Verb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

VALUE = "value"
"""The name of the metadata that tells what a put's bytes are."""


class Users:
    """Carries out wishes through the facade, and logs them."""

    def __init__(self, me: Child, mix: Mix) -> None:
        self._me = me
        self._mix = mix
        self._numbers = count(1)
        self._acts: dict[Act, Callable[[Wish], Awaitable[object]]] = {
            Act.GET: self._get,
            Act.HEAD: self._head,
            Act.LIST: self._list,
            Act.PUT: lambda wish: self._put(wish, Requires.ALWAYS),
            Act.CREATE: lambda wish: self._put(wish, Requires.ABSENT),
            Act.SWAP: self._swap,
            Act.DELETE: self._delete,
        }

    async def go_on(self) -> None:
        """Do one thing after the other until it is time to end."""
        while not self._me.stopping.is_set():
            wish = self._mix.create() if self._me.control.creates_only else self._mix.next()
            await self._acts[wish.act](wish)
            if self._me.control.pause_seconds:
                await anyio.sleep(self._me.control.pause_seconds)

    async def _get(self, wish: Wish) -> tuple[str, str] | None:
        """Read an object; return its value and tag when there is one."""
        number = self._call(wish, Verb.READ)
        try:
            async with await self._me.files.get(wish.key, subject=wish.user) as obj:
                body = await obj.read()
        except ObjectNotFoundError as error:
            self._answer(number, value=None, side=error.side or "")
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            value = sha256(body).hexdigest()
            self._answer(number, value=value, side=obj.side.value)
            return value, obj.info.etag
        return None

    async def _head(self, wish: Wish) -> None:
        number = self._call(wish, Verb.READ)
        try:
            info = await self._me.files.head(wish.key, subject=wish.user)
        except ObjectNotFoundError:
            self._answer(number, value=None)
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            assert info.attributes is not None
            # What was there before anything started has no metadata.
            self._answer(number, value=info.attributes.metadata.get(VALUE, ""))

    async def _list(self, wish: Wish) -> None:
        number = self._call(wish, Verb.LIST)
        try:
            listing = self._me.files.list(wish.key, subject=wish.user)
            keys = [info.key async for info in listing]
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            self._answer(number, keys=tuple(keys))

    async def _put(
        self, wish: Wish, requires: Requires, seen: tuple[str, str] | None = None
    ) -> None:
        number = next(self._numbers)
        body = self._mix.body(number)
        value = sha256(body).hexdigest()
        expected, tag = seen or (None, None)
        line = Called(number, now(), Verb.PUT, wish.key, wish.user, value, requires, expected)
        self._me.log.write(line)
        try:
            await self._me.files.put(
                wish.key,
                body,
                subject=wish.user,
                content_type="application/octet-stream",
                metadata={VALUE: value},
                if_match=tag,
                if_none_match="*" if requires is Requires.ABSENT else None,
            )
        except PreconditionError:
            self._answer(number, result=Result.PRECONDITION)
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            self._answer(number)
            self._mix.written(wish.key)

    async def _swap(self, wish: Wish) -> None:
        seen = await self._get(wish)
        if seen is not None:
            await self._put(wish, Requires.VALUE, seen)

    async def _delete(self, wish: Wish) -> None:
        number = self._call(wish, Verb.DELETE)
        try:
            await self._me.files.delete(wish.key, subject=wish.user)
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            self._answer(number)

    def _call(self, wish: Wish, verb: Verb) -> int:
        number = next(self._numbers)
        self._me.log.write(Called(number, now(), verb, wish.key, wish.user))
        return number

    def _answer(
        self,
        number: int,
        *,
        result: Result = Result.OK,
        value: str | None = None,
        keys: tuple[str, ...] = (),
        side: str = "",
    ) -> None:
        self._me.log.write(Returned(number, now(), result, value, keys, side))

    def _fail(self, number: int, error: CrossfadeError) -> None:
        line = Returned(number, now(), Result.UNKNOWN, error=f"{error.code}: {error}")
        self._me.log.write(line)


async def serve(asked: argparse.Namespace) -> None:
    """Let users work until the run says stop."""
    async with child(asked.root, asked.name, asked.seed, asked.sabotage) as me:
        mix = Mix(me.rng, asked.name, me.workspace.read_keys(), asked.users)
        everybody = Users(me, mix)
        async with anyio.create_task_group() as group:
            for _ in range(asked.in_flight):
                group.start_soon(everybody.go_on)


def main() -> None:
    """Run as a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("name")
    parser.add_argument("seed")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--sabotage", type=Sabotage)
    anyio.run(serve, parser.parse_args())


if __name__ == "__main__":
    main()
