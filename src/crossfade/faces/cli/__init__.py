"""The command line: `crossfade`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from cyclopts import CycloptsError

from crossfade.errors import CrossfadeError
from crossfade.faces.cli.exits import DeclinedError, Exit, Told, UsageError, exit_of, told
from crossfade.faces.cli.output import Answer, Output

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> NoReturn:
    """Run the command that the arguments name, and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; expected errors are told without a traceback."""
    output = Output("--json" in arguments)
    try:
        return _run(arguments, output)
    except BrokenPipeError:
        # What is left in the buffer would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE


def _run(arguments: Sequence[str], output: Output) -> int:
    # Imported here, so that a mistyped command is the only one that waits for nothing.
    from crossfade.faces.cli.app import build

    try:
        answer = build()(
            arguments,
            console=output.out,
            print_error=False,
            exit_on_error=False,
            result_action="return_value",
        )
    except CrossfadeError as error:
        output.refuse(told(error))
        return exit_of(type(error))
    except (CycloptsError, UsageError) as error:
        hint = error.hint if isinstance(error, UsageError) else "`crossfade --help` shows what is"
        output.refuse(Told(code="usage", message=str(error), hint=hint))
        return Exit.USAGE
    except DeclinedError as error:
        output.refuse(Told(code="declined", message=str(error), hint=""))
        return Exit.DECLINED
    except KeyboardInterrupt:
        output.refuse(Told(code="interrupted", message="stopped by Ctrl-C", hint=""))
        return Exit.INTERRUPTED
    if not isinstance(answer, Answer):
        return Exit.DONE
    output.give(answer)
    return answer.code
