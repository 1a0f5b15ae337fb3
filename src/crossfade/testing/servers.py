"""Real S3 servers for tests, from packages alone: they run on this machine, for a while.

`moto_server` knows the semantics and every key, and forgets all at its end. `rclone_server` is
fast and keeps objects as files below a folder; their content type and metadata it keeps in memory,
and requests at once disturb each other. `swift_server` is a whole OpenStack Swift over a folder:
the most like what stands in a data centre, with its durability and its habits.

The last two can be killed and started again over what they keep. All of them end with the process
that started them. Their packages come with the ``demo`` extra, but for moto's: `moto[server]`.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.backends.s3.credentials import Credentials
from crossfade.backends.s3.signing import sign
from crossfade.core.objects import EMPTY_SHA256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ACCESS_KEY = "crossfade:tests"
SECRET_KEY = "crossfade-tests-secret"  # noqa: S105 - of servers that live for a test
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": "us-east-1",
}
"""What a side needs to be let in."""
_START_SECONDS_MAX = 60.0
_ANSWER_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.05
_END_SECONDS_MAX = 10.0
_WORDS_MAX = 2_000
_OK = 200
_NOTHING: Mapping[str, str] = {}
_HOST = "127.0.0.1"


class RunningServer:
    """A server at one address, which can be killed and started again.

    Args:
        kind: what it is called in ``server=`` of a side's URL.
        command: how it is started; ``{port}`` stands for the port that it is to listen to.
        log: where what it says goes; nowhere where not given.
        environment: what it needs beside this process's own.

    Attributes:
        endpoint: its address, ``http://host:port``.
        command: how it is started, its port included.
        environment: what it needs beside this process's own.
        log: where what it says goes.
    """

    def __init__(
        self,
        kind: str,
        command: Sequence[str],
        *,
        log: Path | None = None,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._kind = kind
        # It is bound for as long as this lives, so that nobody takes the port of a server that
        # is down: two may hold one that nobody, or only one of them, listens to.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind((_HOST, 0))
        self._host = f"{_HOST}:{self._place.getsockname()[1]}"
        port = self._host.partition(":")[2]
        self.command = [part.replace("{port}", port) for part in command]
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://{self._host}"
        self.log = log

    @property
    def pid(self) -> int | None:
        """The number of its process; None while it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    def start(self) -> None:
        """Start it; `wait` then says when it serves.

        Raises:
            RuntimeError: it runs, or this is not the main thread, with whose end it would end.
        """
        if self.pid is not None or threading.current_thread() is not threading.main_thread():
            message = f"{self.endpoint} runs already, or is not started in the main thread"
            raise RuntimeError(message)
        bound = [sys.executable, "-m", "crossfade.testing.bound", str(os.getpid())]
        with (self.log or Path(os.devnull)).open("ab") as words:
            self._process = subprocess.Popen(  # noqa: S603 - the commands below
                [*bound, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
            )

    def wait(self) -> None:
        """Wait until it answers a signed request; it may be called in any thread.

        Raises:
            RuntimeError: it ended, or does not serve in time; with the end of what it said.
        """
        deadline = time.monotonic() + _START_SECONDS_MAX
        while self.pid is not None and time.monotonic() < deadline:
            try:
                if self._ask("GET", "/") == _OK:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(_POLL_SECONDS)
        said = self.log.read_text(errors="replace")[-_WORDS_MAX:] if self.log else ""
        message = f"{self._kind} at {self.endpoint} does not serve; it said: {said or 'nothing'}"
        raise RuntimeError(message)

    def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop it, and let go of its port."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        self._place.close()

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name.

        Raises:
            RuntimeError: it made none.
        """
        name = f"bucket-{secrets.token_hex(6)}"
        status = self._ask("PUT", f"/{name}")
        if status != _OK:
            message = f"{self.endpoint} made no bucket: it answered {status}"
            raise RuntimeError(message)
        return name

    def url(self, bucket: str, prefix: str = "") -> str:
        """Return the URL of a side in a bucket; prefix is percent-encoded."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&server={self._kind}"

    def _ask(self, method: str, path: str) -> int:
        headers = sign(
            {"host": self._host, "content-length": "0"},
            method=method,
            path=path,
            query="",
            payload_sha256=EMPTY_SHA256,
            credentials=Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY),
            region=ENVIRONMENT["AWS_REGION"],
            at=datetime.now(UTC),
        )
        connection = http.client.HTTPConnection(self._host, timeout=_ANSWER_SECONDS_MAX)
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def moto_server() -> Iterator[RunningServer]:
    """Run moto's server."""
    command = [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", "{port}"]
    # Parts of any size, so that bodies in parts can be small ones.
    environment = {"S3_UPLOAD_PART_MIN_SIZE": "1"}
    with running(RunningServer("moto", command, environment=environment)) as server:
        yield server


@contextmanager
def rclone_server(folder: Path, *, cache_mode: str = "off") -> Iterator[RunningServer]:
    """Run rclone's server over a folder, in which each folder of ``buckets`` is a bucket.

    Whatever its cache does, a server that is killed while it overwrites can lose the object: kill
    it while nothing is written to it. And a folder that is made or emptied while something else
    is put into it can hide that: have in each of them an object that stays.

    Args:
        folder: where it keeps everything.
        cache_mode: what rclone calls ``--vfs-cache-mode``. With ``off`` an object is in the
            bucket's folder when its put is answered.
    """
    data, cache = folder / "buckets", folder / "cache"
    data.mkdir(parents=True, exist_ok=True)
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    command = [
        *(found, "serve", "s3", str(data), "--addr", f"{_HOST}:{{port}}"),
        *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", cache_mode),
        *("--cache-dir", str(cache), "--config", "/dev/null"),
    ]
    with running(RunningServer("rclone", command, log=folder / "server.log")) as server:
        yield server


@contextmanager
def swift_server(folder: Path) -> Iterator[RunningServer]:
    """Run OpenStack Swift with its S3 face over a folder, whose file system keeps attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    module = "crossfade.testing.swift_node"
    command = [sys.executable, "-W", "ignore", "-m", module, str(folder), "{port}"]
    log = folder / "server.log"
    with running(RunningServer("swift", command, log=log, environment=ENVIRONMENT)) as server:
        yield server


@contextmanager
def running(server: RunningServer) -> Iterator[RunningServer]:
    """Run a server until the block ends."""
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.close()
