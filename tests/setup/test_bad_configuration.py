from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from tests.setup.configurations import EXAMPLE, configured

from crossfade.errors import ConfigurationError, UnknownBackendError
from crossfade.setup.configuration import load

if TYPE_CHECKING:
    from pathlib import Path

PERCENTAGE = "give a percentage from 0 to 100 in steps of 0.01"
A = "migrations.avatars"
SIDES = "local:///absolute/dir, local:./dir"

BAD_FIELDS = [
    ("percantage", 1, [f"{A}.percantage is unknown", "did you mean 'percentage'?"]),
    ("nonsense", 1, [f"{A}.nonsense is unknown", "known are source, target, enabled"]),
    ("percentage", 101, [f"{A}.percentage is 101", "out of range", PERCENTAGE]),
    ("percentage", -1, [f"{A}.percentage is -1", "out of range", PERCENTAGE]),
    ("percentage", 0.001, [f"{A}.percentage is 0.001", "finer than 0.01", PERCENTAGE]),
    ("percentage", "ten", [f"{A}.percentage is 'ten'", "text", PERCENTAGE]),
    ("percentage", "10", [f"{A}.percentage is '10'", "text", PERCENTAGE]),
    ("percentage", math.nan, [f"{A}.percentage is nan", "no number", PERCENTAGE]),
    ("percentage", True, [f"{A}.percentage is true", "no number", PERCENTAGE]),
    ("percentage", [5], [f"{A}.percentage is ", PERCENTAGE]),
    (
        "mirror",
        "asinc",
        [f"{A}.mirror is 'asinc'", "one of async, sync, parallel, auto", "'async'"],
    ),
    ("mirror", 3, [f"{A}.mirror is 3", "one of async, sync, parallel, auto"]),
    ("unit", "users", [f"{A}.unit is 'users'", "one of subject, key, request"]),
    ("workers", "seperate", [f"{A}.workers is 'seperate'", "did you mean 'separate'?"]),
    ("enabled", "yes", [f"{A}.enabled is 'yes'", "give true or false"]),
    ("enabled", 1, [f"{A}.enabled is 1", "give true or false"]),
    ("fallback", [], [f"{A}.fallback is a list", "give true or false"]),
    ("group", "downloads", [f"{A}.group is 'downloads'", "no [groups.downloads]", "one of all"]),
    ("lease_seconds", 0, [f"{A}.lease_seconds is 0", "seconds above 0 and up to 3,600"]),
    ("lease_seconds", -2.5, [f"{A}.lease_seconds is -2.5", "seconds above 0 and up to 3,600"]),
    ("lease_seconds", "30", [f"{A}.lease_seconds is '30'", "seconds above 0 and up to 3,600"]),
    ("lease_seconds", math.nan, [f"{A}.lease_seconds is nan", "seconds above 0"]),
    ("lease_seconds", math.inf, [f"{A}.lease_seconds is inf", "seconds above 0"]),
    ("late_seconds_max", -1, [f"{A}.late_seconds_max is -1", "seconds from 0 to 86,400"]),
    ("timeout_seconds", 0, [f"{A}.timeout_seconds is 0", "seconds above 0 and up to 86,400"]),
    ("timeout_seconds", 2, [f"{A}.copier_wait_seconds is 2 and timeout_seconds is 2", "smaller"]),
    ("max_retry_attempts", 0, [f"{A}.max_retry_attempts is 0", "a whole number from 1 to 100"]),
    ("max_retry_attempts", 2.5, [f"{A}.max_retry_attempts is 2.5", "a whole number"]),
    ("body_buffer_bytes_max", 5, [f"{A}.small_body_bytes is 1,048,576", "body_buffer_bytes_max"]),
    ("source", None, [f"{A}.source is of type NoneType", SIDES]),
    ("source", 5, [f"{A}.source is 5", SIDES]),
    ("source", "/srv/files", [f"{A}.source is '/srv/files'", "no URL", SIDES]),
    ("source", "srv", [f"{A}.source is 'srv'", "no URL", SIDES]),
    ("source", "", [f"{A}.source is ''", "no URL", SIDES]),
    ("source", "local:files", [f"{A}.source is 'local:files'", "write local:./dir"]),
    ("source", "local://srv/x", [f"{A}.source is 'local://srv/x'", "two slashes", "local:///"]),
    ("source", "local:///a\0b", [f"{A}.source holds a NUL character"]),
    ("source", "local:///a\ud800", [f"{A}.source", "not valid Unicode"]),
    ("source", "memory://", [f"{A}.source is 'memory://'", "memory://name"]),
    ("source", "memory:x", [f"{A}.source is 'memory:x'", "memory://name"]),
    ("source", "memory://a/b", [f"{A}.source is 'memory://a/b'", "memory://name"]),
    ("source", "local:///mnt/new", ["the same place as", "local:///mnt/new"]),
    ("source", "local:////mnt//./new/", ["the same place as", "local:///mnt/new"]),
    ("source", "local:///mnt/new/below", [f"{A}.target", "is around", f"{A}.source"]),
    ("source", "local:///mnt", [f"{A}.target", "is inside", f"{A}.source"]),
]

BAD_TABLES: list[tuple[dict[str, Any], list[str]]] = [
    ({"migration": {}}, ["migration is unknown", "did you mean 'migrations'?"]),
    ({"zzz": 1}, ["zzz is unknown", "known are crossfade, store, groups, migrations"]),
    ({"crossfade": 1}, ["crossfade is 1", "headed [crossfade]"]),
    ({"crossfade": {"enabled": "on"}}, ["crossfade.enabled is 'on'", "true or false"]),
    ({"crossfade": {"lease": 1}}, ["crossfade.lease is unknown", "did you mean 'lease_seconds'?"]),
    ({"crossfade": {"copies_max": 0}}, ["crossfade.copies_max is 0", "from 1 to 1,024"]),
    ({"migrations": []}, ["migrations is a list", "[migrations.NAME]"]),
    ({"migrations": {"a": 1}}, ["migrations.a is 1", "[migrations.NAME]"]),
    ({"migrations": {"Avatars": {}}}, ["the name 'Avatars'", "a-z, 0-9, _ and -"]),
    ({"migrations": {"1st": {}}}, ["the name '1st'", "begins with a letter"]),
    ({"migrations": {"a b": {}}}, ["the name 'a b'", "a-z, 0-9, _ and -"]),
    ({"migrations": {"": {}}}, ["the name ''", "1 to 63"]),
    ({"migrations": {"a" * 64: {}}}, ["1 to 63"]),
    ({"migrations": {"../x": {}}}, ["the name '../x'", "a-z, 0-9, _ and -"]),
    ({"groups": {"g": {"salt": ""}}}, ["groups.g.salt is ''", "1 to 200 characters"]),
    ({"groups": {"g": {"salt": "x" * 201}}}, ["groups.g.salt is 'xxx", "1 to 200 characters"]),
    ({"groups": {"g": {"salt": "\udc80"}}}, ["groups.g.salt", "1 to 200 characters"]),
    ({"groups": {"g": {"seed": ""}}}, ["groups.g.seed is unknown", "known are salt"]),
    ({"store": {"url": 1}}, ["store.url is 1", "sqlite:///file"]),
    ({"store": {"url": "sqlite://x.db"}}, ["store.url is 'sqlite://x.db'", "sqlite:///file"]),
    ({"store": {"url": "sqlite:///"}}, ["store.url is 'sqlite:///'", "sqlite:///file"]),
    ({"store": {"url": "sqlite:///d/"}}, ["store.url is 'sqlite:///d/'", "sqlite:///file"]),
    ({"store": {"url": "memory://x"}}, ["store.url is 'memory://x'", "write memory:// alone"]),
    (
        {"store": {"url": "sqlite:////srv/files/catalog.db"}},
        ["store.url (sqlite:////srv/files/catalog.db) lies inside migrations.avatars.source"],
    ),
]


def refusal(*args: Any, **changes: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        configured(*args, **changes)
    return caught.value


@pytest.mark.parametrize(("field", "value", "words"), BAD_FIELDS)
def test_a_bad_field_is_refused_with_its_path_its_value_and_what_may_be_given(
    field: str, value: object, words: list[str]
) -> None:
    text = str(refusal(**{field: value}))
    assert [word for word in words if word not in text] == [], text


@pytest.mark.parametrize(("tables", "words"), BAD_TABLES)
def test_a_bad_table_is_refused_with_its_path_its_value_and_what_may_be_given(
    tables: dict[str, Any], words: list[str]
) -> None:
    text = str(refusal(tables=tables))
    assert [word for word in words if word not in text] == [], text


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_missing_side_is_refused(side: str) -> None:
    text = str(refusal(without=side))
    assert f"{A}.{side} is missing: give local:///absolute/dir" in text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://bucket/prefix", "'gs://bucket/prefix', which comes with the gcs extra of a later"),
        ("gs://bucket", "which comes with the gcs extra of a later release"),
        ("ftp://host/x", "'ftp://host/x', of a kind that is unknown"),
    ],
)
def test_a_kind_of_side_that_is_not_there_is_refused_with_those_that_are(
    url: str, words: str
) -> None:
    error = refusal(source=url)
    assert isinstance(error, UnknownBackendError)
    assert words in str(error)
    assert "memory://name" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:sesame@bucket/x",
        "s3://key:ses/sesame@bucket",
        "s3://bucket?secret=sesame",
        "local://me:sesame@host/dir",
        "memory://sesame@x",
        "me:sesame@host",
        "ftp://sesame@host",
        "sesame@https://host",
    ],
)
def test_what_may_be_a_secret_in_a_url_is_never_shown(url: str) -> None:
    assert "sesame" not in str(refusal(source=url))
    assert "sesame" not in str(refusal(tables={"store": {"url": url}}))
    assert "sesame" not in str(refusal(source=[url]))
    assert "sesame" not in str(refusal(enabled=url))


def test_two_migrations_may_not_share_a_place() -> None:
    migrations = {
        "a": {"source": "memory://1", "target": "memory://2"},
        "b": {"source": "memory://2", "target": "memory://3"},
    }
    text = str(refusal(tables={"migrations": migrations}))
    assert "migrations.b.source (memory://2) is the same place as migrations.a.target" in text


def test_a_link_to_a_side_is_that_side(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "link").symlink_to("files")
    sides = {"source": f"local://{tmp_path}/files", "target": f"local://{tmp_path}/link/below"}
    assert "is inside" in str(refusal(**sides))


def test_a_directory_whose_name_begins_like_the_other_s_is_another() -> None:
    found = configured(source="local:///mnt/new2").migration("avatars")
    assert found.source == "local:///mnt/new2"


def test_the_store_may_lie_where_a_side_never_looks() -> None:
    url = "sqlite:////srv/files/.crossfade/catalog.db"
    assert configured(tables={"store": {"url": url}}).store_url == url


def test_two_migrations_that_the_environment_could_not_tell_apart_are_refused() -> None:
    migrations = {
        "a-b": {"source": "memory://1", "target": "memory://2"},
        "a_b": {"source": "memory://3", "target": "memory://4"},
    }
    text = str(refusal(tables={"migrations": migrations}))
    assert "migrations.a-b and migrations.a_b" in text
    assert "ENABLE_A_B_MIGRATION" in text


def test_a_syntax_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text("[crossfade]\nenabled = yes\n")
    with pytest.raises(ConfigurationError, match=r"crossfade\.toml is not valid TOML.*line 2"):
        load(file, environment={})


def test_what_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text("x = " + "[" * 100_000)
    endless: dict[str, Any] = {}
    endless["crossfade"] = endless
    for given, name in ((file, str(file)), (endless, "the configuration")):
        with pytest.raises(ConfigurationError) as refused:
            load(given, environment={})
        assert f"{name} holds tables or lists in each other without end" in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_bytes(EXAMPLE.encode() + b"\xff")
    with pytest.raises(ConfigurationError, match=r"not UTF-8 \(at line 12\)"):
        load(file, environment={})


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no configuration file .*run `crossfade init`"):
        load(tmp_path / "crossfade.toml", environment={})


def test_no_file_at_all_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"CROSSFADE_CONFIG.*crossfade init.*--config"):
        load(environment={})


def test_a_directory_in_the_file_s_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path, environment={})


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"over 1,048,576 bytes"):
        load("/dev/zero", environment={})
