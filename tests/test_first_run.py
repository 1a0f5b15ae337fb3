"""``docs/make_first_run.py`` with commands in place of the demo and the tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

SCRIPT = Path(__file__).parent.parent / "docs" / "make_first_run.py"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository with one committed file, one changed, and one that nobody added."""
    place = tmp_path / "the repository"
    place.mkdir()
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "init", "--quiet", str(place)], check=True)
    (place / "told.txt").write_text("committed\n")
    subprocess.run(["git", "-C", str(place), "add", "told.txt"], check=True)
    command = ["git", "-C", str(place), *identity, "commit", "--quiet", "-m", "x"]
    subprocess.run(command, check=True)
    (place / "told.txt").write_text("changed\n")
    (place / "new.txt").write_text("not added\n")
    return place


@pytest.fixture
def write(repository: Path, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the script and returns its exit code and the page."""

    def run(*commands: str, **variables: str) -> tuple[int, str]:
        output = tmp_path / "page.md"
        words = [sys.executable, str(SCRIPT), "--root", str(repository), "--output", str(output)]
        for command in commands:
            words += ["--command", command]
        ran = subprocess.run(
            ["env", *(f"{name}={value}" for name, value in variables.items()), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert output.exists(), ran.stderr
        return ran.returncode, output.read_text(encoding="utf-8")

    return run


def test_the_committed_files_are_used_in_an_empty_environment(
    write: Callable[..., tuple[int, str]],
) -> None:
    code, page = write("cat told.txt; ls; env | cut -d= -f1 | sort", SECRET_OF_MINE="x")

    assert code == 0
    assert "committed" in page
    assert "new.txt" not in page
    assert "SECRET_OF_MINE" not in page
    assert "HOME\n" in page
    assert "PATH\n" in page


def test_a_page_says_what_ran_where_and_how_it_ended(
    write: Callable[..., tuple[int, str]],
) -> None:
    code, page = write("echo one", "echo two >&2; exit 3")

    assert code == 1
    for part in ("| date | 20", "| commit | `", "| Python | 3.", "| platform | "):
        assert part in page
    assert "## `echo one`\n\nIt succeeded after 0 s.\n\n```console\n$ echo one\none\n```" in page
    assert "It failed with 3 after" in page
    assert "\ntwo\n" in page


def test_no_path_of_this_machine_is_left(
    write: Callable[..., tuple[int, str]], repository: Path
) -> None:
    _, page = write("pwd; echo $PWD/told.txt; echo $HOME/.config; ls -d ..", "cd ..; pwd")

    assert "\n.\ntold.txt\n~/.config\n" in page
    assert "first-run-" not in page
    assert str(repository) not in page
    assert str(Path.home()) not in page


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[1;32mgreen\x1b[0m", "green"),
        ("10 %\r50 %\rdone", "done"),
        ("10 %\r50 %\r", "50 %"),
        ("windows\r\nlines\r\n", "windows\nlines"),
        ("....  [ 5%]\n........ [ 50%]\n.. [100%]\n3 passed", ".. [100%]\n3 passed"),
        ("Collecting a\n  Downloading a\nSuccessfully installed a", "Successfully installed a"),
        ("\x1b]0;title\x07x\x07y", "xy"),
        ("one\n\n\n  two", "one\n\n\n  two"),
        ("/place/clone/a.py and /place/clone", "a.py and ."),
    ],
)
def test_only_noise_and_places_are_left_out(printed: str, shown: str) -> None:
    assert script().plain(printed, {"/place/clone/": "", "/place/clone": "."}) == shown


def test_output_that_holds_a_fence_stays_within_its_own() -> None:
    ran = script().Ran("printf", "```\ninside\n```", 0, 0.0)

    assert script().page({}, [ran]).count("````") == 2


def test_long_output_is_kept_whole() -> None:
    lines = "\n".join(map(str, range(5_000)))

    assert script().plain(lines, {}) == lines


def script() -> ModuleType:
    """Import the script, which lies in no package."""
    spec = importlib.util.spec_from_file_location("make_first_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]
