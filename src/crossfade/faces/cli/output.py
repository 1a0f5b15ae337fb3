"""What the command line says: words and tables for people, or one JSON document for programs."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, NoReturn

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crossfade.faces.cli.exits import DeclinedError, Exit, UsageError
from crossfade.faces.cli.signals import hears_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from crossfade.faces.cli.exits import Told

PIPE_COLUMNS = 160
"""How wide a table may be where nobody's terminal says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found or did.

    Attributes:
        data: for programs: mappings, lists, dataclasses and plain values.
        show: tells it to people.
    """

    data: object
    show: Callable[[Output], None]
    code: Exit = Exit.DONE


class PipeConsole(Console):
    """A console that tells its program when nobody reads any more."""

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the program, which has an exit code for it."""
        raise BrokenPipeError


@dataclass(slots=True)
class Output:
    """Where a command's words go.

    Attributes:
        json: whether stdout gets one JSON document and nothing else.
    """

    json: bool
    out: Console = field(default_factory=lambda: console(sys.stdout))
    err: Console = field(default_factory=lambda: console(sys.stderr))

    def give(self, answer: Answer) -> None:
        """Say what a command found or did."""
        if self.json:
            self._document(answer.data)
        else:
            answer.show(self)

    def refuse(self, told: Told) -> None:
        """Say why a command did nothing."""
        if self.json:
            error = {"code": told.code, "message": told.message, "hint": told.hint}
            self._document({"error": {**error, "keys": told.keys} if told.keys else error})
            return
        self._print(self.err, Text.assemble(("error: ", "bold red"), told.message))
        if told.hint:
            self._print(self.err, Text(f"  {told.hint}"))
        for key in told.keys:
            self._print(self.err, Text(f"  {key!r}"))

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line."""
        self._print(self.out, Text(text, style=style))

    def warn(self, text: str) -> None:
        """Print something to look at."""
        self._print(self.out, Text.assemble(("! ", "bold yellow"), text))

    def note(self, text: str) -> None:
        """Say something beside the answer, to whoever watches; nobody may."""
        with suppress(OSError):
            self._print(self.err, Text(text))

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Print names with values."""
        grid = Table.grid(padding=(0, 2))
        for name, value in pairs:
            grid.add_row(Text(name, style="bold"), Text(value))
        self.out.print(grid)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table; a column whose name ends in ``>`` is aligned to the right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            right = name.endswith(">")
            table.add_column(name.rstrip(">"), justify="right" if right else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.out.print(table)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something that cannot be undone.

        Raises:
            DeclinedError: the answer was no.
            UsageError: nobody is there to be asked.
        """
        if yes:
            return
        if self.json or sys.stdin is None or not sys.stdin.isatty():
            raise UsageError(question, "nobody can be asked here: confirm it with --yes")
        with hears_ctrl_c():
            self._print(self.err, Text(f"{question} [y/N] "), end="")
            answer = sys.stdin.readline()
        if answer.strip().lower() not in {"y", "yes"}:
            message = "nothing was done"
            raise DeclinedError(message)

    def _print(self, where: Console, text: Text, end: str = "\n") -> None:
        where.print(text, soft_wrap=True, end=end)

    def _document(self, data: object) -> None:
        # Escaped to ASCII: whatever the terminal's encoding, what arrives is JSON.
        print(json.dumps(msgspec.to_builtins(data), indent=2), file=self.out.file, flush=True)


def console(stream: IO[str]) -> Console:
    """Return a console on a stream; what its encoding lacks is escaped, never an error."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    width = None if stream.isatty() else PIPE_COLUMNS
    return PipeConsole(file=stream, highlight=False, width=width)
