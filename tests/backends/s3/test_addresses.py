"""URLs of buckets: read letter by letter, refused with what to write instead."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from tests.setup.configurations import configured

from crossfade.errors import ConfigurationError, MissingExtraError
from crossfade.setup.sides import open_side, parse_side

FOLDER = Path("/srv/app")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/a/b", "s3://bucket/a/b/"),
        ("s3://bucket/a//%C3%BC%20/", "s3://bucket/a//%C3%BC%20/"),
        ("s3://bucket/?style=virtual&checksum=sha256&server=s3", "s3://bucket/"),
        (
            "s3://bucket?region=eu-west-3&endpoint=http://h:9000/path/",
            "s3://bucket/?endpoint=http://h:9000/path&region=eu-west-3",
        ),
        (
            "s3://bucket?endpoint=https://h&profile=p&style=virtual&server=rclone&checksum=md5",
            "s3://bucket/?endpoint=https://h&style=virtual&checksum=md5&server=rclone&profile=p",
        ),
        ("s3://bucket?credentials=keys", "s3://bucket/?credentials=/srv/app/keys"),
    ],
)
def test_a_url_has_one_spelling(url: str, expected: str) -> None:
    address = parse_side(url, folder=FOLDER)
    assert address.url == expected
    assert parse_side(expected, folder=Path("/elsewhere")) == address


def test_how_a_bucket_is_reached_is_no_part_of_what_it_is() -> None:
    url = "s3://bucket/a?endpoint=https://h&region=r&profile=p&credentials=/c"
    assert parse_side(url, folder=FOLDER).place == "s3://bucket/a/?endpoint=https://h"
    row = configured(source=url).migrations["avatars"].row()
    assert row.source == "s3://bucket/a/?endpoint=https://h"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:bucket", "no URL of a bucket"),
        ("s3://", "as none can be called"),
        ("s3://a_", "as none can be called"),
        ("s3://bucket#x", "no URL of a bucket"),
        ("s3://bucket?regoin=x", "the option 'regoin', which is unknown"),
        ("s3://bucket?region", "'region' without a value"),
        ("s3://bucket?region=a&region=b", "'region' twice"),
        ("s3://bucket?region=a/b", "'region' with a value that is no name"),
        ("s3://bucket?endpoint=h:9000", "an endpoint that is no address"),
        ("s3://bucket?endpoint=ftp://h", "an endpoint that is no address"),
        ("s3://bucket?endpoint=http://h:99999", "an endpoint that is no address"),
        ("s3://bucket?endpoint=http://user:sesame@h", "an endpoint that is no address"),
        ("s3://bucket?style=host", "give one of path, virtual"),
        ("s3://bucket?server=ceph", "give one of s3, moto, rclone"),
        ("s3://bucket?checksum=crc", "give one of sha256, md5"),
        ("s3://my.bucket?style=virtual", "write style=path"),
        ("s3://bucket/%FF", "a prefix that is not UTF-8"),
        ("s3://bucket/.crossfade/x", "kept for Crossfade itself"),
        ("s3://bucket/" + "x" * 600, "a prefix of over 512 bytes"),
        ("s3://AKIA:sesame@bucket", "a user name or password"),
        ("s3://bucket?secret_access_key=sesame", "never into a URL"),
        ("s3://bucket?ses/ame=sesame", "one (not shown)"),
    ],
)
def test_a_wrong_url_is_refused_and_shows_no_secret(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_side(url, folder=FOLDER)
    assert said in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "target", "relation"),
    [
        ("s3://bucket/a", "s3://bucket/a/?profile=p", "the same place as"),
        ("s3://bucket/a", "s3://bucket", "around"),
        ("s3://bucket", "s3://bucket/a/b", "inside"),
    ],
)
def test_two_sides_in_one_place_are_refused(source: str, target: str, relation: str) -> None:
    with pytest.raises(ConfigurationError, match=relation):
        configured(source=source, target=target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("s3://bucket/a", "s3://bucket/ab"),
        ("s3://bucket/a", "s3://other/a"),
        ("s3://bucket", "s3://bucket?endpoint=https://h"),
    ],
)
def test_sides_beside_each_other_are_taken(source: str, target: str) -> None:
    assert configured(source=source, target=target).migrations["avatars"].target


def test_a_bucket_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "crossfade.backends.s3.backend":
            raise ModuleNotFoundError(name="aiohttp")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"aiohttp.*crossfade\[s3\]"):
        open_side("s3://bucket")
