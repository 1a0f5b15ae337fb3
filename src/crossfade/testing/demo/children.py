"""The processes of a run: started, told by a file, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.testing.demo.options import Kind
from crossfade.testing.kill_points import KILL_AT_VARIABLE

if TYPE_CHECKING:
    from crossfade.testing.demo.options import DemoOptions
    from crossfade.testing.demo.tally import Tally
    from crossfade.testing.demo.workspace import Workspace

STOP_SECONDS = 30.0
WORDS_MAX = 2_000


@dataclass(slots=True)
class _Running:
    name: str
    process: subprocess.Popen[bytes]


class ProcessDiedError(Exception):
    """A process ended by itself, which none of them does."""


class Children:
    """Two processes of users and a worker, each by its role: `users-1`, `users-2`, `worker`.

    A role that is started again gets a new name, and with it a log of its own.
    """

    def __init__(self, workspace: Workspace, options: DemoOptions, seed: str, tally: Tally) -> None:
        self._workspace = workspace
        self._options = options
        self._seed = seed
        self._tally = tally
        self._running: dict[str, _Running] = {}
        self._starts: dict[str, int] = {}

    def name(self, role: str) -> str:
        """Return the name of the process that has the role now."""
        return self._running[role].name

    @property
    def names(self) -> list[str]:
        """The names of all processes that run."""
        return [running.name for running in self._running.values()]

    def start(self, role: str, *, kill_at: str = "") -> str:
        """Start a role and return the process's name."""
        number = self._starts[role] = self._starts.get(role, 0) + 1
        name = f"{role}.{number}"
        environment = {**os.environ, KILL_AT_VARIABLE: kill_at}
        with self._workspace.words(name).open("wb") as words:
            process = subprocess.Popen(  # noqa: S603 - this very package, by this very Python
                [sys.executable, "-m", *self._command(role, name)],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self._running[role] = _Running(name, process)
        self._tally.follow(name, self._workspace.log(name))
        return name

    def _command(self, role: str, name: str) -> list[str]:
        module = "worker" if role == "worker" else "traffic"
        command = [f"crossfade.testing.demo.{module}", str(self._workspace.root), name, self._seed]
        if module == "worker":
            return command
        options = self._options
        command += ["--users", str(options.users), "--in-flight", str(options.users_at_once)]
        if Kind.S3 in options.sides.kinds:
            command.append("--few-writes")
        if options.sides.source is Kind.S3:
            command.append("--flat")
        if options.sabotage is not None and role.endswith("-1"):
            command += ["--sabotage", options.sabotage.value]
        return command

    def dead(self, role: str) -> bool:
        """Tell whether a role's process was killed; collect it then.

        Raises:
            ProcessDiedError: it ended by itself.
        """
        running = self._running[role]
        code = running.process.poll()
        if code is None:
            return False
        if code != -signal.SIGKILL:
            words = self._workspace.words(running.name).read_text(errors="replace")
            message = f"{running.name} ended with exit code {code}: {words[-WORDS_MAX:]}"
            raise ProcessDiedError(message)
        self._tally.end(running.name)
        del self._running[role]
        return True

    def kill(self, role: str) -> None:
        """Send SIGKILL to a role's process."""
        self._running[role].process.send_signal(signal.SIGKILL)

    def ended(self, role: str) -> bool:
        """Tell whether a process that was told to stop has ended well; collect it then."""
        running = self._running[role]
        code = running.process.poll()
        if code is None:
            return False
        if code:
            self.dead(role)
            message = f"{running.name} was killed while it was leaving"
            raise ProcessDiedError(message)
        self._tally.end(running.name)
        del self._running[role]
        return True

    def watch(self) -> None:
        """Refuse to go on when a process ended by itself.

        Raises:
            ProcessDiedError: one did.
        """
        for role, running in list(self._running.items()):
            if running.process.poll() not in (None, 0, -signal.SIGKILL):
                self.dead(role)

    def end_all(self) -> None:
        """Kill whatever still runs, and wait until it is gone."""
        for running in self._running.values():
            running.process.kill()
        for running in self._running.values():
            running.process.wait(STOP_SECONDS)
