"""Two spellings of one place are found; two places are let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfade.setup.relations import check_places
from crossfade.setup.sides import parse_side, parse_store

APART = [
    ("s3://bucket/a", "s3://bucket/ab"),
    ("s3://bucket?endpoint=http://h", "s3://bucket?endpoint=https://h"),
    ("s3://bucket?endpoint=http://h:81", "s3://bucket?endpoint=http://h"),
    ("s3://bucket?endpoint=http://h/a", "s3://bucket?endpoint=http://h/b"),
    ("s3://bucket", "s3://bucket?endpoint=https://notamazonaws.com"),
    ("s3://bucket", "s3://bucket-2"),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_places_that_are_apart_are_let_pass(one: str, other: str) -> None:
    found = [(url, parse_side(url, folder=Path())) for url in (one, other)]
    check_places(found, parse_store("memory://", folder=Path()))
    assert found[0][1].place != found[1][1].place
