from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest

from crossfade.errors import ConfigurationError, StoreUnavailableError
from crossfade.setup.configuration import load
from crossfade.setup.document import FILE_NAME
from crossfade.setup.starting import EXAMPLE_NAME, example, ignore, write_example
from crossfade.setup.tables import TABLES

REPOSITORY = Path(__file__).parents[2]


def uncommented(text: str) -> str:
    return re.sub(r"^# (\w+ = |\[groups)", r"\1", text, flags=re.MULTILINE)


def test_the_example_loads_with_both_switches_on_and_nothing_routed(tmp_path: Path) -> None:
    done = write_example(tmp_path)
    assert done.written == (tmp_path / FILE_NAME, tmp_path / EXAMPLE_NAME)
    for file in done.written:
        found = load(file, environment={})
        avatars = found.migration("avatars")
        assert found.enabled
        assert avatars.enabled
        assert avatars.basis_points == 0


def test_every_setting_stands_in_the_example_and_no_other() -> None:
    document = tomllib.loads(uncommented(example()))
    load(document, environment={})
    said = {("crossfade", name) for name in document["crossfade"]}
    said |= {("store", name) for name in document["store"]}
    said |= {("groups.NAME", name) for name in document["groups"]["uploads"]}
    said |= {("migrations.NAME", name) for name in document["migrations"]["avatars"]}
    declared = {(path, setting.name) for path, settings in TABLES.items() for setting in settings}
    tunables = {name for path, name in declared if path == "migrations.NAME"}
    assert said == declared - {("crossfade", name) for name in tunables - {"enabled"}}


def test_what_is_commented_out_is_the_default() -> None:
    as_it_stands = load(tomllib.loads(example()), environment={})
    with_defaults = load(tomllib.loads(uncommented(example())), environment={})
    assert as_it_stands.migrations == with_defaults.migrations


def test_only_the_owner_may_enter_the_state_s_folder(tmp_path: Path) -> None:
    (tmp_path / ".crossfade").mkdir(mode=0o755)
    write_example(tmp_path)
    assert stat.S_IMODE((tmp_path / ".crossfade").stat().st_mode) == 0o700


def test_nothing_is_written_over(tmp_path: Path) -> None:
    for name in (FILE_NAME, EXAMPLE_NAME):
        (tmp_path / name).write_text("mine")
        with pytest.raises(ConfigurationError, match=rf"{name} is there already.*--force"):
            write_example(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_force_writes_over_both_files_and_keeps_the_rest(tmp_path: Path) -> None:
    write_example(tmp_path)
    (tmp_path / ".crossfade" / "catalog.db").write_text("state")
    (tmp_path / FILE_NAME).write_text("mine")
    write_example(tmp_path, force=True)
    assert (tmp_path / FILE_NAME).read_text(encoding="utf-8") == example()
    assert (tmp_path / ".crossfade" / "catalog.db").read_text() == "state"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no directory"):
        write_example(tmp_path / "absent")


def test_a_file_in_the_place_of_the_state_s_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".crossfade").write_text("")
    with pytest.raises(StoreUnavailableError, match=r"\.crossfade.*cannot be made"):
        write_example(tmp_path)


def test_git_ignores_configuration_and_state_and_once_is_enough(tmp_path: Path) -> None:
    file = tmp_path / ".gitignore"
    assert write_example(tmp_path).ignored == ("crossfade.toml", ".crossfade/")
    assert file.read_text() == "crossfade.toml\n.crossfade/\n"
    assert write_example(tmp_path, force=True).ignored == ()
    assert file.read_text() == "crossfade.toml\n.crossfade/\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"*.pyc", b"*.pyc\ncrossfade.toml\n.crossfade/\n"),
        (b"*.pyc\r\n", b"*.pyc\r\ncrossfade.toml\r\n.crossfade/\r\n"),
        (b"/crossfade.toml\n", b"/crossfade.toml\n.crossfade/\n"),
        (b".crossfade\ncrossfade.toml", b".crossfade\ncrossfade.toml"),
        (b"/.crossfade/\n", b"/.crossfade/\ncrossfade.toml\n"),
        (b"#crossfade.toml\n\xff\n", b"#crossfade.toml\n\xff\ncrossfade.toml\n.crossfade/\n"),
        (b"crossfade.toml.bak\n", b"crossfade.toml.bak\ncrossfade.toml\n.crossfade/\n"),
    ],
)
def test_what_gitignore_holds_is_kept_byte_for_byte(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    file = tmp_path / ".gitignore"
    file.write_bytes(before)
    ignore(file, ("crossfade.toml", ".crossfade/"))
    assert file.read_bytes() == after


def rows_of(page: str, heading: str) -> list[tuple[str, ...]]:
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_the_reference_says_of_every_setting_what_the_code_says() -> None:
    page = (REPOSITORY / "docs/reference/settings.md").read_text(encoding="utf-8")
    tunables = rows_of(page, "For each migration, or for all")
    for path, settings in TABLES.items():
        rows = rows_of(page, f"`[{path}]`")
        if path in {"crossfade", "migrations.NAME"}:
            rows += tunables
        assert [row[0] for row in rows] == [f"`{setting.name}`" for setting in settings]
        for row, setting in zip(rows, settings, strict=True):
            assert row[1] == (f"`{setting.variable}`" if setting.variable else "")
            assert default_in(row[2]) == setting.default
            assert row[3:] == (setting.legal, setting.meaning)


def default_in(cell: str) -> object:
    if cell == "must be given":
        return None
    return tomllib.loads(f"x = {cell.strip('`')}")["x"] if cell.startswith("`") else cell
