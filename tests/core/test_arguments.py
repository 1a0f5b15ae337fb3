from __future__ import annotations

from typing import Any

import pytest

from crossfade.core.arguments import (
    check_callable,
    check_seconds,
    check_size,
    check_text,
    new_attributes,
)
from crossfade.core.objects import NO_METADATA, check_key
from crossfade.errors import ConfigurationError, InvalidKeyError


class Safe(str):
    """Text of a class of its own, as templates have it."""

    __slots__ = ()


@pytest.mark.parametrize("value", [7, b"x", "\ud800", "a\nb", "a\rb", "a\0b", "\x7f", ["x"]])
@pytest.mark.parametrize("name", ["content_type", "cache_control", "expires"])
def test_a_header_is_text_that_a_store_can_carry(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        new_attributes(**{name: value})


@pytest.mark.parametrize(
    "metadata",
    [
        {"user": 42},
        {"user": None},
        {"user": b"42"},
        {"user": "a\nb"},
        {"user": "\udcff"},
        {7: "x"},
        {None: "x"},
        {"": "x"},
        {"a\nb": "x"},
        {b"user": "x"},
        [("user", "42")],
        "user=42",
    ],
)
def test_metadata_is_text_with_names(metadata: Any) -> None:
    with pytest.raises(ConfigurationError, match="metadata"):
        new_attributes(metadata)


def test_what_is_given_is_kept_as_it_is() -> None:
    attributes = new_attributes({"user": "ü\t日本 ", Safe("a"): Safe("")}, content_type=Safe("x/y"))
    assert attributes.metadata == {"user": "ü\t日本 ", "a": ""}
    kept = [attributes.content_type, *attributes.metadata, *attributes.metadata.values()]
    assert {type(text) for text in kept} == {str}
    assert new_attributes().metadata is new_attributes({}).metadata is NO_METADATA


@pytest.mark.parametrize("key", [None, 7, b"key"])
def test_a_key_is_text(key: Any) -> None:
    with pytest.raises(InvalidKeyError, match="a key is text"):
        check_key(key)


def test_other_arguments_are_of_their_kind() -> None:
    for text in (7, b"x", "\ud800"):
        with pytest.raises(ConfigurationError, match="if_match"):
            check_text("if_match", text)
    for seconds in (-1, float("nan"), "5", True):
        with pytest.raises(ConfigurationError, match="timeout"):
            check_seconds("timeout", seconds)
    for size in (-1, 1.5, "5", True):
        with pytest.raises(ConfigurationError, match="size"):
            check_size(size)
    with pytest.raises(ConfigurationError, match="progress"):
        check_callable("progress", 7)
    check_text("if_match", None)
    check_seconds("timeout", 0.001)
    check_size(0)
    check_callable("progress", print)
