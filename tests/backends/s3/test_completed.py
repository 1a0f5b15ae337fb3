"""What plain clients of the target find once a migration is complete, and Crossfade gone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any

import boto3
import pytest

import crossfade
from crossfade.setup.sides import open_side
from crossfade.testing.servers import ACCESS_KEY, ENVIRONMENT, SECRET_KEY, RunningServer
from crossfade.testing.suite import FULL, ODD_KEYS, declared, in_order, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from crossfade.ports import Backend

pytestmark = pytest.mark.anyio

ATTRIBUTES = (
    crossfade.Attributes(),
    FULL,
    crossfade.Attributes(content_type="text/plain; charset=utf-8", metadata={"by": "Zoë 日本"}),
    crossfade.Attributes(content_type="image/png", metadata={"a-b": "1", "a.b": " 2 "}),
)
LATER = "written/while it moved"
OBJECTS_MIN = 40


@pytest.mark.parametrize(("source", "target"), [("", "moto"), ("", "swift"), ("moto", "swift")])
async def test_boto3_reads_every_object_from_the_target_as_it_was_put(
    source: str,
    target: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "files").mkdir()
    server: RunningServer = request.getfixturevalue(target)
    bucket = server.new_bucket()
    source_url = f"local://{tmp_path}/files"
    if source:
        other: RunningServer = request.getfixturevalue(source)
        source_url = other.url(other.new_bucket())
    expected = {}
    async with opened(source_url) as left, opened(server.url(bucket)) as right:
        for number, key in enumerate(declared(right, declared(left, ODD_KEYS))):
            data = f"{number} {key}".encode() * number * 40
            expected[key] = (data, ATTRIBUTES[number % len(ATTRIBUTES)])
            await put(left, key, *expected[key])
    assert len(expected) >= OBJECTS_MIN
    await move(source_url, server.url(bucket), tmp_path)
    expected[LATER] = (b"later", ATTRIBUTES[2])
    require_read(server.endpoint, bucket, expected)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Backend]:
    side = open_side(url)
    try:
        await side.prepare(create=True)
        yield side
    finally:
        await side.close()


async def move(source: str, target: str, folder: Path) -> None:
    config = {
        "crossfade": {"enabled": True, "late_seconds_max": 0},
        "store": {"url": f"sqlite:///{folder}/state/catalog.db"},
        "migrations": {"m": {"enabled": True, "source": source, "target": target}},
    }
    async with crossfade.open(config) as xf:
        await xf.begin("m")
        later = ATTRIBUTES[2]
        await xf.files("m").put(
            LATER, b"later", content_type=later.content_type, metadata=later.metadata
        )
        assert (await xf.backfill("m")).finished
        await xf.set_percentage("m", 100)
        assert (await xf.verify("m")).findings == []
        await xf.complete("m")


def require_read(
    endpoint: str, bucket: str, expected: dict[str, tuple[bytes, crossfade.Attributes]]
) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=ENVIRONMENT["AWS_REGION"],
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    try:
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        assert [each["Key"] for each in listed] == in_order(expected)
        for key, (data, attributes) in expected.items():
            require_same_object(client.get_object(Bucket=bucket, Key=key), data, attributes)
    finally:
        client.close()


def require_same_object(found: Any, data: bytes, attributes: crossfade.Attributes) -> None:
    assert found["Body"].read() == data
    kind = found["ContentType"]
    assert kind == (attributes.content_type or "binary/octet-stream")
    assert found["Metadata"].keys() == attributes.metadata.keys()
    for name, value in attributes.metadata.items():
        assert plain(found["Metadata"][name]) == value
    for name, header in (
        ("cache_control", "CacheControl"),
        ("content_disposition", "ContentDisposition"),
        ("content_encoding", "ContentEncoding"),
        ("content_language", "ContentLanguage"),
        ("expires", "ExpiresString"),
    ):
        assert found.get(header) == getattr(attributes, name)


def plain(value: str) -> str:
    """Return a value of the metadata as AWS's own console shows it."""
    return str(make_header(decode_header(value)))
