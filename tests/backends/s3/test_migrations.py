"""Every key between a directory and a bucket, both ways, from a configuration."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.files.worlds import KEYS

import crossfade
from crossfade.ports import Stager
from crossfade.setup.sides import open_side
from crossfade.testing.servers import ENVIRONMENT, RunningServer
from crossfade.testing.suite import FULL, LARGE, body_of, get, in_order, put, require_listed

if TYPE_CHECKING:
    from pathlib import Path

    from crossfade.ports import Backend

pytestmark = pytest.mark.anyio


async def require_holding(side: Backend, keys: list[str]) -> None:
    await require_listed(side, in_order(keys), "the keys")
    for number, key in enumerate(keys):
        info, data = await get(side, key)
        assert data == key.encode() * 3
        assert info.attributes == (FULL if number % 2 else crossfade.Attributes())


@pytest.mark.parametrize("kind", ["moto", "swift"])
@pytest.mark.parametrize("to_bucket", [True, False])
async def test_every_key_is_moved_proved_and_deleted(
    kind: str,
    to_bucket: bool,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: RunningServer = request.getfixturevalue(kind)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "files").mkdir()
    urls = [f"local://{tmp_path}/files", server.url(server.new_bucket())]
    source_url, target_url = urls if to_bucket else urls[::-1]
    async with AsyncExitStack() as stack:
        sides = []
        for url in (source_url, target_url):
            sides.append(open_side(url))
            stack.push_async_callback(sides[-1].close)
            await sides[-1].prepare(create=True)
        await move(sides[0], sides[1], (source_url, target_url), tmp_path)


async def move(source: Backend, target: Backend, urls: tuple[str, str], folder: Path) -> None:
    earlier, later = KEYS[:-4], KEYS[-4:]
    for number, key in enumerate(earlier):
        await put(source, key, key.encode() * 3, FULL if number % 2 else crossfade.Attributes())
    config = {
        "crossfade": {"enabled": True, "late_seconds_max": 0, "mirror": "sync"},
        "store": {"url": f"sqlite:///{folder}/state/catalog.db"},
        "migrations": {"m": {"enabled": True, "source": urls[0], "target": urls[1]}},
    }
    async with crossfade.open(config) as xf:
        await xf.begin("m")
        files = xf.files("m")
        for number, key in enumerate(later, len(earlier)):
            await files.put(key, key.encode() * 3, **(full() if number % 2 else {}))
        report = await xf.backfill("m")
        assert report.finished
        verified = await xf.verify("m")
        assert (verified.compared, verified.findings) == (len(KEYS), [])
        assert [info.key async for info in files.list()] == in_order(KEYS)
        await require_holding(source, KEYS)
        await require_holding(target, KEYS)
        await xf.set_percentage("m", 100)
        for key in KEYS:
            async with await files.get(key) as reader:
                assert await reader.read() == key.encode() * 3
            await files.delete(key)
        assert [info.key async for info in files.list()] == []
    await require_listed(source, [], "what the source holds in the end")
    await require_listed(target, [], "what the target holds in the end")


def full() -> dict[str, Any]:
    return {name: getattr(FULL, name) for name in type(FULL).__slots__}


async def test_large_objects_are_moved_in_the_parts_that_they_were_put_in(
    moto: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    urls = [moto.url(moto.new_bucket()) for _ in range(2)]
    before, after = LARGE * 4, LARGE * 4 + b"!"
    async with AsyncExitStack() as stack:
        source, target = (open_side(url) for url in urls)
        for side in (source, target):
            stack.push_async_callback(side.close)
        assert isinstance(source, Stager)
        staged = await source.stage("before", body_of(before), FULL, part_bytes=5 << 20)
        await staged.complete()
        config = {
            "crossfade": {"enabled": True, "late_seconds_max": 0, "mirror": "sync"},
            "store": {"url": f"sqlite:///{tmp_path}/state/catalog.db"},
            "migrations": {"m": {"enabled": True, "source": urls[0], "target": urls[1]}},
        }
        async with crossfade.open(config) as xf:
            await xf.begin("m")
            assert (await xf.backfill("m")).finished
            await xf.files("m").put("after", after, **full())
            assert (await xf.verify("m")).findings == []
        for key, data, parts in (("before", before, 3), ("after", after, 2)):
            there, found = await get(target, key)
            here = await source.stat(key)
            assert found == data
            assert there.attributes == FULL
            assert there.etag == here.etag
            assert here.etag.endswith(f"-{parts}")
