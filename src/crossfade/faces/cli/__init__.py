"""The command line: `crossfade`."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cyclopts import CycloptsError

from crossfade.errors import CrossfadeError
from crossfade.faces.cli.exits import DeclinedError, Exit, Told, UsageError, exit_of, told
from crossfade.faces.cli.output import Answer, Output
from crossfade.faces.cli.signals import TERMINATED

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> NoReturn:
    """Run the command that the arguments name, and end the process with its exit code."""
    arguments = sys.argv[1:]
    try:
        TERMINATED.listen()
        code = run(arguments)
    except KeyboardInterrupt as error:  # before the command began, or after it had ended
        code = _refuse(Output("--json" in arguments), error, arguments)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; expected errors are told without a traceback."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        sys.stderr.write("error: stdout is closed, so that nothing was done\n")
        return Exit.OUTPUT
    output = Output("--json" in arguments)
    try:
        return _run(arguments, output)
    except BrokenPipeError:
        _drop_stdout()
        return Exit.BROKEN_PIPE
    except OSError as error:
        _drop_stdout()
        output.note(f"error: the output cannot be written: {error.strerror or error}")
        return Exit.OUTPUT


def _drop_stdout() -> None:
    """Let go of what is in the buffer: it would fail once more when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str], output: Output) -> int:
    try:
        # Imported here, so that the commands' own imports are within reach of what tells errors.
        from crossfade.faces.cli.app import build

        answer = build()(
            arguments,
            console=output.out,
            print_error=False,
            exit_on_error=False,
            result_action="return_value",
        )
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - each is told, with a code
        return _refuse(output, _innermost(error), arguments)
    if not isinstance(answer, Answer):
        return Exit.DONE
    output.give(answer)
    return answer.code


def _refuse(output: Output, error: BaseException, arguments: Sequence[str]) -> int:
    """Tell an error; only one that nobody expected shows where it came from."""
    match error:
        case CrossfadeError():
            output.refuse(told(error))
            return exit_of(type(error))
        case CycloptsError():
            hint = f"`crossfade {_command(arguments)}--help` shows what there is"
            output.refuse(Told(code="usage", message=str(error), hint=hint))
            return Exit.USAGE
        case UsageError():
            output.refuse(Told(code="usage", message=str(error), hint=error.hint))
            return Exit.USAGE
        case DeclinedError():
            output.refuse(Told(code="declined", message=str(error), hint=""))
            return Exit.DECLINED
        case KeyboardInterrupt() if TERMINATED.seen:
            output.refuse(Told(code="terminated", message="stopped by SIGTERM", hint=""))
            return Exit.TERMINATED
        case KeyboardInterrupt():
            output.refuse(Told(code="interrupted", message="stopped by Ctrl-C", hint=""))
            return Exit.INTERRUPTED
        case _:
            traceback.print_exception(error)
            message = f"{type(error).__name__}: {error}"
            output.refuse(Told(code="bug", message=message, hint="please report it"))
            return Exit.BUG


def _command(arguments: Sequence[str]) -> str:
    """Return the command that the arguments begin with and a space, or nothing."""
    from crossfade.faces.cli.app import COMMANDS

    first = arguments[0] if arguments else ""
    return f"{first} " if first in {name for _, name, _ in COMMANDS} else ""


def _innermost(error: BaseException) -> BaseException:
    """Return the first failure of a group of tasks: the others failed because of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
