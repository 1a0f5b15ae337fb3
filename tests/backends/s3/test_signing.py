"""The signature is botocore's, for every request that one can think of."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from crossfade.backends.s3.credentials import Credentials
from crossfade.backends.s3.signing import encoded_path, encoded_query, sign
from crossfade.testing.suite import ODD_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 24, 20, 15, 9, tzinfo=UTC)
KEYS = st.one_of(
    st.sampled_from(ODD_KEYS),
    st.text(st.sampled_from("/.+ %~ü日*=&?#'\"\\\x00\n-_aZ9"), min_size=1, max_size=20),
    st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
)
VALUES = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=30)
NAMES = st.from_regex(r"x-amz-meta-[a-z0-9_-]{1,12}", fullmatch=True)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["uploads", "prefix", "start-after", "list-type", "a b", "A", "é"]),
        st.text(max_size=10),
    ),
    max_size=4,
)


def signed_by_botocore(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
) -> dict[str, str]:
    """Sign as boto3 would."""
    url = f"https://{headers['host']}{path}" + (f"?{query}" if query else "")
    others = {name: value for name, value in headers.items() if name != "host"}
    request = AWSRequest(method=method, url=url, headers=others, data=body)
    request.context["payload_signing_enabled"] = True
    known = BotocoreCredentials(
        credentials.access_key, credentials.secret_key, credentials.session_token or None
    )
    with patch.object(auth, "get_current_datetime", return_value=NOW):
        auth.S3SigV4Auth(known, "s3", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    key=KEYS,
    parameters=QUERIES,
    metadata=st.dictionaries(NAMES, VALUES, max_size=3),
    body=st.binary(max_size=20),
    token=st.sampled_from(["", "a/session+token=="]),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
)
@example(
    method="GET",
    key="a//b",
    parameters=[("uploads", "")],
    metadata={},
    body=b"",
    token="",
    region="us-east-1",
)
@example(
    method="PUT",
    key="a/../b +%2B",
    parameters=[],
    metadata={"x-amz-meta-a": "  a   b "},
    body=b"x",
    token="token",
    region="us-east-1",
)
def test_a_request_is_signed_as_botocore_signs_it(
    *,
    method: str,
    key: str,
    parameters: list[tuple[str, str]],
    metadata: dict[str, str],
    body: bytes,
    token: str,
    region: str,
) -> None:
    credentials = Credentials(access_key="AKID", secret_key="se/cr+et", session_token=token)
    path, query = encoded_path(f"/bucket/{key}"), encoded_query(parameters)
    headers = {"host": "s3.example.com:9000", "content-type": "image/png", **metadata}
    signed = sign(
        headers,
        method=method,
        path=path,
        query=query,
        payload_sha256=sha256(body).hexdigest(),
        credentials=credentials,
        region=region,
        at=NOW,
    )
    expected = signed_by_botocore(
        method=method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        credentials=credentials,
        region=region,
    )
    assert signed["authorization"] == expected["authorization"]
    for name in ("x-amz-date", "x-amz-content-sha256", "x-amz-security-token"):
        assert signed.get(name) == expected.get(name)


@pytest.mark.parametrize("key", ["a//b", "..", "a/../b", "/lead", "folder/", ".", "//"])
def test_a_path_keeps_its_dots_and_slashes(key: str) -> None:
    assert encoded_path(key) == key


def test_a_query_is_sorted_and_keeps_empty_values() -> None:
    parameters = [("uploads", ""), ("prefix", "a b+c/é"), ("A", "~")]
    assert encoded_query(parameters) == "A=~&prefix=a%20b%2Bc%2F%C3%A9&uploads="


def test_one_bit_of_anything_that_is_signed_changes_the_signature() -> None:
    headers = {"host": "h", "x-amz-meta-a": "1"}
    request = {"method": "PUT", "path": "/b/k", "query": "", "payload_sha256": "0" * 64}

    def signature(given: dict[str, str] | None = None, **changed: str) -> str:
        return sign(
            given or headers,
            **(request | changed),
            credentials=Credentials(access_key="AK", secret_key="SK"),
            region="us-east-1",
            at=NOW,
        )["authorization"]

    found = {
        signature(),
        signature(method="GET"),
        signature(path="/b/l"),
        signature(query="a="),
        signature(payload_sha256="1" * 64),
        signature(headers | {"x-amz-meta-a": "2"}),
        signature(headers | {"host": "g"}),
    }
    assert len(found) == 7
