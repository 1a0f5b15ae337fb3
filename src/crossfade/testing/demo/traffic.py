"""One of the two processes of users: many of them at once, every call and answer logged."""

from __future__ import annotations

import argparse
from functools import partial
from hashlib import md5, sha256
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import anyio

from crossfade.core.objects import BOTH_SIDES
from crossfade.errors import (
    BackendUnavailableError,
    CrossfadeError,
    IntegrityError,
    ObjectNotFoundError,
    PreconditionError,
)
from crossfade.testing.demo.child import Child, child
from crossfade.testing.demo.mix import FEW_WRITES, WEIGHTS, Act, Mix, Wish
from crossfade.testing.demo.oplog import Called, Returned, now
from crossfade.testing.demo.options import Sabotage
from crossfade.testing.history import Requires, Result, Verb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

VALUE = "value"
"""The name of the metadata that tells what a put's bytes are."""

AGAIN_MAX = 5
AGAIN_SECONDS = 0.1
"""How often, and after how long, a user asks again where a side is disturbed by requests at once:
its errors then say so."""


class Users:
    """Carries out wishes through the facade, and logs them."""

    def __init__(self, me: Child, mix: Mix) -> None:
        self._me = me
        self._mix = mix
        self._numbers = count(1)
        sides = me.files.engine.sides
        both = [sides[side].capabilities for side in BOTH_SIDES]
        self._disturbed = not all(one.undisturbed for one in both)
        self._by_tag = not all("metadata" in one.attributes_kept for one in both)
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

    async def _again(self, ask: Callable[[], Awaitable[T]]) -> tuple[T, int]:
        """Ask, and again where the side says so; return the answer, and how often it was again."""
        again, most = 0, AGAIN_MAX if self._disturbed else 0
        while True:
            try:
                return await ask(), again
            except (BackendUnavailableError, IntegrityError):
                if again == most:
                    raise
                again += 1
                await anyio.sleep(AGAIN_SECONDS)

    async def _get(self, wish: Wish) -> tuple[str, str] | None:
        """Read an object; return its value and tag when there is one."""
        number = self._call(wish, Verb.READ)

        async def whole() -> tuple[bytes, str, str]:
            async with await self._me.files.get(wish.key, subject=wish.user) as obj:
                return await obj.read(), obj.side.value, obj.info.etag

        try:
            (body, side, tag), again = await self._again(whole)
        except ObjectNotFoundError as error:
            self._answer(number, value=None, side=error.side or "")
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            value = sha256(body).hexdigest()
            self._answer(number, value=value, side=side, again=again)
            return value, tag
        return None

    async def _head(self, wish: Wish) -> None:
        number = self._call(wish, Verb.READ)
        try:
            ask = partial(self._me.files.head, wish.key, subject=wish.user)
            info, again = await self._again(ask)
        except ObjectNotFoundError:
            self._answer(number, value=None)
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            assert info.attributes is not None
            # What was there before anything started has no metadata.
            value = info.attributes.metadata.get(VALUE, "")
            self._answer(number, value=value, tag=info.etag if self._by_tag else "", again=again)

    async def _list(self, wish: Wish) -> None:
        number = self._call(wish, Verb.LIST)

        async def whole() -> tuple[str, ...]:
            listing = self._me.files.list(wish.key, subject=wish.user)
            return tuple([info.key async for info in listing])

        try:
            keys, again = await self._again(whole)
        except CrossfadeError as error:
            self._fail(number, error)
        else:
            self._answer(number, keys=keys, again=again)

    async def _put(
        self, wish: Wish, requires: Requires, seen: tuple[str, str] | None = None
    ) -> None:
        number = next(self._numbers)
        body = self._mix.body(number)
        value = sha256(body).hexdigest()
        expected, tag = seen or (None, None)
        named = md5(body, usedforsecurity=False).hexdigest() if self._by_tag else ""
        line = Called(
            number, now(), Verb.PUT, wish.key, wish.user, value, requires, expected, named
        )
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
        tag: str = "",
        again: int = 0,
    ) -> None:
        line = Returned(number, now(), result, value, keys, side, tag=tag, again=again)
        self._me.log.write(line)

    def _fail(self, number: int, error: CrossfadeError) -> None:
        line = Returned(number, now(), Result.UNKNOWN, error=f"{error.code}: {error}")
        self._me.log.write(line)


async def serve(asked: argparse.Namespace) -> None:
    """Let users work until the run says stop."""
    async with child(asked.root, asked.name, asked.seed, asked.sabotage) as me:
        weights = FEW_WRITES if asked.few_writes else WEIGHTS
        keys = me.workspace.read_keys()
        mix = Mix(me.rng, asked.name, keys, asked.users, weights, flat=asked.flat)
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
    parser.add_argument("--few-writes", action="store_true")
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--sabotage", type=Sabotage)
    anyio.run(serve, parser.parse_args())


if __name__ == "__main__":
    main()
