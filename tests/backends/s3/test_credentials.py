"""Credentials are found where they usually are, and shown nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crossfade.backends.s3.credentials import Credentials, CredentialSource
from crossfade.errors import AccessDeniedError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "canary/secret"
TOKEN = "canary-token"
FILE = f"""\
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = {SECRET}%(x)s
[other]
aws_access_key_id = AKOTHER
aws_secret_access_key = {SECRET}
aws_session_token = {TOKEN}
[half]
aws_access_key_id = AKHALF
"""
CONFIG = """\
[default]
region = eu-north-1
[profile other]
region = eu-west-3
[profile in-config]
aws_access_key_id = AKCONFIG
aws_secret_access_key = s
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "credentials").write_text(FILE)
    (tmp_path / "config").write_text(CONFIG)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }


KEYS = {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}


def test_the_environment_comes_first(environment: dict[str, str]) -> None:
    found = CredentialSource(environment=environment | KEYS).current("stat")
    assert (found.access_key, found.secret_key, found.session_token) == ("AKENV", SECRET, TOKEN)


@pytest.mark.parametrize(
    ("profile", "variable", "expected"),
    [
        ("", "", "AKDEFAULT"),
        ("", "other", "AKOTHER"),
        ("other", "", "AKOTHER"),
        ("other", "in-config", "AKOTHER"),
        ("in-config", "", "AKCONFIG"),
    ],
)
def test_a_profile_is_found_in_the_shared_files(
    environment: dict[str, str], profile: str, variable: str, expected: str
) -> None:
    environment |= {"AWS_PROFILE": variable}
    found = CredentialSource(profile=profile, environment=environment).current("stat")
    assert found.access_key == expected
    assert found.secret_key  # A percent sign in it is nothing special.


def test_a_profile_that_is_named_wins_over_the_environment_s_keys(
    environment: dict[str, str],
) -> None:
    source = CredentialSource(profile="other", environment=environment | KEYS)
    assert source.current("stat").access_key == "AKOTHER"


def test_a_file_that_is_named_is_the_only_one_read(
    environment: dict[str, str], tmp_path: Path
) -> None:
    named = tmp_path / "named"
    named.write_text("[default]\naws_access_key_id=AKNAMED\naws_secret_access_key=s\n")
    source = CredentialSource(file=named, environment=environment | KEYS)
    assert source.current("stat").access_key == "AKNAMED"
    with pytest.raises(AccessDeniedError, match="no credentials"):
        CredentialSource(file=named, profile="other", environment=environment).current("stat")


def test_what_was_renewed_in_the_file_is_taken_up(
    environment: dict[str, str], tmp_path: Path
) -> None:
    now = 0.0
    source = CredentialSource(environment=environment, clock=lambda: now)
    assert source.current("stat").access_key == "AKDEFAULT"
    (tmp_path / "credentials").write_text(FILE.replace("AKDEFAULT", "AKRENEWED"))
    now = 59.0
    assert source.current("stat").access_key == "AKDEFAULT"
    now = 61.0
    assert source.current("stat").access_key == "AKRENEWED"


def test_the_region_is_that_of_the_environment_or_the_profile(environment: dict[str, str]) -> None:
    assert CredentialSource(environment=environment).region() == "eu-north-1"
    assert CredentialSource(profile="other", environment=environment).region() == "eu-west-3"
    named = environment | {"AWS_DEFAULT_REGION": "ap-south-1"}
    assert CredentialSource(environment=named).region() == "ap-south-1"
    nowhere = environment | {"AWS_CONFIG_FILE": "/nowhere"}
    assert CredentialSource(environment=nowhere).region() == "us-east-1"


def test_missing_credentials_say_where_they_were_looked_for(environment: dict[str, str]) -> None:
    with pytest.raises(AccessDeniedError, match=r"AWS_ACCESS_KEY_ID.*'half' of .*credentials"):
        CredentialSource(environment=environment | {"AWS_PROFILE": "half"}).current("stat")


def test_a_file_that_is_no_credentials_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.write_text(SECRET)
    with pytest.raises(AccessDeniedError, match="named is not in the form") as caught:
        CredentialSource(file=named).current("stat")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_nothing_secret_is_shown() -> None:
    shown = repr(Credentials(access_key="AK", secret_key=SECRET, session_token=TOKEN))
    assert SECRET not in shown
    assert TOKEN not in shown
