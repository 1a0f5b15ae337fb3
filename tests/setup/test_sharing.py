from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import crossfade
from crossfade.control import checkup
from crossfade.core import steering
from crossfade.core.objects import Side
from crossfade.errors import MigrationExistsError
from crossfade.setup.configuration import load
from crossfade.setup.sharing import refuse_other_claims
from crossfade.setup.sides import forget_memory_sides
from crossfade.stores.memory import MemoryCatalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crossfade.core.records import MigrationRow

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _fresh_memory() -> Iterator[None]:
    forget_memory_sides()
    yield
    forget_memory_sides()


def named(folder: Path, name: str, source: str = "a", target: str = "b") -> dict[str, Any]:
    """Return a configuration of one migration between two directories, with one catalog."""
    for place in (source, target):
        (folder / place).mkdir(exist_ok=True, parents=True)
    sides = {"source": f"local://{folder / source}", "target": f"local://{folder / target}"}
    return {
        "crossfade": {"enabled": True, "late_seconds_max": 0, "look_seconds_max": 0.2},
        "store": {"url": f"sqlite:///{folder / 'state' / 'catalog.db'}"},
        "migrations": {name: {"enabled": True, **sides}},
    }


async def written_at_target(raw: dict[str, Any], name: str, *, complete: bool = False) -> None:
    """Move one object, and write it anew where the target answers."""
    async with crossfade.open(raw, environ={}) as xf:
        await xf.files(name).put("k", b"v1")
        await xf.begin(name)
        await xf.backfill(name)
        await xf.set_percentage(name, 100)
        await xf.verify(name)
        if complete:
            await xf.complete(name)
        await xf.files(name).put("k", b"v2")


async def refusal(raw: dict[str, Any]) -> MigrationExistsError:
    with pytest.raises(MigrationExistsError) as refused:
        async with crossfade.open(raw, environ={}):
            pass
    found = [one for one in (await checkup.check(load(raw, environment={}))).findings if one.code]
    assert [one.message for one in found] == [str(refused.value)]
    assert not any("catalog is missing" in one.message for one in found)
    return refused.value


@pytest.mark.parametrize("complete", [False, True])
async def test_a_migration_that_is_called_otherwise_is_refused(
    tmp_path: Path, complete: bool
) -> None:
    await written_at_target(named(tmp_path, "avatars"), "avatars", complete=complete)
    refused = await refusal(named(tmp_path, "pics"))
    assert "the source of 'pics'" in str(refused)
    assert "is the same place as the source of 'avatars'" in str(refused)
    assert ("'avatars' is complete" if complete else "call it 'avatars' as before") in refused.hint
    assert "another file" in refused.hint
    assert (tmp_path / "b" / "k").read_bytes() == b"v2"


@pytest.mark.parametrize(
    ("source", "target"),
    [("b", "a"), ("b", "c"), ("a", "c"), ("c", "a"), ("c", "b"), ("a/in", "c"), ("c", "a/in")],
)
async def test_a_place_of_a_migration_that_has_begun_is_no_other_s(
    tmp_path: Path, source: str, target: str
) -> None:
    await written_at_target(named(tmp_path, "avatars"), "avatars")
    await refusal(named(tmp_path, "pics", source, target))


@pytest.mark.parametrize(("source", "target"), [("a", "c"), ("c", "b"), ("b", "a"), ("b/in", "c")])
async def test_of_a_complete_migration_only_the_target_may_be_moved_on(
    tmp_path: Path, source: str, target: str
) -> None:
    await written_at_target(named(tmp_path, "avatars"), "avatars", complete=True)
    refused = await refusal(named(tmp_path, "pics", source, target))
    assert "'avatars' is complete" in refused.hint


async def test_what_is_complete_may_be_moved_on_and_then_not_be_written_past(
    tmp_path: Path,
) -> None:
    await written_at_target(named(tmp_path, "avatars"), "avatars", complete=True)
    on = named(tmp_path, "pics", "b", "c")
    await written_at_target(on, "pics")
    async with crossfade.open(on, environ={}) as xf, await xf.files("pics").get("k") as obj:
        assert (obj.side, await obj.read()) == (Side.TARGET, b"v2")
    assert "the target of 'avatars'" in str(await refusal(named(tmp_path, "avatars")))


async def test_the_target_of_a_complete_migration_waits_for_its_last_record(
    tmp_path: Path,
) -> None:
    await written_at_target(named(tmp_path, "avatars"), "avatars", complete=True)
    kept = named(tmp_path, "avatars")
    kept["crossfade"] |= {"workers": "separate", "mirror": "async"}
    on = named(tmp_path, "pics", "b", "c")
    async with crossfade.open(kept, environ={}) as xf:
        await leave_open(xf, "avatars", "k2")
        assert "shows no open key" in (await refusal(on)).hint


async def leave_open(xf: crossfade.Crossfade, name: str, key: str) -> None:
    """Open a key as a writer does that then is gone."""
    from crossfade.core.records import Decision, Look, Record

    def opened(look: Look) -> Decision[None]:
        return Decision(Record(authority=Side.TARGET, since=look.now), None)

    await xf.store.catalog.change(name, key, opened)


async def test_a_name_that_was_only_tried_claims_nothing_until_a_key_is_open(
    tmp_path: Path,
) -> None:
    async with crossfade.open(named(tmp_path, "avatars"), environ={}) as tried:
        async with crossfade.open(named(tmp_path, "pics"), environ={}):
            pass
        await leave_open(tried, "avatars", "k")
        assert "has 1 open key" in str(await refusal(named(tmp_path, "pics")))


async def test_of_two_names_for_one_place_one_alone_begins(tmp_path: Path) -> None:
    async with (
        crossfade.open(named(tmp_path, "avatars"), environ={}) as one,
        crossfade.open(named(tmp_path, "pics"), environ={}) as other,
    ):
        await one.begin("avatars")
        with pytest.raises(MigrationExistsError, match="which has begun"):
            await other.begin("pics")
        assert not await one.begin("avatars")


@pytest.mark.parametrize(
    ("source", "target", "advised"), [("a", "c", False), ("a", "b/in", False), ("c", "d", True)]
)
async def test_a_changed_side_is_told_to_take_another_name_only_where_that_would_go(
    tmp_path: Path, source: str, target: str, advised: bool
) -> None:
    await written_at_target(named(tmp_path, "avatars"), "avatars")
    refused = await refusal(named(tmp_path, "avatars", source, target))
    assert "back as it was" in refused.hint
    assert ("another name" in refused.hint) is advised


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ("s3://bucket/files/in?endpoint=http://host:9000", True),
        ("s3://bucket/filesystem?endpoint=http://host:9000", False),
        ("s3://bucket/files?endpoint=http://other:9000", False),
        ("s3://other/files?endpoint=http://host:9000", False),
        ("memory://b", False),
    ],
)
async def test_buckets_meet_as_they_do_within_a_configuration(target: str, refused: bool) -> None:
    def row(name: str, source: str, target: str) -> MigrationRow:
        raw = {"migrations": {name: {"source": source, "target": target}}}
        return load(raw, environment={}).migration(name).row()

    catalog = MemoryCatalog()
    begun = row("old", "memory://a", "s3://bucket/files?endpoint=http://host:9000")
    await catalog.prepare(begun)
    await catalog.change_row("old", steering.begin)
    given = row("new", "memory://c", target)
    if refused:
        with pytest.raises(MigrationExistsError, match="is inside the target of 'old'"):
            await refuse_other_claims(catalog, given)
    else:
        await refuse_other_claims(catalog, given)
