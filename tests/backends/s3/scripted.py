"""A server that answers what a test says, byte by byte."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Act = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Script:
    """What is answered, in turn; the last act goes on."""

    acts: list[Act]
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                asked = await read(reader)
                self.asked.append(asked)
                act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
                await act(asked, writer)
                await writer.drain()
                if writer.is_closing():
                    return


async def read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    headers = {name.lower(): value for name, value in headers.items()}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method=method, target=target, headers=headers, body=body)


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what is no HTTP as servers do."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    writer.close()


@asynccontextmanager
async def serving(*acts: Act, plain: bool = False) -> AsyncIterator[Script]:
    """Run a server; a plain one answers as HTTP does, whatever it is sent."""
    script = Script(list(acts))
    serve = refuse if plain else script.serve
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        running.add(task)
        try:
            await task
        except asyncio.CancelledError:
            task.cancel()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            running.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        while running:
            for task in running:
                task.cancel()
            await asyncio.sleep(0)


def answer(status: int, body: str | bytes = b"", **headers: str) -> Act:
    """Answer whole; `content_length` may lie."""
    data = body.encode() if isinstance(body, str) else body

    async def act(asked: Asked, writer: asyncio.StreamWriter) -> None:
        given = {"content_length": str(len(data)), **headers}
        lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in given.items())
        sent = b"" if asked.method == "HEAD" else data
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + sent)
        if given["content_length"] != str(len(data)):
            writer.close()

    return act


def error(status: int, code: str, more: str = "", **headers: str) -> Act:
    """Answer as S3 does when it refuses."""
    return answer(
        status, f"<Error><Code>{code}</Code><Message>why</Message>{more}</Error>", **headers
    )


async def cut(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    writer.close()


async def stall(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


def raw(data: bytes) -> Act:
    """Answer with what need not be HTTP."""

    async def act(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return act
