"""Where a run keeps everything: both sides, configuration, catalog, logs and the control file."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crossfade.errors import ConfigurationError
from crossfade.testing.demo.options import (
    LATE_SECONDS_MAX,
    LEASE_SECONDS,
    LOOK_SECONDS_MAX,
    MIGRATION,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crossfade.core.objects import Side
    from crossfade.testing.demo.options import Sabotage

CONFIGURATION = """\
[crossfade]
enabled = true
lease_seconds = {lease}
late_seconds_max = {late}
late_complete_seconds_max = {late}
look_seconds_max = {look}

[store]
url = "sqlite:///.crossfade/catalog.db"

[migrations.{name}]
enabled = true
source = "{source}"
target = "{target}"
mirror = "{mirror}"
percentage = 0
"""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What the run tells its processes; they read it several times a second.

    Attributes:
        stopped: the roles whose processes are to finish what is under way, and end.
        fault: the side that fails; "" for none.
        held: the side on which no change may begin; "" for none.
        sabotage: whether the process that is to do something wrong may do it now.
        creates_only: put only new keys, and nothing else.
        pause_seconds: how long each user rests after each operation.
        kill_at: for each process by name, the point to be killed at.
    """

    stopped: tuple[str, ...] = ()
    fault: str = ""
    held: str = ""
    sabotage: bool = False
    creates_only: bool = False
    pause_seconds: float = 0.0
    kill_at: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of a run."""

    root: Path

    @classmethod
    def create(cls, root: Path | None) -> Workspace:
        """Make the folder, or take an empty one.

        Raises:
            ConfigurationError: something is in it, which would not survive the run.
        """
        if root is None:
            return cls(Path(tempfile.mkdtemp(prefix="crossfade-demo-")))
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            message = f"{root} is not empty"
            raise ConfigurationError(message, hint="name a folder that is empty, or a new one")
        return cls(root.absolute())

    @property
    def source(self) -> Path:
        """Where the source keeps everything."""
        return self.root / "source"

    @property
    def target(self) -> Path:
        """Where the target keeps everything."""
        return self.root / "target"

    @property
    def configuration(self) -> Path:
        """The ``crossfade.toml`` of every process."""
        return self.root / "crossfade.toml"

    @property
    def keys(self) -> Path:
        """The keys that were there before anything started, as JSON."""
        return self.root / "keys.json"

    def log(self, name: str) -> Path:
        """Return the log of operations of a process, by its name."""
        return self.root / f"{name}.log"

    def words(self, name: str) -> Path:
        """Return where a process's output goes, by its name."""
        return self.root / f"{name}.out"

    def pulse(self, name: str) -> Path:
        """Return the file by which a process sees whether the disk answers."""
        return self.root / f"{name}.pulse"

    @property
    def credentials(self) -> Path:
        """What the servers of a run let in."""
        return self.root / "credentials.ini"

    @property
    def servers(self) -> Path:
        """A script that starts a run's servers again, on what it has left."""
        return self.root / "servers.sh"

    def write_credentials(self, text: str) -> None:
        """Keep what the servers let in, for nobody else to see."""
        _write_private(self.credentials, text)

    def write_servers(self, script: str) -> None:
        """Keep how the servers are started; it holds their secret."""
        if script:
            _write_private(self.servers, script)

    def prepare(self) -> None:
        """Make the folders of both sides."""
        self.source.mkdir()
        self.target.mkdir()

    def configure(
        self, source: str = "local:./source", target: str = "local:./target", mirror: str = "auto"
    ) -> None:
        """Write the configuration, with the sides' URLs."""
        text = CONFIGURATION.format(
            source=source,
            target=target,
            lease=LEASE_SECONDS,
            late=LATE_SECONDS_MAX,
            look=LOOK_SECONDS_MAX,
            name=MIGRATION,
            mirror=mirror,
        )
        self.configuration.write_text(text, encoding="utf-8")
        self.tell(Control())

    def write_keys(self, keys: Iterable[str]) -> None:
        """Keep the keys for the processes."""
        self.keys.write_bytes(msgspec.json.encode(sorted(keys)))

    def read_keys(self) -> list[str]:
        """Return the keys that were there before."""
        return msgspec.json.decode(self.keys.read_bytes(), type=list[str])

    def tell(self, control: Control) -> None:
        """Replace what the processes are told, at once."""
        new = self.root / "control.new"
        new.write_bytes(msgspec.json.encode(control))
        os.replace(new, self.root / "control.json")  # noqa: PTH105 - the atomic one, by its name

    def told(self) -> Control:
        """Return what the processes are told now."""
        return msgspec.json.decode((self.root / "control.json").read_bytes(), type=Control)

    def confess(self, kind: Sabotage, side: Side, key: str) -> None:
        """Keep what was done wrong, for who looks at the run once it was judged."""
        deed = f"{kind.value} on the {side.value}: {key}\n"
        (self.root / "sabotage.txt").write_text(deed, encoding="utf-8")

    def confessed(self) -> str:
        """Return what was done wrong; "" when nothing was."""
        file = self.root / "sabotage.txt"
        return file.read_text(encoding="utf-8").strip() if file.exists() else ""

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.root, ignore_errors=True)


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
