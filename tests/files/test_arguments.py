from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from tests.files.worlds import world

from crossfade.core.objects import ByteRange, Side
from crossfade.errors import ConfigurationError, IntegrityError, InvalidKeyError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_catalog")]


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": {"user": 42}},
        {"metadata": {"user": None}},
        {"metadata": {b"user": b"42"}},
        {"metadata": {"user": "\ud800"}},
        {"content_type": 42},
        {"content_type": "text/plain\r\nx: y"},
        {"cache_control": b"no-store"},
        {"if_match": 7},
        {"if_none_match": b"*"},
        {"subject": 7},
        {"size": "4"},
        {"progress": 7},
        {"timeout": "5"},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": 0},
    ],
)
async def test_an_argument_that_is_refused_leaves_the_key_as_it_was(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(ConfigurationError, match=next(iter(given))):
            await w.files.put("k", b"data", **given)
        assert w.source.asked == w.target.asked == []
        await w.files.put("k", b"data")
        async with await w.files.get("k") as obj:
            assert await obj.read() == b"data"
        assert [info.key async for info in w.files.list()] == ["k"]


@pytest.mark.parametrize("key", [None, 7, b"k"])
async def test_a_key_that_is_no_text_is_refused(tmp_path: Path, key: Any) -> None:
    async with world(tmp_path) as w:
        for call in (w.files.put(key, b""), w.files.get(key), w.files.head(key)):
            with pytest.raises(InvalidKeyError, match="text"):
                await call
        with pytest.raises(ConfigurationError, match="after"):
            w.files.list(after=key)
        with pytest.raises(ConfigurationError, match="prefix"):
            w.files.list(key)
        tag: Any = key or 7
        with pytest.raises(ConfigurationError, match="if_match"):
            await w.files.delete("k", if_match=tag)
        with pytest.raises(ConfigurationError, match="prefix"):
            w.files.list(tag)


async def test_text_of_a_class_of_its_own_is_kept_as_text(tmp_path: Path) -> None:
    class Safe(str):
        __slots__ = ()

    async with world(tmp_path, kinds=("local", "local")) as w:
        await w.files.put(Safe("k"), b"data", metadata={Safe("a"): Safe("b")})
        await w.settle()
        info = await w.side(Side.TARGET).inner.stat("k")
        assert info.attributes is not None
        assert info.attributes.metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("/etc/passwd", r"the body is text .*pathlib\.Path"),
        ({b"a": b"b"}, "the body is dict"),
        (range(5), "the body is range"),
        (7, "the body is int"),
        (None, "the body is NoneType"),
        ([3, 4], "made of int, not of bytes"),
        ([b"begun", None, b"cut"], "made of NoneType, not of bytes"),
        (["text"], "made of str, not of bytes"),
        (io.StringIO("text"), "open the file with 'rb'"),
    ],
)
async def test_a_body_that_is_no_bytes_is_refused(tmp_path: Path, data: Any, words: str) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(ConfigurationError, match=words):
            await w.files.put("k", data)
        assert w.source.asked == w.target.asked == []


async def test_whatever_says_its_path_is_a_body(tmp_path: Path) -> None:
    class Named:
        def __fspath__(self) -> str:
            return str(tmp_path / "file")

    (tmp_path / "file").write_bytes(b"data")
    async with world(tmp_path) as w:
        given: list[Any] = [tmp_path / "file", Named(), [b"da", bytearray(b"ta")]]
        for data in given:
            await w.files.put("k", data)
            async with await w.files.get("k") as obj:
                assert await obj.read() == b"data"


@pytest.mark.parametrize(
    "given",
    [
        (0, 5),
        ByteRange(start=5, end=3),
        ByteRange(start=-1),
        ByteRange(start="1"),  # type: ignore[arg-type]
    ],
)
async def test_a_range_that_is_none_is_refused(tmp_path: Path, given: Any) -> None:
    async with world(tmp_path) as w:
        await w.files.put("k", b"data")
        with pytest.raises(ConfigurationError, match="range"):
            await w.files.get("k", range=given)


async def test_an_object_that_was_closed_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.files.put("k", bytes(600_000))
        async with await w.files.get("k") as obj:
            chunks = aiter(obj)
            await anext(chunks)
        with pytest.raises(IntegrityError, match="closed before its end"):
            await anext(chunks)
        with pytest.raises(ConfigurationError, match="'k' was closed"):
            await obj.read()
