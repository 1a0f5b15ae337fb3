"""Servers of tests: they serve, survive a kill, and end with whoever started them."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from crossfade.core.objects import Attributes
from crossfade.setup.sides import open_side
from crossfade.testing.servers import (
    ENVIRONMENT,
    RunningServer,
    rclone_server,
    swift_server,
)
from crossfade.testing.suite import get, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from crossfade.ports import Backend

pytestmark = pytest.mark.anyio

LASTING: dict[str, Callable[[Path], AbstractContextManager[RunningServer]]] = {
    "rclone": rclone_server,
    "swift": swift_server,
}
GONE_SECONDS_MAX = 10.0
HOST = "127.0.0.1"
STARTS_A_SERVER = """\
import sys, time
from pathlib import Path
from crossfade.testing import servers

with servers.{kind}_server(Path(sys.argv[1])) as server:
    print(server.endpoint, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", LASTING)
async def test_what_a_server_took_is_there_after_a_kill(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    attributes = Attributes(content_type="image/png", metadata={"colour": "blue"})
    with LASTING[kind](tmp_path) as server:
        url = server.url(server.new_bucket())
        for number in range(3):
            async with opened(url) as side:
                await put(side, f"folder/{number}", b"%d" % number, attributes)
            killed = server.pid
            server.kill()
            assert server.pid is None
            server.start()
            server.wait()
            assert server.pid not in {None, killed}
        async with opened(url) as side:
            for number in range(3):
                info, data = await get(side, f"folder/{number}")
                assert data == b"%d" % number
                assert info.attributes == attributes.kept(side.capabilities.attributes_kept)
    assert server.pid is None


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Backend]:
    """Open a side anew: a connection that was open through a kill says so on its next request."""
    side = open_side(url)
    try:
        yield side
    finally:
        await side.close()


@pytest.mark.parametrize("kind", LASTING)
def test_a_server_ends_with_a_process_that_is_killed(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_A_SERVER.format(kind=kind), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        address = (HOST, int(starter.stdout.readline().rpartition(":")[2]))
        assert answers(address)
        starter.kill()
    deadline = time.monotonic() + GONE_SECONDS_MAX
    while answers(address):
        assert time.monotonic() < deadline, "the server outlived who started it"
        time.sleep(0.01)


def answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return False
    return True


def test_nobody_takes_the_port_of_a_server_that_is_down(tmp_path: Path) -> None:
    with rclone_server(tmp_path) as server:
        server.kill()
        port = int(server.endpoint.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, port))
        server.start()
        server.wait()


def test_a_server_that_does_not_serve_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no disk on port {port}')"]
    server = RunningServer("swift", command, log=tmp_path / "server.log")
    server.start()
    with pytest.raises(RuntimeError, match=r"does not serve; it said: no disk on port \d+"):
        server.wait()
    server.close()


def test_a_server_is_started_once_and_in_the_main_thread(tmp_path: Path) -> None:
    refused: list[str] = []

    def start() -> None:
        try:
            server.start()
        except RuntimeError as error:
            refused.append(str(error))

    with rclone_server(tmp_path) as server:
        start()
        server.kill()
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        assert server.pid is None
    assert len(refused) == 2
