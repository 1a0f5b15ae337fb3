"""Each thing that can be wrong with two URLs is its own error, before anything is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.backends.s3.scripted import error, serving
from tests.control.survey.surveys import surveyed
from tests.faces.projects import Said

from crossfade.errors import BackendError
from crossfade.faces.cli import run
from crossfade.faces.cli.exits import Exit
from crossfade.testing.servers import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.s3.scripted import Act

SECRET = "canary"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    capsys.readouterr()
    code = run(["check", *arguments])
    found = capsys.readouterr()
    assert SECRET not in found.out + found.err
    return Said(code, found.out, found.err)


AWS = "s3://bucket?endpoint=https://s3.eu-west-3.amazonaws.com"
WRONG = [
    (("local:///srv/a", "local:///srv/a"), "the same place as"),
    (("local:///srv/a", "local:///srv/a/b"), "inside"),
    (("local:///srv/a/b", "local:///srv/a"), "around"),
    (("s3://bucket/a", "s3://bucket/a/"), "the same place as"),
    (("s3://bucket/a", "s3://bucket/a/b"), "inside"),
    (("s3://bucket", "s3://bucket?region=eu-west-3"), "the same place as"),
    (("s3://bucket?region=eu-west-3", AWS), "the same place as"),
    (("s3://b-1?endpoint=http://127.0.0.1:80", "s3://b-1?endpoint=http://LOCALHOST"), "the same"),
    (("s3://b-1/x?endpoint=https://h", "s3://b-1?endpoint=https://h:443/"), "around"),
    ((f"s3://user:{SECRET}@bucket", "local:///srv/a"), "user name or password"),
    ((f"s3://bucket?secret={SECRET}", "local:///srv/a"), "'secret', which is unknown"),
    (("s3://bucket?retries=3", "local:///srv/a"), "'retries', which is unknown"),
    ((f"s3://bucket?endpoint=https://u:{SECRET}@host", "local:///srv/a"), "no address"),
    (("local:///srv/a", "ftp://host/b"), "kind that is unknown"),
    (("local:///srv/a", "memory://b"), "empty in every new process"),
    (("/srv/a", "local:///srv/b"), "no URL"),
]


@pytest.mark.parametrize(("urls", "words"), WRONG)
def test_a_url_that_is_wrong_is_refused(
    urls: tuple[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, *urls, "--json")
    assert found.code == Exit.CONFIGURATION
    assert words in found.error["message"]
    assert found.error["hint"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("local:///srv/a",), Exit.USAGE),
        (("--probe",), Exit.USAGE),
        (("--limit", "3"), Exit.USAGE),
        (("local:///srv/a", "local:///srv/b", "--limit", "0"), Exit.CONFIGURATION),
        (("local:///srv/a", "local:///srv/b", "--seconds", "nan"), Exit.CONFIGURATION),
        (("local:///srv/a", "local:///srv/b", "--prices", "/nowhere/x"), Exit.CONFIGURATION),
        (("local:///nowhere/a", "local:///nowhere/b"), Exit.SIDE),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(
    arguments: tuple[str, ...], code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, *arguments, "--json")
    assert found.code == code
    assert found.error["hint"]


@pytest.mark.parametrize("text", ["[", 'currency = "USD"', 'currency = "X"\nplaces = []\nmore = 1'])
def test_a_table_of_prices_that_is_none_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prices.toml").write_text(text)
    urls = ("local:///srv/a", "local:///srv/b")
    found = said(capsys, *urls, "--prices", str(tmp_path / "prices.toml"), "--json")
    assert found.code == Exit.CONFIGURATION
    assert "no table of prices" in found.error["message"]


ANSWERS: list[tuple[Act, str]] = [
    (error(403, "SignatureDoesNotMatch"), "correct the credentials"),
    (error(403, "InvalidAccessKeyId"), "it knows no such key"),
    (error(404, "NoSuchBucket"), "make the bucket"),
    (error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3"), "write region=eu-west-3"),
    (error(403, "AccessDenied"), "allow s3:ListBucket"),
    (error(403, "RequestTimeTooSkewed"), "clock"),
]


@pytest.mark.anyio
@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("act", "hint"), ANSWERS)
async def test_a_side_that_refuses_is_named_with_the_next_step(
    act: Act, hint: str, side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    async with serving(act) as script:
        urls = [f"s3://bucket?endpoint={script.endpoint}", f"local://{tmp_path}"]
        with pytest.raises(BackendError) as caught:
            await surveyed(*(urls if side == "source" else urls[::-1]))
    assert caught.value.side == side
    assert hint in caught.value.hint
