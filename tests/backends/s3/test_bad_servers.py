"""Every way in which a server can fail has its own error, and its outcome is sorted rightly."""

from __future__ import annotations

import socket
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.backends.s3.scripted import answer, cut, error, raw, serving, stall

from crossfade.backends.s3.addresses import parse
from crossfade.backends.s3.backend import S3Backend
from crossfade.backends.s3.client import Timeouts
from crossfade.core.objects import NO_ATTRIBUTES, ByteRange
from crossfade.errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    IntegrityError,
    InvalidKeyError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    OutcomeUnknownError,
    PreconditionError,
    SlowDownError,
    StorageFullError,
)
from crossfade.testing.servers import ENVIRONMENT
from crossfade.testing.suite import body_of

if TYPE_CHECKING:
    from tests.backends.s3.scripted import Act

pytestmark = pytest.mark.anyio

TOKEN = "canary-token"
SECRET = "canary-secret"
TIMEOUTS = Timeouts(connect_seconds=1.0, stall_seconds=0.2, part_retry_seconds=0.0)
PART_BYTES = 1 << 20
LARGE = b"x" * (2 * PART_BYTES + 1)
LISTED = "<Contents><Key>{}</Key><Size>1</Size><ETag>&quot;t&quot;</ETag></Contents>"
BEGUN = answer(
    200,
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
)


def side(endpoint: str) -> S3Backend:
    address = parse(f"s3://bucket/?endpoint={endpoint}", folder=Path(), field="the side")
    environment = ENVIRONMENT | {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    return S3Backend(address, environment=environment, timeouts=TIMEOUTS, part_bytes=PART_BYTES)


async def asked(backend: S3Backend, operation: str) -> object:
    """Do one operation on the key `a//b`."""
    match operation:
        case "stat":
            return await backend.stat("a//b")
        case "read":
            stream = await backend.read("a//b")
            try:
                return b"".join([chunk async for chunk in stream])
            finally:
                await stream.aclose()
        case "write":
            return await backend.write("a//b", body_of(b"abc"), NO_ATTRIBUTES)
        case "delete":
            await backend.delete("a//b")
            return None
        case _:
            return await backend.list()


def chain(error: BaseException | None) -> list[str]:
    """Return what an error and everything behind it look like in a log that shows all."""
    if error is None:
        return []
    return [repr(error), *chain(error.__cause__), *chain(error.__context__)]


async def refused(operation: str, *acts: Act) -> BackendError:
    """Return the error that an operation ends with, once it was found to show no secret."""
    async with serving(*acts) as script:
        backend = side(script.endpoint)
        try:
            with pytest.raises(BackendError) as caught:
                await asked(backend, operation)
        finally:
            await backend.close()
    shown = "".join(traceback.format_exception(caught.value)) + "".join(chain(caught.value))
    assert TOKEN not in shown
    assert SECRET not in shown
    assert caught.value.operation == operation
    assert caught.value.key == ("" if operation == "list" else "a//b")
    assert caught.value.hint or isinstance(caught.value, ObjectNotFoundError)
    return caught.value


REFUSALS: list[tuple[Act, type[BackendError], str]] = [
    (error(403, "InvalidAccessKeyId"), AccessDeniedError, "correct the credentials"),
    (error(403, "SignatureDoesNotMatch"), AccessDeniedError, "the secret is not that"),
    (error(403, "RequestTimeTooSkewed"), AccessDeniedError, "clock"),
    (error(400, "ExpiredToken"), AccessDeniedError, "renew"),
    (error(403, "AccessDenied"), AccessDeniedError, "allow s3:"),
    (answer(403), AccessDeniedError, "allow s3:"),
    (error(404, "NoSuchBucket"), BackendError, "make the bucket"),
    (
        error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3"),
        BackendError,
        "write region=eu-west-3",
    ),
    (error(307, "TemporaryRedirect"), BackendError, "correct the region"),
    (
        error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
        BackendError,
        "write region=eu-west-3",
    ),
    (error(400, "KeyTooLongError"), InvalidKeyError, "shorter"),
    (error(400, "EntityTooLarge"), ObjectTooLargeError, "no object of that size"),
    (error(403, "QuotaExceeded"), StorageFullError, "quota"),
    (error(400, "BadDigest"), IntegrityError, "nothing was written"),
    (error(400, "Strange"), BackendError, "look at what the server says"),
]


@pytest.mark.parametrize("operation", ["stat", "read", "write", "delete", "list"])
@pytest.mark.parametrize(
    ("act", "kind", "hint"), REFUSALS, ids=[str(number) for number in range(len(REFUSALS))]
)
async def test_a_refusal_is_certain_and_says_what_to_do(
    operation: str, act: Act, kind: type[BackendError], hint: str
) -> None:
    found = await refused(operation, act)
    assert type(found) is kind
    assert hint in found.hint
    assert not found.retryable


FAILURES: list[tuple[Act, type[BackendError]]] = [
    (answer(500), BackendUnavailableError),
    (error(500, "InternalError"), BackendUnavailableError),
    (error(503, "SlowDown"), SlowDownError),
    (answer(503), SlowDownError),
    (answer(429), SlowDownError),
    (answer(408), BackendUnavailableError),
    (cut, BackendUnavailableError),
    (stall, BackendUnavailableError),
    (raw(b"\x15\x03\x01\x00\x02\x02\x0a"), BackendUnavailableError),
    (answer(400, b"<Error><Code>x", content_length="999"), BackendUnavailableError),
]


@pytest.mark.parametrize("operation", ["stat", "read", "write", "delete", "list"])
@pytest.mark.parametrize(
    ("act", "kind"), FAILURES, ids=[str(number) for number in range(len(FAILURES))]
)
async def test_a_failure_leaves_the_outcome_of_a_change_unknown(
    operation: str, act: Act, kind: type[BackendError]
) -> None:
    found = await refused(operation, act)
    assert type(found) is (OutcomeUnknownError if operation in {"write", "delete"} else kind)
    assert found.retryable


@pytest.mark.parametrize("operation", ["write", "delete"])
@pytest.mark.parametrize("act", [cut, answer(500), answer(503)])
async def test_a_change_is_sent_once(operation: str, act: Act) -> None:
    async with serving(act) as script:
        backend = side(script.endpoint)
        with pytest.raises(OutcomeUnknownError):
            await asked(backend, operation)
        await backend.close()
        assert len(script.asked) == 1


@pytest.mark.parametrize("operation", ["write", "delete"])
async def test_a_change_on_a_connection_that_was_used_before_is_sent_once(operation: str) -> None:
    async with serving(answer(200, "<ListBucketResult/>"), cut) as script:
        backend = side(script.endpoint)
        await backend.list()
        with pytest.raises(OutcomeUnknownError):
            await asked(backend, operation)
        await backend.close()
        assert len(script.asked) == 2


@pytest.mark.parametrize("operation", ["stat", "read", "write", "delete", "list"])
async def test_where_nothing_listens_nothing_was_sent(operation: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        backend = side(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(BackendUnavailableError, match="no connection") as caught:
            await asked(backend, operation)
        await backend.close()
    assert caught.value.operation == operation


@pytest.mark.parametrize("operation", ["read", "write"])
async def test_tls_where_plain_http_is_spoken_says_so(operation: str) -> None:
    async with serving(answer(200), plain=True) as script:
        backend = side(script.endpoint.replace("http:", "https:"))
        with pytest.raises(BackendUnavailableError, match="write http://") as caught:
            await asked(backend, operation)
        await backend.close()
    assert type(caught.value) is BackendUnavailableError


async def test_only_the_object_s_own_404_means_that_it_is_not_there() -> None:
    absent = error(404, "NoSuchKey")
    assert type(await refused("read", absent)) is ObjectNotFoundError
    assert type(await refused("stat", absent)) is ObjectNotFoundError
    for other in (answer(404), answer(404, "<html>no such page</html>"), error(500, "NoSuchKey")):
        for operation in ("read", "stat"):
            assert type(await refused(operation, other)) is BackendUnavailableError


async def test_a_delete_of_what_is_not_there_is_done() -> None:
    async with serving(error(404, "NoSuchKey"), answer(204)) as script:
        backend = side(script.endpoint)
        await backend.delete("a//b")
        await backend.delete("a//b")
        await backend.close()
        assert [each.target for each in script.asked] == ["/bucket/a//b"] * 2


@pytest.mark.parametrize("key", ["a//b", "..", "a/../b", "/lead", "folder/", ".", "é +%2B?#&"])
async def test_a_key_is_sent_as_it_is(key: str) -> None:
    async with serving(answer(204)) as script:
        backend = side(script.endpoint)
        await backend.delete(key)
        await backend.close()
        sent = key.replace("é", "%C3%A9").replace(" ", "%20").replace("+", "%2B")
        sent = sent.replace("%2B%2B", "%2B%252B").replace("?#&", "%3F%23%26")
        assert script.asked[0].target == f"/bucket/{sent}"


TRUNCATED = [
    answer(200, b"abc", content_length="5", etag='"t"'),
    answer(200, b"abc", etag='"t"', x_amz_checksum_sha256="A" * 43 + "="),
    answer(200, b"abc", etag='"t"', x_amz_checksum_crc32="AAAAAA=="),
]


@pytest.mark.parametrize("act", TRUNCATED)
async def test_a_body_that_is_cut_or_lies_is_no_data(act: Act) -> None:
    assert type(await refused("read", act)) is IntegrityError


async def test_a_body_that_stalls_is_given_up() -> None:
    async def half(asked: object, writer: object) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\netag: "t"\r\n\r\nabc')  # type: ignore[attr-defined]
        await stall(asked, writer)  # type: ignore[arg-type]

    assert type(await refused("read", half)) is BackendUnavailableError


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (answer(206, b"bcd", etag='"t"', content_range="bytes 2-4/9"), "other bytes"),
        (answer(206, b"bcd", etag='"t"', content_range="bytes 1-3"), "no size"),
        (answer(200, b"bcd"), "no entity tag"),
    ],
)
async def test_a_range_that_was_not_asked_for_is_refused(act: Act, said: str) -> None:
    async with serving(act) as script:
        backend = side(script.endpoint)
        with pytest.raises(BackendError, match=said):
            await backend.read("key", byte_range=ByteRange(start=1, end=3))
        await backend.close()


async def test_a_server_that_ignores_range_and_condition_is_held_to_them_here() -> None:
    async with serving(answer(200, b"abcdef", etag='"t"')) as script:
        backend = side(script.endpoint)
        stream = await backend.read("key", byte_range=ByteRange(start=1, end=3))
        assert b"".join([chunk async for chunk in stream]) == b"bcd"
        await stream.aclose()
        with pytest.raises(PreconditionError):
            await backend.read("key", if_match="other")
        await backend.close()


def listing(inner: str) -> Act:
    return answer(200, f"<ListBucketResult>{inner}</ListBucketResult>")


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><ListBucketResult>&c;</ListBucketResult>'
)
LISTINGS = [
    (answer(200, "<ListBucketResult><Contents>"), "no well-formed XML"),
    (answer(200, ""), "no well-formed XML"),
    (answer(200, BOMB), "DOCTYPE"),
    (answer(200, BOMB.encode("utf-16")), "DOCTYPE"),
    (answer(200, "<a>" * 100_000), "levels"),
    (answer(200, b" " * (9 << 20)), "over 8,388,608 bytes"),
    (answer(200, "<Error><Code>InternalError</Code></Error>"), "in place of a listing"),
    (listing(LISTED.format("b") + LISTED.format("a")), "not in order"),
    (listing(LISTED.format("a") + LISTED.format("a")), "not in order"),
    (listing("<IsTruncated>true</IsTruncated>"), "without keys"),
    (listing("<Contents><Key>a</Key><Size>x</Size><ETag>t</ETag></Contents>"), "invalid literal"),
    (listing("<Contents><Key>a</Key><Size>1</Size></Contents>"), "without an entity tag"),
]


@pytest.mark.parametrize(
    ("act", "said"), LISTINGS, ids=[str(number) for number in range(len(LISTINGS))]
)
async def test_a_listing_that_cannot_be_believed_is_refused(act: Act, said: str) -> None:
    found = await refused("list", act)
    assert said in str(found)
    assert type(found) is BackendUnavailableError


async def test_a_key_that_is_no_utf_8_is_named() -> None:
    key = LISTED.format("a%FF")
    found = await refused("list", listing(f"<EncodingType>url</EncodingType>{key}"))
    assert type(found) is InvalidKeyError
    assert "a%FF" in str(found)


DONE = answer(
    200,
    "<CompleteMultipartUploadResult><ETag>&quot;t-3&quot;</ETag></CompleteMultipartUploadResult>",
)
PART = answer(200, etag='"p"')


async def test_parts_are_put_together_in_order() -> None:
    async with serving(BEGUN, PART, PART, PART, DONE) as script:
        backend = side(script.endpoint)
        info = await backend.write("key", body_of(LARGE, in_memory=False), NO_ATTRIBUTES)
        await backend.close()
    assert (info.etag, info.size) == ("t-3", len(LARGE))
    last = script.asked[-1]
    assert (last.method, last.target) == ("POST", "/bucket/key?uploadId=u")
    assert [last.body.index(b"<PartNumber>%d<" % n) for n in (1, 2, 3)] == sorted(
        last.body.index(b"<PartNumber>%d<" % n) for n in (1, 2, 3)
    )
    sizes = {each.target: len(each.body) for each in script.asked if each.method == "PUT"}
    assert sorted(sizes.values()) == [1, PART_BYTES, PART_BYTES]


@pytest.mark.parametrize(
    ("acts", "kind", "aborted"),
    [
        ([BEGUN, error(500, "InternalError"), answer(204)], BackendUnavailableError, True),
        ([BEGUN, cut, cut], BackendUnavailableError, True),
        ([BEGUN, PART, error(403, "AccessDenied"), answer(204)], AccessDeniedError, True),
        ([error(501, "NotImplemented")], BackendUnavailableError, False),
        ([answer(200, "<a/>")], BackendUnavailableError, False),
        (
            [BEGUN, PART, PART, PART, answer(200, "<Error><Code>InternalError</Code></Error>")],
            OutcomeUnknownError,
            False,
        ),
        ([BEGUN, PART, PART, PART, answer(200, "")], OutcomeUnknownError, False),
        ([BEGUN, PART, PART, PART, cut], OutcomeUnknownError, False),
        ([BEGUN, PART, PART, PART, error(400, "InvalidPart"), answer(204)], BackendError, True),
    ],
)
async def test_an_upload_changes_nothing_before_its_completion(
    acts: list[Act], kind: type[BackendError], aborted: bool
) -> None:
    async with serving(*acts) as script:
        backend = side(script.endpoint)
        with pytest.raises(BackendError) as caught:
            await backend.write("key", body_of(LARGE), NO_ATTRIBUTES)
        await backend.close()
    assert type(caught.value) is kind
    assert ("DELETE" in [each.method for each in script.asked]) is aborted


async def test_a_body_goes_with_its_checksum() -> None:
    async with serving(answer(200, etag='"t"')) as script:
        backend = side(script.endpoint)
        await backend.write("key", body_of(b"abc"), NO_ATTRIBUTES)
        await backend.close()
        address = parse(
            f"s3://bucket/?endpoint={script.endpoint}&checksum=md5", folder=Path(), field="it"
        )
        other = S3Backend(address, environment=ENVIRONMENT)
        await other.write("key", body_of(b"abc"), NO_ATTRIBUTES)
        await other.close()
    sent = [each.headers for each in script.asked]
    digest = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
    assert sent[0]["x-amz-checksum-sha256"] == digest
    assert sent[1]["content-md5"] == "kAFQmDzST7DWlj99KOF/cg=="
    assert "x-amz-checksum-sha256" not in sent[1]
