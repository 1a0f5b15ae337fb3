"""A project on two directories, with times that suit tests, and ways to run its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crossfade.faces.cli import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CONFIG = """\
[crossfade]
enabled = {enabled}
lease_seconds = 2
late_seconds_max = {late}
look_seconds_max = 0.2
copier_wait_seconds = 0.1
poll_seconds = 0.05
workers = "{workers}"
[migrations.avatars]
enabled = true
source = "local:./source"
target = "local:./target"
mirror = "{mirror}"
"""


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error that it tells of."""
        assert list(self.document) == ["error"]
        return self.document["error"]


class Project:
    """A folder with a configuration and both directories."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str] | None = None) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.target = folder / "target"
        self.config = folder / "crossfade.toml"
        self._capsys = capsys

    def make(
        self,
        *,
        enabled: str = "true",
        late: float = 0,
        workers: str = "inline",
        mirror: str = "auto",
        more: str = "",
    ) -> Project:
        """Write the configuration, and make both directories."""
        for path in (self.source, self.target):
            path.mkdir(exist_ok=True)
        text = CONFIG.format(enabled=enabled, late=late, workers=workers, mirror=mirror)
        self.config.write_text(text + more)
        return self

    def fill(self, count: int, size: int = 8) -> None:
        """Put files into the source directory, as they were before Crossfade."""
        for number in range(count):
            (self.source / f"file-{number:04}").write_bytes(b"%08d" % number * (size // 8))

    def run(self, *arguments: str) -> Said:
        """Run a command in this process."""
        assert self._capsys is not None
        self._capsys.readouterr()
        code = run([*arguments, "--config", str(self.config)])
        said = self._capsys.readouterr()
        return Said(int(code), said.out, said.err)

    def json(self, *arguments: str) -> Said:
        """Run a command in this process, for programs."""
        return self.run(*arguments, "--json")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a process of its own, in the folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "crossfade.faces.cli", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )

    def call(self, *arguments: str) -> Said:
        """Run a command in a process of its own, to its end."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=60)
            return Said(process.returncode, out, err)
