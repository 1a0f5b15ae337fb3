"""`check SOURCE TARGET`: what is found of two places, and that nothing of them is changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.backends.s3.lying import lying
from tests.control.survey.surveys import codes, fill, folder, surveyed, told
from tests.rights import rights_hold

from crossfade.control.survey.report import Verdict
from crossfade.testing.servers import (
    ACCESS_KEY,
    ENVIRONMENT,
    SECRET_KEY,
    RunningServer,
    moto_server,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio
FILLED = Path(__file__).parent / "filled_moto.py"
READS = {"GET", "HEAD"}


@pytest.fixture(autouse=True)
def _let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def moto() -> Iterator[RunningServer]:
    with moto_server() as server:
        yield server


def on_filled_moto(count: int, what: str) -> Any:
    server = RunningServer("moto", [sys.executable, str(FILLED), "{port}", str(count), what])
    with running(server):
        place = f"?endpoint={server.endpoint}"
        crossfade = [sys.executable, "-m", "crossfade.faces.cli", "check", "--json"]
        urls = [f"s3://old-bucket{place}&server=moto", f"s3://new-bucket{place}&server=rclone"]
        ran = subprocess.run([*crossfade, *urls], capture_output=True, text=True, check=False)
        return ran.returncode, json.loads(ran.stdout)


def test_five_planted_troubles_of_ten_thousand_objects_are_found_with_what_to_do() -> None:
    code, report = on_filled_moto(10_000, "planted")
    assert (code, report["verdict"]) == (12, "not ready")
    assert report["source"]["objects"] == 10_005
    found = {(one["side"], one["code"]): one for one in report["troubles"]}
    assert set(found) >= {
        ("source", "keys_refused"),
        ("source", "keys_nested"),
        ("source", "archived"),
        ("target", "metadata_lost"),
        ("target", "expires"),
        ("target", "versioning"),
        ("target", "object_lock"),
    }
    assert found["source", "keys_refused"]["examples"] == ["a//b", "folder/", "\u00fc/x"]
    assert found["source", "keys_nested"]["examples"] == ["nest/inner below nest"]
    assert "after 30 days" in found["target", "expires"]["message"]
    assert "7 days (governance)" in found["target", "object_lock"]["message"]
    assert "content type" in found["target", "metadata_lost"]["message"]
    for words, place in (
        ("rename them", ("source", "keys_refused")),
        ("restore them", ("source", "archived")),
        ("choose a target that keeps it", ("target", "metadata_lost")),
        ("disable the rule", ("target", "expires")),
        ("suspend it", ("target", "versioning")),
    ):
        assert words in found[place]["hint"]
    assert report["looked"] == 200


def test_where_nothing_is_planted_none_of_it_is_found() -> None:
    code, report = on_filled_moto(300, "plain")
    assert (code, report["verdict"]) == (16, "ready with losses")
    assert {one["code"] for one in report["troubles"]} == {"metadata_lost"}


async def test_only_reads_are_sent_without_a_probe() -> None:
    async with lying() as source, lying() as target:
        fill(source, 30)
        report = await surveyed(source.url(), target.url())
        assert set(source.asked) | set(target.asked) == READS
        assert (report.verdict, report.source.objects) == (Verdict.READY, 30)


async def test_a_probe_writes_below_its_prefix_of_the_target_alone() -> None:
    async with lying() as source, lying() as target:
        fill(source, 30)
        report = await surveyed(source.url(), target.url(), probe=True)
        assert set(source.asked) == READS
        changed = [path for method, path in target.requests if method not in READS]
        assert changed
        assert all(path.startswith("/bucket/.crossfade/probe/") for path in changed)
        assert target.keys == []
        assert report.probe is not None
        assert report.probe.finished
        assert report.times.writes == 30


async def test_directories_stay_as_they_were(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", {"a/b": b"x", "c": b"y"})
    target = folder(tmp_path / "target")
    before = sorted(tmp_path.rglob("*"))
    for probe in (False, True):
        report = await surveyed(source, target, probe=probe)
        assert sorted(tmp_path.rglob("*")) == before
        assert (report.verdict, report.source.objects) == (Verdict.READY, 2)
        assert report.target.disk is not None
        assert bool(report.times.writes) is probe


async def test_a_probe_leaves_the_own_folder_of_a_side_in_use(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "source", {"a": b"x"}), folder(tmp_path / "target")
    own = tmp_path / "target/.crossfade/meta/note"
    own.parent.mkdir(parents=True)
    own.write_text("kept")
    await surveyed(source, target, probe=True)
    assert own.read_text() == "kept"


async def test_a_server_that_does_not_say_leaves_it_unknown(tmp_path: Path) -> None:
    async with lying() as source:
        fill(source, 1)
        report = await surveyed(source.url(), folder(tmp_path / "target"))
        assert {str(one.known) for one in report.source.conditions} == {"unknown"}
        assert "versioning, object lock, rules that remove objects" in told(
            report, "unknown", "source"
        )


async def test_an_absent_key_that_is_forbidden_is_a_problem(tmp_path: Path) -> None:
    async with lying("hides") as source:
        fill(source, 1)
        report = await surveyed(source.url(), folder(tmp_path / "target"))
        assert report.verdict is Verdict.NOT_READY
        assert "allow s3:ListBucket" in told(report, "absent_forbidden", "source")


@pytest.mark.parametrize(
    ("ahead", "verdict"), [(1, Verdict.READY), (120, Verdict.READY), (-700, Verdict.NOT_READY)]
)
async def test_clocks_that_differ_are_named(ahead: int, verdict: Verdict, tmp_path: Path) -> None:
    async with lying(ahead=ahead) as source:
        fill(source, 1)
        report = await surveyed(source.url(), folder(tmp_path / "target"))
        assert ("clock" in codes(report), report.verdict) == (abs(ahead) > 60, verdict)


async def test_a_listing_that_breaks_off_says_how_far_it_came(tmp_path: Path) -> None:
    async with lying("breaks") as source:
        fill(source, 1_500)
        report = await surveyed(source.url(), folder(tmp_path / "target"))
        assert "after 1,000 keys" in told(report, "listing_broken")
        assert (report.source.objects, report.source.whole) == (1_000, False)
        assert report.verdict is Verdict.NOT_READY


async def test_a_limit_and_a_time_bound_a_survey(tmp_path: Path) -> None:
    target = folder(tmp_path / "target")
    async with lying() as source:
        fill(source, 50)
        report = await surveyed(source.url(), target, keys_max=20)
        assert (report.source.objects, report.source.whole) == (20, False)
        assert "not all keys of the source" in report.stopped
    async with lying("stalls") as source:
        fill(source, 1_500)
        report = await surveyed(source.url(), target, listing_seconds_max=0.5)
        assert (report.source.objects, report.looked) == (1_000, 200)


async def test_ctrl_c_tells_what_was_seen(tmp_path: Path) -> None:
    target = folder(tmp_path / "target")
    async with lying("stalls") as source:
        fill(source, 1_500)
        from asyncio import create_subprocess_exec, sleep

        command = ("-m", "crossfade.faces.cli", "check", source.url(), target)
        process = await create_subprocess_exec(
            sys.executable, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        while not any("start-after" in path for _, path in source.requests):
            await sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert process.returncode == 130
        assert "at least 1,000 objects" in out.decode()
        assert "stopped by Ctrl-C" in out.decode()
        assert "verdict: not known" in out.decode()
        assert err == b""


async def test_what_both_sides_hold_is_counted(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", {"a": b"1", "b": b"22", "c": b"3"})
    target = folder(tmp_path / "target", {"b": b"2", "c": b"3", "d": b"4"})
    report = await surveyed(source, target)
    assert "2 keys are held by both sides, 1 of them with another size" in told(report, "overlap")
    assert "1 object of it" in told(report, "extra")


async def test_what_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", {"a": b"1", "b": b"2"})
    (tmp_path / "source/b").chmod(0)
    with rights_hold():
        report = await surveyed(source, folder(tmp_path / "target"))
    assert "1 cannot be read" in told(report, "unreadable")
    assert "b" in told(report, "unreadable").split(" | ")


async def test_an_empty_source_is_not_ready_without_a_word(tmp_path: Path) -> None:
    report = await surveyed(folder(tmp_path / "source"), folder(tmp_path / "target"))
    assert "look at its URL" in told(report, "empty")


async def test_a_disk_without_room_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder(tmp_path / "source", {"a": b"x" * 5_000, "b": b""})
    target = folder(tmp_path / "target")
    room = os.statvfs(tmp_path)
    small = (room.f_bsize, 1, 10_000, 4_000, 4_000, 100, 1, 1, room.f_flag, room.f_namemax)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(small))
    report = await surveyed(source, target)
    assert "4,000 bytes are free, and 5,000 are to come" in told(report, "disk")
    assert "1 files can be made, and 2 are to come" in told(report, "disk_files")
    assert report.verdict is Verdict.NOT_READY


async def test_rules_and_rights_of_buckets_are_read(moto: RunningServer) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    old, new = moto.new_bucket(), moto.new_bucket()
    client.put_bucket_cors(
        Bucket=old,
        CORSConfiguration={
            "CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.example"]}]
        },
    )
    client.put_bucket_versioning(Bucket=old, VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_lifecycle_configuration(
        Bucket=old,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "cold",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "in/logs/"},
                    "Transitions": [{"Days": 9, "StorageClass": "GLACIER"}],
                },
                {
                    "ID": "elsewhere",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "out/"},
                    "Expiration": {"Days": 1},
                },
                {
                    "ID": "off",
                    "Status": "Disabled",
                    "Filter": {"Prefix": ""},
                    "Expiration": {"Days": 1},
                },
            ]
        },
    )
    client.put_object(Bucket=old, Key="in/tagged", Body=b"x", Tagging="a=b")
    client.put_object(Bucket=old, Key="in/shown", Body=b"x", ACL="public-read")
    client.put_object(Bucket=old, Key="in/plain", Body=b"x")
    client.put_bucket_acl(Bucket=old, ACL="public-read")
    report = await surveyed(moto.url(old, "in/"), moto.url(new))
    client.close()
    assert "https://a.example" in told(report, "cors")
    assert "by the bucket's ACL" in told(report, "public", "source")
    assert "older ones are not carried" in told(report, "versioning")
    assert "'cold' moves objects below 'in/logs/' to GLACIER after 9 days" in told(
        report, "archives"
    )
    assert "expires" not in codes(report)
    lost = {
        one.message.split(" have ")[1]: one for one in report.troubles if one.code == "not_carried"
    }
    assert lost["tags, which is not carried"].examples == ("tagged",)
    assert lost["ACL, which is not carried"].examples == ("shown (everybody: READ)",)
