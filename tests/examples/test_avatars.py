"""The service of ``examples/avatars``, run as it stands: before, after, and all the way between."""

from __future__ import annotations

import difflib
import io
import runpy
import wsgiref.simple_server
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults

import pytest

import crossfade

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    Talk = Callable[[WSGIApplication], None]
    WriteBody = Callable[[bytes], object]

FOLDER = Path(__file__).parents[2] / "examples" / "avatars"
CHANGED_LINES_MAX = 19


def run(script: str, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script; in place of its server somebody talks with the service."""

    class Server:
        def __init__(self, host: str, port: int, app: WSGIApplication) -> None:
            assert (host, port) == ("127.0.0.1", 8000)
            self.app = app

        def serve_forever(self) -> None:
            talk(self.app)

    with monkeypatch.context() as patched:
        patched.setattr(wsgiref.simple_server, "make_server", Server)
        runpy.run_path(str(FOLDER / script), run_name="__main__")


def ask(app: WSGIApplication, verb: str, path: str, body: bytes = b"") -> tuple[str, bytes]:
    """Send one request."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": verb,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    setup_testing_defaults(environ)
    told: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None, /) -> WriteBody:
        told.append(status)
        return lambda _: None

    answered = b"".join(app(environ, start_response))
    return told[0], answered


def one_day(app: WSGIApplication) -> None:
    assert ask(app, "GET", "/ann/old.png") == ("200 OK", b"old")
    assert ask(app, "GET", "/ann/new.png")[0] == "404 Not Found"
    assert ask(app, "PUT", "/ann/new.png", b"new")[0] == "204 No Content"
    assert ask(app, "PUT", "/ann/old.png", b"newer")[0] == "204 No Content"
    assert ask(app, "PUT", "/bob/x.png", b"x" * 100_000)[0] == "204 No Content"
    assert ask(app, "GET", "/ann/old.png") == ("200 OK", b"newer")
    assert ask(app, "GET", "/ann/") == ("200 OK", b"new.png\nold.png")
    assert ask(app, "DELETE", "/ann/new.png")[0] == "204 No Content"
    assert ask(app, "DELETE", "/ann/new.png")[0] == "204 No Content"
    assert ask(app, "GET", "/ann/") == ("200 OK", b"old.png")
    assert ask(app, "GET", "/nobody/") == ("200 OK", b"")
    assert ask(app, "GET", "/bob/x.png") == ("200 OK", b"x" * 100_000)
    assert ask(app, "PUT", "/../x")[0] == "400 Bad Request"
    assert ask(app, "POST", "/ann/x.png")[0] == "405 Method Not Allowed"


@pytest.fixture(autouse=True)
def _a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("files/ann", "new"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "files/ann/old.png").write_bytes(b"old")
    example = (FOLDER / "crossfade.example.toml").read_text(encoding="utf-8")
    quick = "enabled = true\nlate_seconds_max = 0"
    (tmp_path / "crossfade.toml").write_text(example.replace("enabled = true", quick, 1))


@pytest.mark.parametrize("script", ["before.py", "after.py"])
def test_the_service_does_the_same_before_and_after(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days: list[str] = []

    def talk(app: WSGIApplication) -> None:
        one_day(app)
        days.append(script)

    run(script, talk, monkeypatch)

    assert days == [script]


def test_the_pictures_move_while_the_service_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(app: WSGIApplication) -> None:
        with crossfade.sync.open("crossfade.toml") as xf:
            one_day(app)
            xf.begin("avatars")
            assert xf.backfill("avatars").finished
            for percentage in (1, 10, 50, 100):
                xf.set_percentage("avatars", percentage)
                assert ask(app, "PUT", f"/u{percentage}/a", b"1")[0] == "204 No Content"
                assert ask(app, "GET", "/ann/old.png") == ("200 OK", b"newer")
            assert xf.verify("avatars").proof
            xf.complete("avatars")
            assert ask(app, "GET", "/ann/") == ("200 OK", b"old.png")

    run("after.py", talk, monkeypatch)

    moved = {
        path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*")
    }
    assert {"ann/old.png", "bob/x.png", "u1/a", "u100/a"} <= moved
    assert (tmp_path / "new/ann/old.png").read_bytes() == b"newer"


def test_few_lines_change() -> None:
    before, after = (
        (FOLDER / name).read_text(encoding="utf-8").splitlines()
        for name in ("before.py", "after.py")
    )
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]

    assert 0 < len(changed) <= CHANGED_LINES_MAX
    assert f"{len(changed)} lines differ" in (FOLDER / "README.md").read_text(encoding="utf-8")
