"""The one suite of every side, passed against real servers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from crossfade.backends.s3.addresses import parse
from crossfade.backends.s3.backend import S3Backend
from crossfade.backends.s3.uploads import PART_BYTES
from crossfade.core.objects import Attributes
from crossfade.errors import BackendError, InvalidMetadataError
from crossfade.testing.conformance import BACKEND_CHECKS
from crossfade.testing.servers import ACCESS_KEY, ENVIRONMENT, SECRET_KEY
from crossfade.testing.suite import FULL, LARGE, body_of, get, keys_of, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crossfade.testing.servers import RunningServer

pytestmark = pytest.mark.anyio

STAGING = (
    "shows_nothing_before_it_is_completed",
    "drops_what_was_staged",
    "completes_as_a_write_of_now",
    "stages_only_what_was_announced",
)
OF_PREFIX_AND_PARTS = (
    "lists_in_byte_order_by_pages",
    "lists_what_stat_says",
    "deletes_what_is_not_there",
    "returns_the_bytes_it_took",
    "keeps_attributes_as_declared",
    "reads_ranges",
    "refuses_bodies_that_differ",
    "drops_a_write_whose_body_breaks",
    "lets_go_of_streams",
    *STAGING,
)


NO_LIMITS: dict[str, Any] = {
    "metadata_name_pattern": None,
    "metadata_bytes_max": None,
    "metadata_value_bytes_max": None,
    "metadata_names_max": None,
}


@asynccontextmanager
async def side(
    server: RunningServer, prefix: str = "", part_bytes: int = PART_BYTES, **declared: Any
) -> AsyncIterator[S3Backend]:
    """Open a side in a bucket of its own."""
    url = server.url(server.new_bucket(), prefix)
    address = parse(url, folder=Path(), field="the side")
    capabilities = replace(address.server.capabilities, **declared)
    address = replace(address, server=replace(address.server, capabilities=capabilities))
    backend = S3Backend(address, environment=ENVIRONMENT, part_bytes=part_bytes)
    try:
        await backend.prepare(create=True)
        yield backend
    finally:
        await backend.close()


@pytest.mark.parametrize("name", BACKEND_CHECKS)
async def test_a_bucket_of_moto_conforms(name: str, moto: RunningServer) -> None:
    check = BACKEND_CHECKS[name]
    async with side(moto) as backend:
        await check(backend)


async def test_different_keys_of_moto_do_not_disturb_each_other(moto: RunningServer) -> None:
    check = BACKEND_CHECKS["serves_many_at_once"]
    async with side(moto, undisturbed=True) as backend:
        await check(backend)


@pytest.mark.parametrize("name", BACKEND_CHECKS)
async def test_a_bucket_of_rclone_conforms_as_declared(name: str, rclone: RunningServer) -> None:
    check = BACKEND_CHECKS[name]
    async with side(rclone) as backend:
        await check(backend)


@pytest.mark.parametrize("name", BACKEND_CHECKS)
async def test_a_bucket_of_swift_conforms_as_declared(name: str, swift: RunningServer) -> None:
    check = BACKEND_CHECKS[name]
    async with side(swift) as backend:
        await check(backend)


@pytest.mark.parametrize("name", OF_PREFIX_AND_PARTS)
async def test_a_folder_of_a_bucket_conforms_with_bodies_in_parts(
    name: str, moto: RunningServer
) -> None:
    check = BACKEND_CHECKS[name]
    async with side(moto, "some//folder%20%2B/", part_bytes=5 << 18) as backend:
        await check(backend)


@pytest.mark.parametrize("name", ["returns_the_bytes_it_took", *STAGING])
async def test_rclone_takes_bodies_in_parts(name: str, rclone: RunningServer) -> None:
    check = BACKEND_CHECKS[name]
    async with side(rclone, part_bytes=5 << 18) as backend:
        await check(backend)


async def test_a_folder_shows_nothing_of_what_lies_beside_it(moto: RunningServer) -> None:
    async with side(moto) as whole:
        inner = S3Backend(
            parse(whole.location.replace("/?", "/in?") + "&server=moto", folder=Path(), field="it"),
            environment=ENVIRONMENT,
        )
        for key in ("i", "in", "in/", "in/a", "in/.crossfade/x", "inn/b", "j"):
            await put(whole, key, b"")
        assert await keys_of(inner) == ["a"]
        await put(inner, "b/c", b"x")
        assert "in/b/c" in await keys_of(whole)
        await inner.close()


@pytest.mark.parametrize("value", ["", " spaces ", "ü日本😀", "a\tb", "=?UTF-8?B?eA==?=", "a  b"])
async def test_metadata_comes_back_as_it_was(value: str, moto: RunningServer) -> None:
    attributes = Attributes(metadata={"name": value}, content_disposition='a; filename="é.png"')
    async with side(moto) as backend:
        await put(backend, "key", b"x", attributes)
        assert (await backend.stat("key")).attributes == attributes


@pytest.mark.parametrize("metadata", [{"Upper": "x"}, {"a b": "x"}, {"long": "x" * 2_048}])
async def test_metadata_that_no_header_holds_is_refused_before_it_is_sent(
    metadata: dict[str, str], moto: RunningServer
) -> None:
    async with side(moto) as backend:
        with pytest.raises(InvalidMetadataError):
            await put(backend, "key", b"x", Attributes(metadata=metadata))
        assert await keys_of(backend) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"value": "x" * 257},
        {"value": "ü" * 92},
        {"x" * 129: ""},
        {f"{number}": "" for number in range(91)},
    ],
)
async def test_metadata_over_the_limits_of_swift_is_refused_before_it_is_sent(
    metadata: dict[str, str], swift: RunningServer
) -> None:
    async with side(swift) as backend:
        with pytest.raises(InvalidMetadataError):
            await put(backend, "key", b"x", Attributes(metadata=metadata))
    async with side(swift, **NO_LIMITS) as backend:
        with pytest.raises(BackendError, match="400"):
            await put(backend, "key", b"x", Attributes(metadata=metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        {"value": "x" * 256},
        {"value": "ü" * 91},
        {"x" * 128: ""},
        {f"{number}": "" for number in range(90)},
        {f"{number}": "x" * 255 for number in range(8)},
        {"with_underscore": "", "with-dash": " x "},
    ],
)
async def test_swift_keeps_metadata_up_to_its_limits(
    metadata: dict[str, str], swift: RunningServer
) -> None:
    async with side(swift) as backend:
        attributes = Attributes(metadata=metadata)
        await put(backend, "key", b"x", attributes)
        assert (await backend.stat("key")).attributes == attributes


@pytest.mark.parametrize("in_memory", [True, False])
async def test_boto3_reads_what_was_put_and_is_read(moto: RunningServer, in_memory: bool) -> None:
    async with side(moto, part_bytes=5 << 20) as backend:
        data = LARGE * 4
        await backend.write("a//b", body_of(data, in_memory=in_memory), FULL)
        client = boto3.client(
            "s3",
            endpoint_url=moto.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        bucket = backend.location.split("/")[2]
        found = client.get_object(Bucket=bucket, Key="a//b")
        assert found["Body"].read() == data
        assert (found["ContentType"], found["Metadata"]) == (FULL.content_type, FULL.metadata)
        client.put_object(Bucket=bucket, Key="/../x", Body=b"theirs", Metadata={"k": "v"})
        info, theirs = await get(backend, "/../x")
        assert theirs == b"theirs"
        assert info.attributes == Attributes(metadata={"k": "v"})
        client.close()
