"""Objects in parts: each part gets through by itself, and copies keep the parts of the original."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.s3.scripted import answer, cut, error, serving

from crossfade.backends.s3.addresses import parse
from crossfade.backends.s3.backend import S3Backend
from crossfade.backends.s3.client import Timeouts
from crossfade.backends.s3.parts import part_size, same_parts
from crossfade.backends.s3.servers import PART_BYTES_MIN, PARTS_MAX
from crossfade.core.objects import NO_ATTRIBUTES, ObjectInfo
from crossfade.errors import BackendError, BackendUnavailableError, OutcomeUnknownError
from crossfade.testing.servers import ACCESS_KEY, ENVIRONMENT, SECRET_KEY
from crossfade.testing.suite import body_of

if TYPE_CHECKING:
    import asyncio

    from tests.backends.s3.scripted import Act, Asked

    from crossfade.testing.servers import RunningServer

pytestmark = pytest.mark.anyio

PART_BYTES = 1 << 20
LARGE = bytes(range(256)) * (3 * PART_BYTES // 256) + b"end"
MIB = 1 << 20


@dataclass(slots=True)
class Uploads:
    """A server of uploads in parts that fails as a test says.

    Attributes:
        fails: what is done instead, in turn, by a part's number, or 0 for a completion.
        sent: the methods and targets, as they came.
    """

    fails: dict[int, list[Act]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    begun: int = 0

    async def serve(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.sent.append(f"{asked.method} {asked.target.removeprefix('/bucket/key')}")
        if "partNumber=" in asked.target:
            number = int(asked.target.split("partNumber=")[1].split("&")[0])
            await self._next(number, answer(200, etag=f'"{number}"'))(asked, writer)
        elif asked.target.endswith("uploads="):
            self.begun += 1
            await answer(200, f"<Begun><UploadId>u{self.begun}</UploadId></Begun>")(asked, writer)
        elif asked.method == "POST":
            await self._next(0, answer(200, "<Done><ETag>t-4</ETag></Done>"))(asked, writer)
        else:
            await answer(204)(asked, writer)

    def _next(self, number: int, otherwise: Act) -> Act:
        planned = self.fails.get(number)
        return planned.pop(0) if planned else otherwise

    def count(self, what: str) -> int:
        return sum(what in each for each in self.sent)


def side(endpoint: str, part_retry_seconds: float = 5.0) -> S3Backend:
    address = parse(f"s3://bucket/?endpoint={endpoint}", folder=Path(), field="the side")
    timeouts = Timeouts(
        connect_seconds=1.0, stall_seconds=0.5, part_retry_seconds=part_retry_seconds
    )
    return S3Backend(address, environment=ENVIRONMENT, timeouts=timeouts, part_bytes=PART_BYTES)


@pytest.mark.parametrize(
    "fault",
    [cut, error(500, "InternalError"), error(503, "SlowDown"), error(429, "Busy")],
)
async def test_a_part_is_sent_again_by_itself(fault: Act) -> None:
    uploads = Uploads(fails={2: [fault, fault]})
    async with serving(uploads.serve) as script:
        backend = side(script.endpoint)
        info = await backend.write("key", body_of(LARGE), NO_ATTRIBUTES)
        await backend.close()
    assert info.etag == "t-4"
    assert [uploads.count(f"partNumber={number}&") for number in (1, 2, 3, 4)] == [1, 3, 1, 1]
    assert uploads.begun == 1


async def test_a_part_that_is_refused_is_not_sent_again() -> None:
    uploads = Uploads(fails={1: [error(403, "AccessDenied")]})
    async with serving(uploads.serve) as script:
        backend = side(script.endpoint)
        with pytest.raises(BackendError, match="AccessDenied"):
            await backend.stage("key", body_of(LARGE), NO_ATTRIBUTES)
        await backend.close()
    assert uploads.count("partNumber=1&") == 1
    assert uploads.count("DELETE ?uploadId=u1") == 1


async def test_a_part_is_not_sent_again_for_ever() -> None:
    uploads = Uploads(fails={1: [cut] * 99})
    async with serving(uploads.serve) as script:
        backend = side(script.endpoint, part_retry_seconds=0.4)
        with anyio.fail_after(5), pytest.raises(BackendUnavailableError):
            await backend.stage("key", body_of(LARGE), NO_ATTRIBUTES)
        await backend.close()
    assert 1 < uploads.count("partNumber=1&") < 8


async def test_an_upload_that_the_server_forgot_is_sent_again() -> None:
    forgotten = error(404, "NoSuchUpload")
    uploads = Uploads(fails={2: [forgotten], 0: [forgotten]})
    async with serving(uploads.serve) as script:
        backend = side(script.endpoint)
        staged = await backend.stage("key", body_of(LARGE), NO_ATTRIBUTES)
        assert uploads.begun == 2
        assert (await staged.complete()).etag == "t-4"
        await backend.close()
    assert uploads.begun == 3
    assert uploads.sent[-1] == "POST ?uploadId=u3"


async def test_an_upload_that_is_forgotten_each_time_is_given_up() -> None:
    uploads = Uploads(fails={1: [error(404, "NoSuchUpload")] * 9})
    async with serving(uploads.serve) as script:
        backend = side(script.endpoint)
        with pytest.raises(BackendError, match="NoSuchUpload"):
            await backend.stage("key", body_of(LARGE), NO_ATTRIBUTES)
        await backend.close()
    assert uploads.begun == 3


async def test_an_upload_is_not_sent_again_where_it_may_be_forgotten_because_it_is_done() -> None:
    uploads = Uploads(fails={0: [cut, error(404, "NoSuchUpload")]})
    async with serving(uploads.serve) as script:
        backend = side(script.endpoint)
        staged = await backend.stage("key", body_of(LARGE), NO_ATTRIBUTES)
        with pytest.raises(OutcomeUnknownError):
            await staged.complete()
        with pytest.raises(BackendError, match="NoSuchUpload"):
            await staged.complete()
        await staged.drop()
        await backend.close()
    assert uploads.begun == 1
    assert uploads.count("DELETE") == 0


@pytest.mark.parametrize(("fault", "aborted"), [(cut, 0), (error(403, "AccessDenied"), 1)])
async def test_a_drop_leaves_alone_what_may_be_put_together_right_now(
    fault: Act, aborted: int
) -> None:
    uploads = Uploads(fails={0: [fault]})
    async with serving(uploads.serve) as script:
        backend = side(script.endpoint)
        staged = await backend.stage("key", body_of(LARGE), NO_ATTRIBUTES)
        with pytest.raises(BackendError):
            await staged.complete()
        await staged.drop()
        await staged.drop()
        await backend.close()
    assert uploads.count("DELETE") == aborted


async def test_a_cancelled_stage_takes_its_parts_away() -> None:
    async def stall(asked: Asked, writer: asyncio.StreamWriter) -> None:
        waiting.set()
        await anyio.sleep_forever()

    waiting = anyio.Event()
    uploads = Uploads(fails={2: [stall]})
    async with serving(uploads.serve) as script, anyio.create_task_group() as group:
        backend = side(script.endpoint)
        group.start_soon(backend.stage, "key", body_of(LARGE), NO_ATTRIBUTES)
        await waiting.wait()
        group.cancel_scope.cancel()
    await backend.close()
    assert uploads.count("DELETE ?uploadId=u1") == 1


# -- the size of parts -----------------------------------------------------------------------------


@given(st.integers(1, 5 << 40), st.integers(PART_BYTES_MIN, 5 << 30))
def test_parts_are_never_too_many(size: int, part_bytes: int) -> None:
    found = part_size(size, part_bytes)
    assert found >= part_bytes
    assert -(-size // found) <= PARTS_MAX
    assert found == part_bytes or found % MIB == 0


@pytest.mark.parametrize(
    ("size", "wanted", "found"),
    [
        (100 * MIB, None, 8 * MIB),
        (100 * MIB, 5 * MIB, 5 * MIB),
        (100 * MIB, 16_777_217, 16_777_217),
        (100 * MIB, 64 * MIB, 64 * MIB),
        (1_000 * MIB, 65 * MIB, 8 * MIB),
        (100 * MIB, 1 * MIB, 8 * MIB),
        (100_000 * MIB, 5 * MIB, 10 * MIB),
    ],
)
def test_a_copy_s_parts_are_those_of_its_original_where_they_can_be(
    size: int, wanted: int | None, found: int
) -> None:
    assert same_parts(size, wanted, 8 * MIB, 64 * MIB) == found


async def test_a_copy_in_the_parts_of_its_original_has_its_tag(moto: RunningServer) -> None:
    bucket, data = moto.new_bucket(), LARGE[: 2 * PART_BYTES + 7]
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    cuts = [data[:1_500_000], data[1_500_000:]]
    upload = client.create_multipart_upload(Bucket=bucket, Key="theirs")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(
                Bucket=bucket, Key="theirs", UploadId=upload, PartNumber=number, Body=piece
            )["ETag"],
        }
        for number, piece in enumerate(cuts, 1)
    ]
    client.complete_multipart_upload(
        Bucket=bucket, Key="theirs", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    client.close()
    address = parse(moto.url(bucket), folder=Path(), field="the side")
    backend = S3Backend(address, environment=ENVIRONMENT, part_bytes=PART_BYTES)
    theirs = await backend.stat("theirs")
    found = await backend.part_bytes(theirs)
    assert found == 1_500_000
    staged = await backend.stage("ours", body_of(data), NO_ATTRIBUTES, part_bytes=found)
    assert (await staged.complete()).etag == theirs.etag
    own = await (await backend.stage("own", body_of(data), NO_ATTRIBUTES)).complete()
    assert own.etag != theirs.etag
    await backend.close()


@pytest.mark.parametrize(
    ("etag", "act", "found"),
    [
        ("a" * 32 + "-3", answer(206, content_length="4"), 4),
        ("a" * 32 + "-1", answer(206, content_length="10"), 10),
        ("a" * 32 + "-3", answer(200, content_length="10"), None),
        ("a" * 32 + "-3", answer(206, content_length="5"), None),
        ("a" * 32 + "-3", answer(206, content_length="0"), None),
        ("a" * 32 + "-3", answer(404), None),
        ("a" * 32 + "-3", cut, None),
        ("a" * 32, answer(206, content_length="4"), None),
        ("v7-3", answer(206, content_length="4"), None),
    ],
)
async def test_a_part_s_size_is_believed_only_where_it_fits(
    etag: str, act: Act, found: int | None
) -> None:
    async with serving(act) as script:
        backend = side(script.endpoint)
        info = ObjectInfo(key="key", size=10, etag=etag)
        assert await backend.part_bytes(info) == found
        await backend.close()
    assert Counter(each.method for each in script.asked).keys() <= {"HEAD"}
