from __future__ import annotations

import os
import stat
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import crossfade
from crossfade.backends.local import LocalBackend
from crossfade.core.objects import Attributes, Pair, Side
from crossfade.core.records import Decision, Look, Mark, MarkKind, Record
from crossfade.errors import AccessDeniedError, SlowDownError
from crossfade.faces.cli import run
from crossfade.faces.cli.app import COMMANDS
from crossfade.faces.cli.exits import Exit
from crossfade.files.bodies import BytesBody
from crossfade.setup.opened import open as open_crossfade

if TYPE_CHECKING:
    from tests.faces.projects import Project

NAMES = [name for _, name, _ in COMMANDS]


def put(project: Project, key: str, data: bytes) -> None:
    with crossfade.sync.open(project.config) as xf:
        xf.files("avatars").put(key, data)


def seal(project: Project) -> None:
    assert project.run("begin", "avatars").code == Exit.DONE
    assert project.run("backfill", "avatars").code == Exit.DONE


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == Exit.DONE
    said = capsys.readouterr().out
    assert f"crossfade {name}" in said
    assert "--json" in said
    assert "--config" in said
    if name != "init":
        assert "Example:" in said


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []], ids=" ".join)
def test_help_and_version_end_well(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.DONE
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["statsu"], ["set", "avatars"], ["status", "--nope"], ["repair", "avatars"]]
)
def test_what_does_not_exist_is_a_usage_error_in_both_forms(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert run([*arguments, "--json"]) == Exit.USAGE
    said = capsys.readouterr()
    assert '"code": "usage"' in said.out
    assert said.err == ""


def test_a_usage_error_points_to_its_own_commands_help(project: Project) -> None:
    assert "`crossfade verify --help`" in project.json("verify", "a", "b").error["hint"]
    assert "`crossfade --help`" in project.json("verfiy").error["hint"]


def test_a_configuration_that_is_a_pipe_is_refused_and_not_waited_for(project: Project) -> None:
    os.mkfifo(project.config)
    said = project.json("status")
    assert said.code == Exit.CONFIGURATION
    assert "no regular file" in said.error["message"]


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in {"init", "demo", "simulate"}]
)
def test_a_missing_configuration_is_named_by_every_command(name: str, project: Project) -> None:
    more = {
        "set": ["avatars", "1"],
        "route": ["avatars", "--key", "k"],
        "key": ["avatars", "k"],
        "rollback": ["--emergency"],
        "repair": ["avatars", "--from", "source"],
    }
    given = more.get(name, [] if name in {"check", "status", "worker"} else ["avatars"])
    said = project.json(name, *given)
    assert said.code == Exit.CONFIGURATION
    assert said.error["code"] == "configuration"
    assert str(project.config) in said.error["message"]
    assert "crossfade init" in said.error["hint"]


def test_init_writes_once_and_over_it_only_with_force(project: Project) -> None:
    assert project.run("init", str(project.folder)).code == Exit.DONE
    assert project.config.exists()
    said = project.json("init", str(project.folder))
    assert said.code == Exit.CONFIGURATION
    assert "--force" in said.error["hint"]
    said = project.json("init", str(project.folder), "--force")
    assert str(project.config) in said.document["written"]


def test_check_names_a_side_that_is_missing_and_makes_no_migration_of_it(
    project: Project,
) -> None:
    project.make().target.rmdir()
    said = project.json("check")
    assert said.code == Exit.PROBLEMS
    assert not said.document["ok"]
    (problem,) = said.document["findings"]
    assert problem["code"] == "backend.unavailable"
    assert problem["message"].startswith("target")
    assert project.run("check").out.count("problem:") == 1
    said = project.json("status")
    assert said.code == Exit.SIDE
    assert "until 'avatars' has begun both its sides have to be usable" in said.error["message"]
    project.config.write_text(project.config.read_text().replace("./target", "./other"))
    (project.folder / "other").mkdir()
    assert project.json("check").document["ok"]


def test_check_and_a_plan_count_what_the_source_will_write_over(project: Project) -> None:
    project.make().fill(3)
    (project.target / "file-0000").write_bytes(b"00000000")
    (project.target / "file-0001").write_bytes(b"other")
    messages = [one["message"] for one in project.json("check").document["findings"]]
    words = "2 keys are held by both sides, 1 of them with another size: the source wins"
    assert any(words in message for message in messages)
    plan = project.json("backfill", "avatars", "--dry-run").document
    assert (plan["common"], plan["unlike"]) == (2, 1)
    assert words in project.run("backfill", "avatars", "--dry-run").out


def test_check_warns_of_a_switch_that_is_off_before_anything_is_set(project: Project) -> None:
    project.make(enabled="false")
    (finding,) = project.json("check").document["findings"]
    assert "the master switch, is off" in finding["message"]
    project.config.write_text("")
    assert project.run("check").code == Exit.PROBLEMS


def test_check_finds_an_object_of_the_source_that_cannot_be_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        message = "Permission denied"
        raise AccessDeniedError(message, operation="read")

    project.make().fill(2)
    monkeypatch.setattr("crossfade.backends.local.LocalBackend.read", refuse)
    said = project.json("check")
    assert said.code == Exit.PROBLEMS
    (finding,) = said.document["findings"]
    assert "of the first 2 objects of the source 2 cannot be read" in finding["message"]


def test_a_run_that_left_a_key_open_says_so_and_so_do_the_commands_after_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalBackend.read

    async def refuse(self: LocalBackend, key: str, **how: Any) -> Any:
        if key == "file-0001":
            message = "Permission denied"
            raise AccessDeniedError(message, operation="read")
        return await read(self, key, **how)

    project.make(workers="separate").fill(3)
    assert project.run("begin", "avatars").code == Exit.DONE
    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, "read", refuse)
        for _ in range(2):
            said = project.run("backfill", "avatars")
            assert said.code == Exit.UNFINISHED
            assert "! file-0001 was not copied: source read" in said.out
            assert "1 key stays open" in said.out
            assert "Next: `crossfade verify" not in said.out
    said = project.run("verify", "avatars")
    assert said.code == Exit.UNFINISHED
    assert "1 key is open" in said.out
    assert "nobody runs workers: start the service or `crossfade worker`" in said.out
    assert "a fresh proof" not in said.out
    assert "! avatars: the last copy of 1 open key failed" in project.run("status").out
    assert project.run("set", "avatars", "100").code == Exit.DONE
    refused = project.json("complete", "avatars", "--yes").error
    assert refused["keys"] == ["file-0001"]
    assert "`crossfade worker`" in refused["hint"]
    assert "every range is sealed, no key was left open" in project.run("backfill", "avatars").out
    assert "`crossfade complete avatars` may follow" in project.run("verify", "avatars").out


def test_a_pass_over_what_is_not_sealed_is_no_proof_and_names_the_next_step(
    project: Project,
) -> None:
    assert project.make().run("begin", "avatars").code == Exit.DONE
    said = project.run("verify", "avatars")
    assert said.code == Exit.UNFINISHED
    assert "no proof. Next: `crossfade backfill avatars`" in said.out


def test_complete_is_refused_while_it_is_halted_or_below_all(project: Project) -> None:
    project.make().fill(1)
    seal(project)
    said = project.run("verify", "avatars")
    assert "Next: `crossfade set avatars 1`, then 10, 50, 100" in said.out
    assert project.run("set", "avatars", "10").code == Exit.DONE
    below = project.json("complete", "avatars", "--yes")
    assert (below.code, "10 % are in force" in below.error["message"]) == (Exit.REFUSED, True)
    assert project.run("rollback", "--emergency").code == Exit.DONE
    halted = project.json("complete", "avatars", "--yes")
    assert (halted.code, "halted" in halted.error["message"]) == (Exit.REFUSED, True)
    assert project.run("set", "avatars", "100").code == Exit.DONE
    assert project.run("complete", "avatars", "--yes").code == Exit.DONE
    late = project.json("rollback", "--emergency")
    assert (late.code, late.document["status"]) == (Exit.REFUSED, "complete")
    assert "nothing leads back" in late.document["warnings"][0]


def test_complete_names_what_a_plain_client_would_miss(project: Project) -> None:
    project.make().fill(1)
    seal(project)
    with crossfade.sync.open(project.config) as xf:
        xf.files("avatars").put("..", b"1", content_type="a/b")
    assert project.run("verify", "avatars").code == Exit.DONE
    assert project.run("set", "avatars", "100").code == Exit.DONE
    said = project.json("complete", "avatars", "--yes")
    names, meta = said.document["warnings"]
    assert "'%~-..'" in names
    assert str(project.target / ".crossfade/meta") in meta


def test_complete_does_not_take_notes_for_metadata(project: Project) -> None:
    project.make(mirror="sync").fill(1)
    seal(project)
    for key in ("a", "a/b"):
        put(project, key, b"1")
    assert list((project.target / ".crossfade/meta").rglob("*.note"))
    assert project.run("verify", "avatars").code == Exit.DONE
    assert project.run("set", "avatars", "100").code == Exit.DONE
    (names,) = project.json("complete", "avatars", "--yes").document["warnings"]
    assert "'%~=a'" in names


def test_verify_names_only_steps_above_the_percentage_of_now(project: Project) -> None:
    project.make().fill(1)
    seal(project)
    for percentage, words in (
        ("0", "Next: `crossfade set avatars 1`, then 10, 50, 100; at 100 %"),
        ("50", "Next: `crossfade set avatars 100`; at 100 %"),
        ("100", "`crossfade complete avatars` may follow"),
    ):
        project.run("set", "avatars", percentage)
        assert words in project.run("verify", "avatars").out
    project.config.write_text(
        project.config.read_text().replace("enabled = true", "enabled = false")
    )
    assert "Next: turn both switches on" in project.run("verify", "avatars").out


def test_check_warns_of_a_target_that_is_not_empty(project: Project) -> None:
    project.make()
    (project.target / "stranger").write_bytes(b"1")
    (finding,) = project.json("check").document["findings"]
    assert "target is not empty" in finding["message"]


def test_check_names_all_that_is_no_object_at_once(project: Project) -> None:
    project.make().fill(2)
    for number in range(6):
        (project.source / f"link-{number}").symlink_to("file-0000")
    os.mkfifo(project.source / "pipe")
    os.mknod(project.source / "socket", 0o666 | stat.S_IFSOCK)
    (project.source / "%~=strange").write_bytes(b"1")
    folder = project.source / "folder"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"1")
    (finding,) = project.json("check").document["findings"]
    assert finding["level"] == "problem"
    message = finding["message"]
    assert "10 things in it are no objects, and listings stop at them" in message
    assert "and 5 more" in message
    assert message.count(str(project.source)) == 5
    for path in (*project.source.glob("link-[1-5]"), folder / os.fsdecode(b"\xff")):
        path.unlink()
    for name in ("pipe", "socket", "%~=strange"):
        (project.source / name).unlink()
    (finding,) = project.json("check").document["findings"]
    assert "link-0' is a symbolic link: only files" in finding["message"]


def test_check_and_begin_warn_of_files_that_the_target_would_lay_open(project: Project) -> None:
    project.make().fill(3)
    for name, mode in (("file-0000", 0o600), ("file-0001", 0o640)):
        (project.source / name).chmod(mode)
    umask = os.umask(0o022)
    try:
        said = [project.json("check").document["findings"]]
        said.append(
            [{"message": one} for one in project.json("begin", "avatars").document["warnings"]]
        )
        for ((one),) in said:
            assert "2 files of the source are more private" in one["message"]
            assert "mode 0644" in one["message"]
        os.umask(0o077)
        assert not any(
            "private" in one["message"] for one in project.json("check").document["findings"]
        )
    finally:
        os.umask(umask)


def test_check_warns_of_what_is_set_and_not_in_force(project: Project) -> None:
    project.make(enabled="false")
    said = project.json("set", "avatars", "10")
    assert said.code == Exit.NOT_IN_FORCE
    assert (said.document["percentage"], said.document["effective"]) == (10, 0)
    words = project.run("set", "avatars", "10").out
    assert "10 % set, 0 % in force\n" in words
    assert "goes by the switches that it started with" in words
    messages = [one["message"] for one in project.json("check").document["findings"]]
    assert any("the master switch is off" in message for message in messages)
    assert any("1 range is not sealed" in message for message in messages)
    assert any("before `crossfade begin`" in message for message in messages)


def test_set_prints_what_is_in_force(project: Project) -> None:
    project.make()
    said = project.json("set", "avatars", "12.5")
    assert said.code == Exit.DONE
    assert said.document["effective"] == 12.5
    said = project.run("set", "avatars", "12.5")
    assert "12.5 % in force where it is sealed, 0 of 1 ranges" in said.out
    assert project.json("set", "avatars", "0").code == Exit.DONE
    said = project.json("set", "avatars", "101")
    assert said.code == Exit.CONFIGURATION
    assert "0 to 100" in said.error["hint"]
    said = project.json("set", "avatar", "1")
    assert said.code == Exit.CONFIGURATION
    assert "did you mean 'avatars'" in said.error["hint"]


def test_status_shows_what_was_set_over_what_is_configured(project: Project) -> None:
    project.make(more="percentage = 5\n")
    assert project.run("set", "avatars", "20").code == Exit.DONE
    (one,) = project.json("status").document["migrations"]
    assert one["overridden"]
    assert (one["configured_percentage"], one["status"]["percentage"]) == (5, 20)
    said = project.run("status", "--settings")
    assert "the configuration says 5 %, and 20 % were set at run time" in said.out
    assert "migrations.avatars.lease_seconds" in said.out


def test_route_says_which_side_and_why(project: Project) -> None:
    project.make()
    assert project.json("route", "avatars").code == Exit.USAGE
    project.run("set", "avatars", "100")
    said = project.json("route", "avatars", "--subject", "u", "--key", "k").document
    assert (said["routed"], said["asked"]) == ("target", "source")
    assert "not sealed" in said["because"]
    assert "all the same" in project.run("route", "avatars", "--key", "k").out
    seal(project)
    said = project.json("route", "avatars", "--key", "k").document
    assert (said["routed"], said["asked"], said["because"]) == ("target", "target", "")


def test_a_dry_run_counts_and_copies_nothing(project: Project) -> None:
    project.make().fill(3, 16)
    said = project.json("backfill", "avatars", "--dry-run").document
    assert (said["listed"], said["listed_bytes"]) == (3, 48)
    assert "3 objects, 48 B" in project.run("backfill", "avatars", "--dry-run").out
    assert not list(project.target.glob("file*"))


def test_a_new_catalog_beside_a_target_that_holds_something_is_warned_of(
    project: Project,
) -> None:
    project.make().fill(2)
    assert project.json("begin", "avatars").document["warnings"] == []
    project.run("backfill", "avatars")
    for file in (project.folder / ".crossfade").glob("catalog.db*"):
        if file.is_file():
            file.unlink()
    for command in (("check",), ("begin", "avatars")):
        said = project.run(*command)
        words = " ".join((said.out + said.err).split())
        assert "2 keys are held by both sides" in words
        assert "its catalog is missing: put that back" in words
    assert project.json("begin", "avatars").document["warnings"] == []


def test_what_came_through_crossfade_is_not_taken_for_an_earlier_life(project: Project) -> None:
    project.make(mirror="sync").fill(1)
    put(project, "early", b"1")
    assert (project.target / "early").exists()
    (note,) = project.json("check").document["findings"]
    assert "before `crossfade begin`" in note["message"]
    assert project.json("begin", "avatars").document["warnings"] == []


def test_a_catalog_that_was_opened_anew_still_warns_of_an_earlier_life(project: Project) -> None:
    project.make().fill(1)
    (project.target / "file-0000").write_bytes(b"00000000")
    before = time.time() - 60
    os.utime(project.target / "file-0000", (before, before))
    put(project, "early", b"1")
    for command in (("check",), ("begin", "avatars")):
        words = " ".join(project.run(*command).out.split())
        assert "1 key is held by both sides" in words
        assert "its catalog is missing" in words


def test_a_backfill_before_begin_says_that_nothing_is_sealed(project: Project) -> None:
    project.make().fill(1)
    said = project.json("backfill", "avatars")
    assert said.code == Exit.UNFINISHED
    assert "has not said begin" in said.document["unsealed_reason"]
    assert said.document["copied"] == 1


def test_what_the_target_alone_holds_is_found_and_repaired_from_the_source(
    project: Project,
) -> None:
    project.make().fill(2)
    (project.target / "stranger").write_bytes(b"1")
    project.run("begin", "avatars")
    said = project.json("backfill", "avatars")
    assert said.code == Exit.UNFINISHED
    assert "stranger" in said.document["unsealed_reason"]
    said = project.json("verify", "avatars")
    assert said.code == Exit.DIFFERENCES
    assert [(one["key"], one["kind"]) for one in said.document["findings"]] == [
        ("stranger", "extra")
    ]
    assert "stranger" in project.run("verify", "avatars").out
    planned = project.json("repair", "avatars", "--from", "source", "--dry-run")
    assert planned.document["waiting"] == ["stranger"]
    assert (project.target / "stranger").exists()
    decide = "decide with `crossfade repair avatars --from source` or `--from target`, then"
    for command in ("backfill", "verify"):
        words = project.run(command, "avatars").out
        assert f"1 key is held by the target alone: {decide}" in words
    unasked = project.json("repair", "avatars", "--from", "source")
    assert unasked.code == Exit.USAGE
    assert "--yes" in unasked.error["hint"]
    other = project.json("repair", "avatars", "--from", "source", "--key", "file-0001", "--yes")
    assert other.document["findings"] == []
    said = project.json("repair", "avatars", "--from", "source", "--yes")
    assert said.code == Exit.DONE
    assert said.document["repaired"] == ["stranger"]
    assert not (project.target / "stranger").exists()
    assert project.json("backfill", "avatars").document["finished"]


def test_a_difference_that_nobody_wrote_is_found_and_shown(project: Project) -> None:
    project.make().fill(3)
    seal(project)
    (project.target / "file-0001").write_bytes(b"otherwise")
    assert project.json("verify", "avatars").code == Exit.DIFFERENCES
    shown = project.json("key", "avatars", "file-0001")
    said = shown.document
    assert (shown.code, said["state"], said["marked"]) == (Exit.DIFFERENCES, "open", "drift")
    assert any("marked drift" in sentence for sentence in said["words"])
    words = project.run("key", "avatars", "file-0001").out
    assert "the last verification has no proof of it" in words
    assert "no verification" not in words
    assert "1 key is damaged or drifted" in project.run("status").out
    done = project.run("repair", "avatars", "--from", "target", "--yes")
    assert "repaired file-0001: the target's object is on both sides now" in done.out
    assert (project.source / "file-0001").read_bytes() == b"otherwise"


def test_a_key_tells_how_its_sides_differ(project: Project) -> None:
    project.make().fill(1)
    seal(project)
    (project.target / "file-0000").write_bytes(b"x" * 100)
    shown = project.json("key", "avatars", "file-0000")
    assert (shown.code, shown.document["differs"]) == (Exit.DIFFERENCES, True)
    assert "the source holds 8 bytes, the target 100" in shown.document["words"][0]
    assert "hold the same" not in project.run("key", "avatars", "file-0000").out


def test_a_key_whose_headers_differ_differs(project: Project) -> None:
    project.make(mirror="sync")
    seal(project)
    put(project, "k", b"1")
    assert project.run("key", "avatars", "k").code == Exit.DONE

    async def type_it() -> None:
        side = LocalBackend(project.target)
        await side.write("k", BytesBody(b"1"), Attributes(content_type="image/png"))
        await side.close()

    anyio.run(type_it)
    shown = project.json("key", "avatars", "k")
    assert shown.code == Exit.DIFFERENCES
    assert "their headers or metadata differ" in shown.document["words"][0]


def test_a_key_tells_both_sides_and_when_it_was_proved(project: Project) -> None:
    project.make().fill(1)
    seal(project)
    assert project.run("verify", "avatars").code == Exit.DONE
    said = project.json("key", "avatars", "file-0000")
    assert said.document["proved"]["unchanged"]
    assert [one["present"] for one in said.document["sides"]] == [True, True]
    assert "found the same on both sides" in project.run("key", "avatars", "file-0000").out
    (project.target / "file-0000").unlink()
    said = project.json("key", "avatars", "file-0000")
    assert said.code == Exit.DIFFERENCES
    assert not said.document["proved"]["unchanged"]
    for arguments in (
        ["key", "avatars", ""],
        ["route", "avatars", "--key", ""],
        ["repair", "avatars", "--from", "source", "--key", ""],
    ):
        empty = project.json(*arguments)
        assert (empty.code, empty.error["code"]) == (Exit.CONFIGURATION, "configuration")
        assert "an empty key" in empty.error["message"]
    absent = project.json("key", "avatars", "no such key").document
    assert absent["words"] == ["closed: neither side holds it"]


async def mark_open(project: Project, key: str, *, marked: bool = True) -> None:
    def decide(look: Look) -> Decision[None]:
        tags: Pair[str | None] = Pair("a", None)
        found = Mark(kind=MarkKind.DAMAGED, tags=tags, since=look.now)
        mark = found if marked else None
        record = Record(authority=Side.TARGET, since=look.now - 90, mark=mark)
        return Decision(record, None)

    async with open_crossfade(project.config, workers=crossfade.Workers.SEPARATE) as xf:
        await xf.store.catalog.change("avatars", key, decide)


def test_an_old_open_key_without_workers_is_warned_of(project: Project) -> None:
    project.make(workers="separate")
    anyio.run(mark_open, project, "k")
    said = project.run("status")
    assert "nobody runs workers, and a key is open for 90 s" in said.out
    assert "1 key is damaged or drifted" in said.out
    assert "copied back" not in said.out
    said = project.run("rollback", "--emergency")
    assert "copied back" not in said.out
    assert "1 key is damaged or drifted, and answered for by the target until" in said.out
    anyio.run(partial(mark_open, project, "other", marked=False))
    assert "1 key is being copied back" in project.run("status").out
    assert (
        "1 key being copied back to the source; 1 key is damaged"
        in project.run("rollback", "--emergency").out
    )
    said = project.json("rollback", "--emergency")
    (one,) = said.document["migrations"]
    assert (said.document["status"], said.document["level"]) == ("rolled_back", "emergency")
    assert (one["open_at_target"], one["marked_at_target"]) == (2, 1)
    assert "start `crossfade worker`" in said.document["warnings"][0]


def test_a_rollback_needs_neither_sides_nor_workers_and_can_be_repeated(
    project: Project,
) -> None:
    project.make()
    seal(project)
    project.run("set", "avatars", "100")
    for path in (project.source, project.target):
        path.rename(path.with_suffix(".away"))
    for _ in range(2):
        said = project.run("rollback", "--emergency")
        assert said.code == Exit.DONE
        assert "the source holds everything" in said.out
    (one,) = project.json("status").document["migrations"]
    assert (one["status"]["percentage"], one["status"]["halted"]) == (0, True)
    assert project.json("rollback").code == Exit.USAGE


def test_complete_asks_and_takes_no_for_an_answer(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Somebody:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.answer

    project.make().fill(1)
    early = project.json("complete", "avatars", "--yes")
    assert early.code == Exit.REFUSED
    assert "legal are: begin" in early.error["hint"]
    seal(project)
    assert project.run("set", "avatars", "100").code == Exit.DONE
    unproved = project.json("complete", "avatars", "--yes")
    assert unproved.code == Exit.REFUSED
    assert "no verification pass" in unproved.error["message"]
    assert project.run("verify", "avatars").code == Exit.DONE
    monkeypatch.setattr(sys, "stdin", Somebody("n\n"))
    said = project.run("complete", "avatars")
    assert said.code == Exit.DECLINED
    assert "nothing was done" in said.err
    monkeypatch.setattr(sys, "stdin", Somebody("y\n"))
    said = project.run("complete", "avatars")
    assert said.code == Exit.DONE
    assert (
        f"replace `xf.files('avatars')` by a plain client of local://{project.target}" in said.out
    )
    again = project.json("complete", "avatars", "--yes")
    assert again.error["code"] == "migration.already_complete"


def test_a_store_that_is_no_store_has_its_own_exit_code(project: Project) -> None:
    project.make()
    (project.folder / ".crossfade").mkdir()
    (project.folder / ".crossfade/catalog.db").write_bytes(b"no database, certainly" * 100)
    said = project.json("status")
    assert said.code == Exit.STORE
    assert said.error["code"].startswith("store.")


def test_keys_that_a_terminal_would_not_show_are_quoted(project: Project) -> None:
    project.make()
    seal(project)
    put(project, "a\nb [bold]", b"1")
    said = project.run("key", "avatars", "a\nb [bold]")
    assert "'a\\nb [bold]'" in said.out


def test_output_that_nobody_reads_ends_the_command_quietly(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        encoding = "utf-8"

        def isatty(self) -> bool:
            return False

        def write(self, _: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

        def fileno(self) -> int:
            return devnull.fileno()

    project.make()
    with (project.folder / "nobody").open("w") as devnull:
        closed: Any = Closed()
        monkeypatch.setattr(sys, "stdout", closed)
        config = ["--config", str(project.config)]
        for arguments in (["status", *config], ["status", "--json", *config], ["--help"]):
            assert run(arguments) == Exit.BROKEN_PIPE


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (KeyboardInterrupt(), Exit.INTERRUPTED, "interrupted"),
        (ZeroDivisionError("by zero"), Exit.BUG, "bug"),
        (ExceptionGroup("", [SlowDownError("later")]), Exit.SIDE, "backend.slow_down"),
    ],
)
def test_whatever_a_command_raises_is_one_document_and_a_code(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    code: Exit,
    told: str,
) -> None:
    async def fail(_: object) -> None:
        raise raised

    monkeypatch.setattr("crossfade.control.checkup.check", fail)
    said = project.make().json("check")
    assert (said.code, said.error["code"]) == (code, told)
    assert ("Traceback" in said.err) == (code is Exit.BUG)


def test_the_readmes_commands_are_one_story(project: Project) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.split("## On the command line")[1].split("\n## ")[0]
    way, beside = [block.split("```")[0] for block in section.split("```sh\n")[1:]]
    project.make().fill(2)
    for line in way.splitlines():
        command, *arguments = line.partition("#")[0].split() or [""]
        if not command or arguments == ["init"]:
            continue
        assert command == "crossfade"
        said = project.run(*arguments, *(["--yes"] if arguments[0] == "complete" else []))
        assert said.code == Exit.DONE, (line, said)
        if arguments[0] == "set":
            assert project.run("set", "avatars", "100").code == Exit.DONE
    assert project.json("status").document["migrations"][0]["status"]["state"] == "complete"
    assert {"status", "worker", "repair", "rollback"} <= set(beside.split())
