"""A server that does other than it says is found out, by doing; and nobody sees the probe."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import boto3
import pytest
from tests.backends.s3.lying import lying

import crossfade
from crossfade.backends.s3.addresses import parse
from crossfade.backends.s3.backend import S3Backend
from crossfade.backends.s3.client import Client
from crossfade.backends.s3.probe_requests import PROBE_PREFIX, Asker
from crossfade.backends.s3.probe_speed import timed_requests
from crossfade.backends.s3.probing import Prober
from crossfade.backends.s3.servers import SERVERS
from crossfade.core.capabilities import Capabilities
from crossfade.core.objects import ATTRIBUTE_NAMES, RESERVED_PREFIX, Side
from crossfade.core.probed import Answered, KeySeen, ProbeReport, Standing, claims, more_than_seen
from crossfade.errors import AccessDeniedError, BackendError, CapabilityError
from crossfade.setup.probing import judged
from crossfade.testing.servers import ACCESS_KEY, ENVIRONMENT, SECRET_KEY
from crossfade.testing.suite import keys_of, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.testing.servers import RunningServer

pytestmark = pytest.mark.anyio

ODD = ("a//b", "x\x01y", "../z", "line\nbreak", "y" * 900)


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    opened = Client(parse(url, folder=Path(), field="it"), environment=ENVIRONMENT)
    try:
        yield opened
    finally:
        await opened.close()


async def probed(url: str, *, leftover_seconds: float = 1_000.0) -> ProbeReport:
    async with client(url) as opened:
        return await Prober(opened, "it", leftover_seconds=leftover_seconds).run()


def overclaimed(report: ProbeReport, url: str) -> set[str]:
    declared = parse(url, folder=Path(), field="it").server.capabilities
    return {claim.capability for claim in more_than_seen(claims(declared, report))}


async def test_an_honest_server_does_all_that_is_declared() -> None:
    async with lying() as server:
        report = await probed(server.url())
        assert overclaimed(report, server.url()) == set()
        assert {one.answered for one in report.observations} == {Answered.HONOURED}
        assert report.attributes_kept == ATTRIBUTE_NAMES
        assert all(one.held for one in report.keys)
        assert report.clock_ahead_seconds is not None
        assert abs(report.clock_ahead_seconds) < 5
        assert (report.finished, report.left, server.keys) == (True, 0, [])


LIES = [
    ("create_only", "create_only", Answered.IGNORED),
    ("no_conditions", "create_only", Answered.REFUSED),
    ("swap_on_write", "swap_on_write", Answered.IGNORED),
    ("swap_on_delete", "swap_on_delete", Answered.IGNORED),
    ("x-amz-checksum-sha256", "checksum_sha256", Answered.IGNORED),
    ("no_x-amz-checksum-sha256", "checksum_sha256", Answered.REFUSED),
    ("content-md5", "checksum_md5", Answered.IGNORED),
    ("whole", "range_reads", Answered.IGNORED),
    ("shifts", "range_reads", Answered.WRONG),
    ("if_match", "conditional_reads", Answered.IGNORED),
    ("stale", "read_after_write", Answered.WRONG),
    ("garbles", "read_back", Answered.WRONG),
    ("hides", "absent_key", Answered.REFUSED),
    ("no_parts", "multipart", Answered.REFUSED),
]


@pytest.mark.parametrize(("lie", "name", "answered"), LIES)
async def test_a_lie_is_found_out(lie: str, name: str, answered: Answered) -> None:
    async with lying(lie) as server:
        report = await probed(server.url())
        assert report.of(name) is answered
        assert server.keys == []


@pytest.mark.parametrize(
    ("lie", "capability"),
    [
        ("shifts", "range_reads"),
        ("stale", "read_after_write"),
        ("garbles", "read_back"),
        ("drops_expires", "attributes_kept"),
        ("drops_x-amz-meta-colour", "attributes_kept"),
        ("folds_case", "key_pattern"),
        ("joins_slashes", "key_pattern"),
    ],
)
async def test_a_lie_about_what_is_declared_is_more_than_was_seen(
    lie: str, capability: str
) -> None:
    async with lying(lie) as server:
        report = await probed(server.url())
        assert capability in overclaimed(report, server.url())


async def test_a_lie_that_the_client_makes_up_for_is_none_of_the_side() -> None:
    async with lying("whole", "if_match") as server:
        assert overclaimed(await probed(server.url()), server.url()) == set()


async def test_listings_that_lag_are_measured() -> None:
    async with lying(lag=0.5) as server:
        report = await probed(server.url())
        assert report.listing_lag_seconds is not None
        assert 0.3 < report.listing_lag_seconds < 3
        assert report.of("listing") is Answered.IGNORED
        assert overclaimed(report, server.url()) == {"listing_consistent"}
        enough = Capabilities(listing_consistent=False, listing_lag_seconds=5.0, tags_recur=True)
        assert not more_than_seen(claims(enough, report))
        little = replace(enough, listing_lag_seconds=0.1)
        assert [one.capability for one in more_than_seen(claims(little, report))] == [
            "listing_lag_seconds"
        ]
        assert report.left == 0


async def test_a_clock_that_is_wrong_is_noticed() -> None:
    async with lying(ahead=300.0) as server:
        report = await probed(server.url())
        assert report.clock_ahead_seconds == pytest.approx(300, abs=5)
        found = judged(Side.TARGET, Capabilities(tags_recur=True), report, server.url())
        assert "300 s ahead" in found.warnings[0] or "s ahead of" in found.warnings[0]


@pytest.mark.parametrize(
    ("lie", "operation"), [("no_write", "write"), ("no_delete", "delete"), ("hides_bucket", "list")]
)
async def test_what_is_not_allowed_is_named(lie: str, operation: str) -> None:
    async with lying(lie) as server:
        with pytest.raises(AccessDeniedError) as caught:
            await probed(server.url())
        assert caught.value.operation == operation
        assert "allow s3:" in str(caught.value)


async def test_real_servers_do_what_is_declared_of_them(
    moto: RunningServer, rclone: RunningServer
) -> None:
    for server in (moto, rclone):
        url = server.url(server.new_bucket(), "some%20folder/")
        report = await probed(url)
        assert overclaimed(report, url) == set()
        assert (report.finished, report.left) == (True, 0)


async def test_a_refusal_says_what_to_write(rclone: RunningServer) -> None:
    url = rclone.url(rclone.new_bucket()).removesuffix("&server=rclone")
    address = parse(url, folder=Path(), field="it")
    found = judged(Side.TARGET, address.server.capabilities, await probed(url), url)
    assert isinstance(found.refusal, CapabilityError)
    assert found.refusal.hint == "write server=rclone in its URL"
    assert "target: it declares more than it does" in found.refusal.message
    assert "keys_nest" in found.refusal.message
    assert any("If-None-Match" in note for note in found.notes)
    assert any("checksum=md5" in warning for warning in found.warnings)


def test_servers_that_fit_alike_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (replace(SERVERS["rclone"], name=name) for name in ("one", "other"))
    monkeypatch.setattr("crossfade.backends.s3.servers.SERVERS", {"one": one})
    report = ProbeReport(location="it", keys=(KeySeen(key="a//b", held=False, words="is refused"),))
    declared = SERVERS["s3"].capabilities
    found = judged(Side.TARGET, declared, report, "local:///srv/files")
    assert found.refusal is not None
    assert found.refusal.hint == "write server=one in its URL"
    monkeypatch.setattr("crossfade.backends.s3.servers.SERVERS", {"one": one, "other": other})
    found = judged(Side.TARGET, declared, report, "local:///srv/files")
    assert found.refusal is not None
    assert found.refusal.hint == "write server=one or server=other in its URL, whichever it is"
    monkeypatch.setattr("crossfade.backends.s3.servers.SERVERS", {"s3": SERVERS["s3"]})
    found = judged(Side.TARGET, declared, report, "local:///srv/files")
    assert found.refusal is not None
    assert "use another server" in found.refusal.hint


async def test_less_than_was_seen_is_a_note() -> None:
    async with lying() as server:
        url = server.url("&server=rclone")
        report = await probed(url)
        declared = parse(url, folder=Path(), field="it").server.capabilities
        found = judged(Side.SOURCE, declared, report, url)
        assert found.refusal is None
        assert {claim.standing for claim in found.claims} == {Standing.LESS}
        assert {"attributes_kept", "key_pattern", "keys_nest"} == {
            claim.capability for claim in found.claims
        }
        assert len(found.notes) == 3


async def leave_behind(url: str) -> None:
    """Put what a probe that was killed may leave."""
    async with client(url) as opened:
        asker = Asker(opened, "it", f"{PROBE_PREFIX}0123456789abcdef/")
        for key in ODD:
            await asker.send("PUT", f"keys/{key}", body=b"x")


@pytest.mark.parametrize("options", ["", "&server=moto", "&server=rclone"])
async def test_no_listing_shows_what_a_probe_puts(options: str) -> None:
    async with lying() as server:
        url = server.url(options)
        await leave_behind(url)
        backend = S3Backend(parse(url, folder=Path(), field="it"), environment=ENVIRONMENT)
        for key in (" before", "after"):
            await put(backend, key, b"x")
        assert len(server.keys) == len(ODD) + 2
        for limit in (None, 1):
            assert await keys_of(backend, limit=limit) == [" before", "after"]
        for prefix in (RESERVED_PREFIX, ".crossfade", PROBE_PREFIX):
            assert await keys_of(backend, prefix=prefix) == []
        await backend.close()


async def test_no_backfill_and_no_proof_holds_what_a_probe_puts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    async with lying() as source, lying() as target:
        for server in (source, target):
            await leave_behind(server.url())
        backend = S3Backend(parse(source.url(), folder=Path(), field="it"))
        await put(backend, "one", b"x")
        config = {
            "crossfade": {"enabled": True, "late_seconds_max": 0},
            "store": {"url": f"sqlite:///{tmp_path}/state/catalog.db"},
            "migrations": {"m": {"source": source.url(), "target": target.url()}},
        }
        async with crossfade.open(config) as xf:
            await xf.begin("m")
            report = await xf.backfill("m")
            verified = await xf.verify("m")
            assert [info.key async for info in xf.files("m").list()] == ["one"]
        await backend.close()
        assert (report.finished, report.copied, report.extras) == (True, 1, 0)
        assert (verified.compared, verified.findings) == (1, [])
        assert len(source.keys) == len(target.keys) == len(ODD) + 1


async def test_begin_does_nothing_with_a_side_that_declares_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    async with lying("joins_slashes") as server:
        (tmp_path / "source").mkdir()
        sides = {"source": f"local://{tmp_path}/source", "target": server.url()}
        store = {"url": f"sqlite:///{tmp_path}/state/catalog.db"}
        async with crossfade.open({"store": store, "migrations": {"m": sides}}) as xf:
            with pytest.raises(CapabilityError, match=r"target: .*key_pattern.*a//b"):
                await xf.begin("m")
            assert (await xf.status_of("m")).state == "new"
        asked = server.asked.total()
        sides["target"] = server.url("&server=rclone")
        async with crossfade.open({"store": store, "migrations": {"m": sides}}) as xf:
            assert await xf.begin("m")
            assert server.asked.total() > asked + 100
            asked = server.asked.total()
            assert not await xf.begin("m")
            assert server.asked.total() == asked


async def test_a_bucket_that_keeps_versions_keeps_none_of_a_probe(moto: RunningServer) -> None:
    bucket = moto.new_bucket()
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    report = await probed(moto.url(bucket))
    await timed_requests(
        parse(moto.url(bucket), folder=Path(), field="it"),
        [1, 2],
        at_once=2,
        environment=ENVIRONMENT,
    )
    found = client.list_object_versions(Bucket=bucket)
    client.close()
    assert [one["Key"] for one in found["Versions"]] == ["theirs"]
    assert "DeleteMarkers" not in found
    assert (report.finished, report.left) == (True, 0)


async def test_the_next_probe_removes_what_one_left_that_was_killed() -> None:
    async with lying() as server:
        await leave_behind(server.url())
        assert (await probed(server.url())).leftovers == 0
        assert len(server.keys) == len(ODD)  # it may still run
        report = await probed(server.url(), leftover_seconds=-5.0)  # clocks of whole seconds
        assert report.leftovers == len(ODD)
        assert server.keys == []


async def test_a_probe_that_is_cancelled_cleans_up() -> None:
    async with lying() as server, client(server.url()) as opened:
        prober = Prober(opened, "it")
        async with anyio.create_task_group() as group:
            group.start_soon(prober.run)
            while server.asked["PUT"] < 30:
                await anyio.sleep(0)
            assert server.keys
            group.cancel_scope.cancel()
        assert server.keys == []


async def test_a_probe_that_takes_too_long_says_what_it_saw() -> None:
    async with lying(lag=0.2) as server, client(server.url()) as opened:
        report = await Prober(opened, "it", seconds_max=0.1).run()
        assert (report.finished, report.left, report.keys) == (False, 0, ())
        assert report.of("multipart") is Answered.UNKNOWN
        found = judged(Side.SOURCE, Capabilities(), report, server.url())
        assert any("not everything was tried" in words for words in found.warnings)
        assert server.keys == []


async def test_a_server_that_goes_away_is_an_error_of_that_side() -> None:
    async with lying("dies") as server:
        with pytest.raises(BackendError):
            await probed(server.url())
