"""Write ``docs/first-run.md``: what the README's two commands say in a fresh clone.

The committed HEAD is cloned into a temporary folder. The commands run there in an environment that
holds nothing but HOME, PATH and what ``--keep-variable`` names. What they print is kept whole, but
for lines that a terminal would have overwritten, paths of this machine, colours, and all but the
last line of what installers say. The page is written although a command fails, and says so; this
script then fails too.

    python docs/make_first_run.py
    python docs/make_first_run.py --command "make demo" --output /tmp/first-run.md
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "first-run.md"
HEAD = """\
# The first run

What the README's commands print on a fresh clone, in an environment that holds HOME and PATH alone.
Written by `make first-run`. Paths are relative to the clone; of what installers say, the last line
is kept.
"""
COMMANDS = ("make demo", "make test")
SECONDS_MAX = 3_600

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
DOTS = re.compile(r"^[.sxFE]+ *\[ *[0-9]+%\]$")
INSTALLER = re.compile(
    r"^(?:Collecting|Downloading|Using cached|Obtaining|Preparing metadata|Building|Created wheel"
    r"|Installing|Requirement already|Successfully|Looking in|Stored in| +(?:Downloading|Preparing"
    r"|Getting|Installing|Created|Stored|Checking|Building)|WARNING: |\[notice\])"
)


@dataclass(frozen=True, slots=True)
class Ran:
    """A command, what it printed, and how it ended."""

    command: str
    output: str
    code: int
    seconds: float


def plain(output: str, places: dict[str, str]) -> str:
    """Return output as a page shows it: no colours, no overwritten lines, no machine's paths.

    Args:
        output: what a command printed, as it came.
        places: what to write in place of which path; longer paths win.
    """
    lines: list[str] = []
    for line in ESCAPE.sub("", output.replace("\r\n", "\n")).split("\n"):
        shown = [part for part in line.split("\r") if part.strip()]
        text = (shown[-1] if shown else "").rstrip()
        for place in sorted(places, key=len, reverse=True):
            text = text.replace(place, places[place])
        lines.append("".join(char for char in text if char == "\t" or char.isprintable()))
    return "\n".join(without_noise(lines)).strip("\n")


def without_noise(lines: list[str]) -> list[str]:
    """Keep the last of an installer's lines, and the last of the lines of dots of a test run."""
    kept: list[str] = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if any(noise.match(line) and noise.match(following) for noise in (INSTALLER, DOTS)):
            continue
        kept.append(line)
    return kept


def page(about: dict[str, str], runs: list[Ran]) -> str:
    """Return the page: what was run where, then each command with its output."""
    facts = "\n".join(f"| {name} | {value} |" for name, value in about.items())
    parts = [f"{HEAD}\n| | |\n|---|---|\n{facts}\n"]
    for ran in runs:
        ended = "succeeded" if ran.code == 0 else f"failed with {ran.code}"
        fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall(r"`+", ran.output)), 3)
        parts.append(
            f"## `{ran.command}`\n\nIt {ended} after {ran.seconds:.0f} s.\n\n"
            f"{fence}console\n$ {ran.command}\n{ran.output}\n{fence}\n"
        )
    return "\n".join(parts)


def run(command: str, folder: Path, environment: dict[str, str]) -> tuple[str, int, float]:
    """Run a command without a terminal; return what it printed, its exit code and its time."""
    began = time.monotonic()
    try:
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_MAX,
            check=False,
        )
        output, code = ran.stdout, ran.returncode
    except subprocess.TimeoutExpired as expired:
        output, code = (expired.stdout or b"") + b"\nIt did not end in time.", 124
    return output.decode("utf-8", "replace"), code, time.monotonic() - began


def git(*words: str, folder: Path) -> str:
    """Ask git."""
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def python_version(environment: dict[str, str]) -> str:
    """Return the version of the Python that the commands will find."""
    python = shutil.which("python3", path=environment.get("PATH")) or sys.executable
    return subprocess.run(
        [python, "-c", "import platform; print(platform.python_version())"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout.strip()


def first_run(root: Path, commands: list[str], variables: list[str]) -> tuple[str, bool]:
    """Clone, run, and return the page and whether every command succeeded."""
    with tempfile.TemporaryDirectory(prefix="first-run-") as temporary:
        place = Path(temporary).resolve()
        clone = place / "crossfade"
        git("clone", "--quiet", "--no-hardlinks", str(root), str(clone), folder=root)
        kept = ("HOME", "PATH", *variables)
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        places = {f"{clone}/": "", str(clone): ".", str(place): ".."}
        places |= {str(root): ".", f"{root}/": "", str(Path.home()): "~"}
        runs = []
        for command in commands:
            output, code, seconds = run(command, clone, environment)
            runs.append(Ran(command, plain(output, places), code, seconds))
        facts = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": f"`{git('rev-parse', '--short=12', 'HEAD', folder=clone)}`",
            "Python": python_version(environment),
            "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        }
        return page(facts, runs), all(ran.code == 0 for ran in runs)


def main() -> int:
    """Write the page; return 1 when a command failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--command", action="append", help="instead of make demo and make test")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the page goes")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository to clone")
    parser.add_argument(
        "--keep-variable", action="append", default=[], help="let commands see this variable too"
    )
    asked = parser.parse_args()
    text, succeeded = first_run(
        asked.root.resolve(), asked.command or list(COMMANDS), asked.keep_variable
    )
    asked.output.write_text(text, encoding="utf-8")
    print(f"wrote {asked.output}" + ("" if succeeded else ": a command failed"))
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
