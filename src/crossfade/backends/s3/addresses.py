"""Where a bucket is, as a URL says it.

``s3://bucket/prefix?endpoint=https://host:9000&region=eu-central-1``: the prefix is
percent-decoded, and everything else is an option. A prefix is a folder: a slash follows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from crossfade.backends.s3.servers import SERVERS, Server
from crossfade.backends.s3.signing import encoded_path
from crossfade.core.objects import KEY_BYTES_MAX, RESERVED_PREFIX
from crossfade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OPTIONS = ("checksum", "credentials", "endpoint", "profile", "region", "server", "style")
_FORM = "write s3://bucket/prefix?endpoint=https://host:port&region=name"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_HOST_LABEL = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=@-]{0,127}")
_PREFIX_BYTES_MAX = 512


class Style(StrEnum):
    """Where the bucket's name stands: in the path, or before the host."""

    PATH = "path"
    VIRTUAL = "virtual"


class Checksum(StrEnum):
    """With what a server is told to check a body that it takes."""

    SHA256 = "sha256"
    MD5 = "md5"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """A bucket, or a folder of it, and how it is reached.

    Attributes:
        prefix: what every key is put behind; empty, or ends in a slash.
        endpoint: scheme, host and path, without a slash at the end; empty for AWS itself.
        region: what requests are signed for; empty for what environment and profile say.
        profile: a section of the shared credentials' files; empty for the usual search.
        credentials: a file that is read instead of the shared ones.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    style: Style = Style.PATH
    checksum: Checksum = Checksum.SHA256
    server: Server = SERVERS["s3"]
    profile: str = ""
    credentials: Path | None = None

    @property
    def place(self) -> str:
        """Return what and where it is, without how it is reached: what a migration keeps."""
        options = f"?endpoint={self.endpoint}" if self.endpoint else ""
        return f"s3://{self.bucket}/{encoded_path(self.prefix)}{options}"

    @property
    def url(self) -> str:
        """Return the URL in its one spelling, every option included."""
        given = {
            "endpoint": self.endpoint,
            "region": self.region,
            "style": "" if self.style is default_style(self.endpoint, self.bucket) else self.style,
            "checksum": "" if self.checksum is Checksum.SHA256 else self.checksum,
            "server": "" if self.server is SERVERS["s3"] else self.server.name,
            "profile": self.profile,
            "credentials": str(self.credentials or ""),
        }
        query = "&".join(f"{name}={quote(text, safe='/:')}" for name, text in given.items() if text)
        base = f"s3://{self.bucket}/{encoded_path(self.prefix)}"
        return f"{base}?{query}" if query else base


def default_style(endpoint: str, bucket: str) -> Style:
    """Return the style of a bucket that names none: AWS wants its host, others know the path."""
    fits = _HOST_LABEL.fullmatch(bucket) is not None
    return Style.VIRTUAL if fits and not endpoint else Style.PATH


def parse(url: str, *, folder: Path, field: str) -> S3Address:
    """Return where an ``s3://`` URL points to; nothing is opened or looked at.

    Args:
        url: as it stands in the configuration; no error quotes its options.
        folder: what a relative credentials' file is relative to.
        field: what to call it in an error.

    Raises:
        ConfigurationError: it names what is wrong and what may be given.
    """
    rest, _, query = url.removeprefix("s3:").partition("?")
    if not rest.startswith("//") or "#" in url:
        raise ConfigurationError(f"{field} is no URL of a bucket", hint=_FORM)
    bucket, _, path = rest[2:].partition("/")
    if not _BUCKET.fullmatch(bucket):
        message = f"{field} names a bucket as none can be called"
        hint = "a bucket's name is 3 to 63 letters, digits, dots and dashes"
        raise ConfigurationError(message, hint=hint)
    options = _options(query, field)
    endpoint = _endpoint(options.get("endpoint", ""), field)
    credentials = options.get("credentials", "")
    address = S3Address(
        bucket=bucket,
        prefix=_prefix(path, field),
        endpoint=endpoint,
        region=_word(options, "region", field),
        style=Style(_choice(options, "style", Style, field) or default_style(endpoint, bucket)),
        checksum=Checksum(_choice(options, "checksum", Checksum, field) or Checksum.SHA256),
        server=SERVERS[_choice(options, "server", SERVERS, field) or "s3"],
        profile=_word(options, "profile", field),
        credentials=folder / credentials if credentials else None,
    )
    if address.style is Style.VIRTUAL and not _HOST_LABEL.fullmatch(bucket):
        message = f"{field} wants the bucket {bucket!r} as a part of the host, which it cannot be"
        raise ConfigurationError(message, hint="write style=path")
    return address


def _options(query: str, field: str) -> dict[str, str]:
    options: dict[str, str] = {}
    # A plus stays a plus: what stands here is no form.
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name not in OPTIONS:
            shown = repr(name) if _WORD.fullmatch(name) else "one (not shown)"
            message = f"{field} has the option {shown}, which is unknown"
            hint = (
                f"known are {', '.join(OPTIONS)}; keys and secrets belong into the environment or "
                "a credentials' file, never into a URL"
            )
            raise ConfigurationError(message, hint=hint)
        if name in options or not value:
            what = "twice" if name in options else "without a value"
            raise ConfigurationError(f"{field} has the option {name!r} {what}", hint=_FORM)
        options[name] = value
    return options


def _endpoint(text: str, field: str) -> str:
    if not text:
        return ""
    if not _is_server(text):
        message = f"{field} has an endpoint that is no address of a server"
        hint = "write endpoint=https://host or endpoint=http://host:port, without user or password"
        raise ConfigurationError(message, hint=hint)
    return text.rstrip("/")


def _is_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(known and re.fullmatch(r"[!-~]+", text) and not re.search(r"[@?#\\]", text))


def _prefix(path: str, field: str) -> str:
    try:
        prefix = unquote(path, errors="strict")
    except UnicodeDecodeError:
        message = f"{field} has a prefix that is not UTF-8"
        raise ConfigurationError(message, hint="percent-encode its UTF-8") from None
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    if len(prefix.encode()) > _PREFIX_BYTES_MAX:
        message = f"{field} has a prefix of over {_PREFIX_BYTES_MAX} bytes"
        hint = f"keys of at most {KEY_BYTES_MAX:,} bytes have to fit behind it"
        raise ConfigurationError(message, hint=hint)
    if prefix.startswith(RESERVED_PREFIX):
        message = f"{field} lies below {RESERVED_PREFIX!r}"
        raise ConfigurationError(message, hint="that prefix is kept for Crossfade itself")
    return prefix


def _word(options: dict[str, str], name: str, field: str) -> str:
    text = options.get(name, "")
    if text and not _WORD.fullmatch(text):
        message = f"{field} has the option {name!r} with a value that is no name"
        raise ConfigurationError(message, hint="give letters, digits, dots and dashes")
    return text


def _choice(options: dict[str, str], name: str, known: Iterable[str], field: str) -> str:
    text = options.get(name, "")
    if text and text not in set(known):
        message = f"{field} has the option {name!r} with an unknown value"
        raise ConfigurationError(message, hint=f"give one of {', '.join(known)}")
    return text
