from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from crossfade.backends.local import LocalBackend
from crossfade.backends.memory import MemoryBackend
from crossfade.errors import ConfigurationError, StoreUnavailableError, UnknownBackendError
from crossfade.setup.sides import (
    forget_memory_sides,
    open_side,
    open_store,
    parse_side,
    parse_store,
)
from crossfade.stores.memory import MemoryCatalog, MemoryProofs
from crossfade.stores.proof_files import FileProofs
from crossfade.stores.sqlite import SqliteCatalog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("local:///srv/files", "/srv/files"),
        ("local:////srv//files/", "/srv/files"),
        ("local:///srv/my files/50%/a@b?c#d", "/srv/my files/50%/a@b?c#d"),
        ("local:///srv/%20", "/srv/%20"),
        ("local:./files", "{folder}/files"),
        ("local:.", "{folder}"),
        ("local:../files", "{folder}/../files"),
    ],
)
def test_a_local_url_names_its_directory_letter_by_letter(
    tmp_path: Path, url: str, path: str
) -> None:
    expected = path.format(folder=tmp_path)
    address = parse_side(url, folder=tmp_path)
    assert str(address.path) == expected
    assert address.url == f"local://{expected}"
    assert parse_side(address.url, folder=tmp_path) == address


def test_a_deployment_s_link_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "release-7").mkdir()
    (tmp_path / "current").symlink_to("release-7")
    address = parse_side("local:./files", folder=tmp_path / "current")
    assert address.url == f"local://{tmp_path}/current/files"


def test_a_local_side_is_opened_at_its_directory(tmp_path: Path) -> None:
    side = open_side("local:./files", folder=tmp_path)
    assert isinstance(side, LocalBackend)
    assert side.location == parse_side("local:./files", folder=tmp_path).url


def test_a_memory_side_keeps_its_objects_under_its_name() -> None:
    forget_memory_sides()
    one = open_side("memory://sides-test")
    assert isinstance(one, MemoryBackend)
    assert one.location == "memory://sides-test"
    assert open_side("memory://sides-test") is one
    assert open_side("memory://sides-test-2") is not one
    forget_memory_sides()
    assert open_side("memory://sides-test") is not one


def test_an_error_calls_the_side_what_the_caller_calls_it(tmp_path: Path) -> None:
    with pytest.raises(UnknownBackendError, match=r"^the target is 'gs://b'"):
        open_side("gs://b", folder=tmp_path, field="the target")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///.crossfade/catalog.db", "{folder}/.crossfade/catalog.db"),
        ("sqlite:////srv/state.db", "/srv/state.db"),
    ],
)
def test_a_sqlite_url_is_relative_to_the_configuration_or_absolute(
    tmp_path: Path, url: str, path: str
) -> None:
    address = parse_store(url, folder=tmp_path)
    assert str(address.path) == path.format(folder=tmp_path)
    assert parse_store(address.url, folder=tmp_path / "elsewhere") == address
    assert str(address.proofs_folder) == f"{address.path}.proofs"


@pytest.mark.parametrize("url", ["postgres://db/x", "postgresql://db/x", "redis://db"])
def test_a_kind_of_store_that_is_not_there_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="this release knows sqlite"):
        parse_store(url, folder=tmp_path)


def test_a_memory_store_is_new_each_time() -> None:
    one, other = open_store("memory://"), open_store("memory://")
    assert isinstance(one.catalog, MemoryCatalog)
    assert isinstance(one.proofs, MemoryProofs)
    assert one.catalog is not other.catalog


@pytest.mark.anyio
async def test_a_sqlite_store_makes_its_folder_for_its_owner_alone(tmp_path: Path) -> None:
    store = open_store("sqlite:///state/catalog.db", folder=tmp_path, doubt_seconds=7)
    assert isinstance(store.catalog, SqliteCatalog)
    assert isinstance(store.proofs, FileProofs)
    await store.catalog.migrations()
    await store.catalog.close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_store_whose_folder_cannot_be_made_says_which(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"a/b.*cannot be made"):
        open_store("sqlite:///a/b/catalog.db", folder=tmp_path)
