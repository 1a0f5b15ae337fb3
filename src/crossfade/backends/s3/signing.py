"""Signature Version 4 in headers: what was signed is what is sent, letter by letter.

The path is encoded once and never normalised, so that ``a//b``, ``..`` and ``/lead`` are signed as
the keys that they are. Every header that is given is signed.
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from crossfade.backends.s3.credentials import Credentials

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "s3"
_SPACES = re.compile(r"[ \t]+")
_KEYS_KEPT = 16


def encoded_path(text: str) -> str:
    """Encode a path once; slashes stay, and so do dots and empty segments."""
    return quote(text, safe="/-_.~")


def encoded_query(parameters: Iterable[tuple[str, str]]) -> str:
    """Encode and sort parameters: the query to send, and in its canonical form at once."""
    pairs = ((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def sign(
    headers: Mapping[str, str],
    *,
    method: str,
    path: str,
    query: str,
    payload_sha256: str,
    credentials: Credentials,
    region: str,
    at: datetime,
) -> dict[str, str]:
    """Return the headers with everything that makes them a signed request.

    Args:
        headers: to be signed, ``host`` among them; no name twice.
        method: in capitals.
        path: as `encoded_path` returns it.
        query: as `encoded_query` returns it.
        payload_sha256: hex digest of the body's bytes.
        credentials: whom it is signed for.
        region: where the bucket is.
        at: the time, in UTC.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): value for name, value in headers.items()}
    signed |= {"x-amz-content-sha256": payload_sha256, "x-amz-date": stamp}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = sorted(signed)
    lines = [f"{name}:{_SPACES.sub(' ', signed[name]).strip()}" for name in names]
    listed = ";".join(names)
    request = "\n".join([method, path, query, *lines, "", listed, payload_sha256])
    scope = f"{stamp[:8]}/{region}/{_SERVICE}/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, sha256(request.encode()).hexdigest()])
    key = _signing_key(credentials.secret_key, stamp[:8], region)
    signature = hmac.new(key, text.encode(), sha256).hexdigest()
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={listed}, Signature={signature}"
    )
    return signed


@lru_cache(maxsize=_KEYS_KEPT)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, _SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
