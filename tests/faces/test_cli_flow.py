"""Real processes: the whole way, a killed run, Ctrl-C, the worker."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import crossfade
from crossfade.faces.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faces.projects import Project


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Look again until something is so, at most 30 s, and only while the process lives."""
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
            raise AssertionError(process.communicate())


def copied(project: Project) -> int:
    return len(list(project.target.glob("file-*")))


def test_a_migration_goes_its_whole_way_on_the_command_line(project: Project) -> None:
    assert project.call("init").code == Exit.DONE
    project.make().fill(20)
    assert project.call("check", "--json").document["ok"]
    assert project.call("begin", "avatars").code == Exit.DONE
    with crossfade.sync.open(project.config) as xf:
        xf.files("avatars").put("u1/photo", b"hello", subject="u1")
    assert project.call("backfill", "avatars").code == Exit.DONE
    assert project.call("verify", "avatars", "--json").document["compared"] == 21
    assert project.call("set", "avatars", "100", "--json").document["effective"] == 100
    (one,) = project.call("status", "--json").document["migrations"]
    assert one["status"]["state"] == "verified"
    assert project.call("key", "avatars", "u1/photo", "--json").document["state"] == "closed"
    said = project.call("complete", "avatars", "--yes", "--json").document
    assert (said["state"], said["open"]) == ("complete", 0)
    assert (project.target / "u1/photo").read_bytes() == b"hello"


def test_a_run_that_is_stopped_goes_on_later(project: Project) -> None:
    # A chunk of a few keys, so that some are sealed, and a slow disk is not needed.
    project.make(more="page_keys = 20\ncopies_max = 1\n").fill(400)
    assert project.call("begin", "avatars").code == Exit.DONE
    with project.start("backfill", "avatars", "--json") as process:
        wait_until(lambda: copied(project) > 50, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (Exit.INTERRUPTED, "")
    assert '"stopped": true' in out
    before = copied(project)
    assert before < 400
    said = project.call("backfill", "avatars", "--json")
    assert said.code == Exit.DONE
    assert said.document["state"] == "verified"
    assert said.document["listed"] < 400
    assert copied(project) == 400


def test_a_run_that_was_killed_is_gone_on_with(project: Project) -> None:
    project.make(more="page_keys = 20\ncopies_max = 1\n").fill(300)
    assert project.call("begin", "avatars").code == Exit.DONE
    with project.start("backfill", "avatars") as process:
        wait_until(lambda: copied(project) > 40, process)
        process.kill()
        process.communicate(timeout=30)
    assert copied(project) < 300
    with project.start("worker") as worker:
        assert worker.stderr is not None
        assert "working on avatars" in worker.stderr.readline()
        # Until the killed run's leases lapse nobody may go on; its open keys are the worker's.
        end = time.monotonic() + 30
        said = project.call("backfill", "avatars", "--json")
        while said.code != Exit.DONE:
            assert time.monotonic() < end, said
            assert said.code in (Exit.BUSY, Exit.UNFINISHED)
            said = project.call("backfill", "avatars", "--json")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
    assert worker.returncode == Exit.DONE
    assert copied(project) == 300
    assert project.call("verify", "avatars").code == Exit.DONE


def test_a_stopped_wait_for_older_writers_ends_at_once(project: Project) -> None:
    project.make(late=3_600).fill(5)
    assert project.call("begin", "avatars").code == Exit.DONE
    with project.start("backfill", "avatars") as process:
        wait_until(lambda: copied(project) == 5, process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == Exit.TERMINATED
    assert "the next run goes on" in out


def test_a_worker_brings_open_keys_up_and_stops_cleanly(project: Project) -> None:
    project.make(workers="separate", mirror="async")
    with crossfade.sync.open(project.config) as xf:
        xf.begin("avatars")
        xf.files("avatars").put("k", b"1")
        assert xf.status_of("avatars").open_count == 1
    with project.start("worker", "--json") as process:
        wait_until((project.target / "k").exists, process)
        wait_until(
            lambda: (
                not project.call("status", "--json").document["migrations"][0]["status"][
                    "open_count"
                ]
            ),
            process,
        )
        (one,) = project.call("status", "--json").document["migrations"]
        assert one["status"]["workers_running"]
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == Exit.DONE
    assert '"migrations"' in out


def test_a_reader_that_goes_away_is_no_error(project: Project) -> None:
    project.make()
    with project.start("status", "--settings", "--json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=30)
    assert process.returncode == Exit.BROKEN_PIPE
    assert err == ""


def shell(project: Project, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which CROSSFADE is the command."""
    line = line.replace("CROSSFADE", f"{sys.executable} -m crossfade.faces.cli")
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_output_that_cannot_be_written_is_told_and_has_its_own_code(project: Project) -> None:
    project.make()
    for more in ("", "--json"):
        full = shell(project, f"CROSSFADE status {more} >/dev/full")
        assert (full.returncode, full.stderr.count("\n")) == (Exit.OUTPUT, 1), full
        closed = shell(project, f"CROSSFADE verify avatars {more} >&-")
        assert closed.returncode == Exit.OUTPUT
        assert "stdout is closed" in closed.stderr
        quiet = shell(project, f"CROSSFADE status {more} 2>&-")
        assert (quiet.returncode, "avatars" in quiet.stdout) == (Exit.DONE, True)


def test_sigterm_ends_a_command_with_a_word_and_a_code(project: Project) -> None:
    assert project.make().call("begin", "avatars").code == Exit.DONE
    catalog = project.folder / ".crossfade/catalog.db"
    with closing(sqlite3.connect(catalog)) as other:
        other.execute("BEGIN IMMEDIATE")
        for is_so in (hears_sigterm, lambda pid: has_open(pid, catalog)):
            with project.start("verify", "avatars") as process:
                wait_until(partial(is_so, process.pid), process)
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=30)
            assert process.returncode == Exit.TERMINATED
            assert err == "error: stopped by SIGTERM\n"


def has_open(pid: int, file: Path) -> bool:
    """Look whether a process has a file open."""
    links = [each.readlink() for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]
    return file in links


def hears_sigterm(pid: int) -> bool:
    """Look whether a process has a handler of its own."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (caught,) = [line.split()[1] for line in status if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def test_ctrl_c_at_a_question_is_ctrl_c(project: Project) -> None:
    project.make().fill(1)
    for command in (["begin"], ["backfill"], ["verify"]):
        assert project.call(*command, "avatars").code == Exit.DONE
    assert project.call("set", "avatars", "100").code == Exit.DONE
    master, slave = pty.openpty()
    command = [sys.executable, "-u", "-m", "crossfade.faces.cli", "complete", "avatars"]
    with subprocess.Popen(
        command, cwd=project.folder, stdin=slave, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stderr is not None
        assert b"Complete avatars?" in process.stderr.read(len(b"Complete avatars?"))
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()
    os.close(master)
    os.close(slave)
    assert process.returncode == Exit.INTERRUPTED


def test_a_wait_that_nobody_sees_is_told_once(project: Project) -> None:
    project.make(late=5).fill(2)
    assert project.call("begin", "avatars").code == Exit.DONE
    said = project.call("backfill", "avatars")
    assert said.code == Exit.DONE
    assert said.err.count("waiting") == 1
    assert "requests that were sent before `begin`" in said.err
    assert "2 objects copied (16 B), 0 on the target already" in said.out


def test_a_worker_says_how_much_it_copied(project: Project) -> None:
    project.make(workers="separate", mirror="async")
    with crossfade.sync.open(project.config) as xf:
        xf.files("avatars").put("k", b"1")
    with project.start("worker") as process:
        wait_until((project.target / "k").exists, process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == Exit.DONE
    assert "1 key copied" in out
