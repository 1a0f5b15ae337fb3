from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.setup.configurations import EXAMPLE, configured

from crossfade.core.routing import ALGORITHM
from crossfade.core.settings import Limits, Mirror, Settings, Timing, Unit, Workers
from crossfade.errors import ConfigurationError, MigrationNotFoundError
from crossfade.setup.configuration import Configuration, load
from crossfade.setup.refusals import Origin, OriginKind
from crossfade.setup.tables import TUNABLES, Setting, is_choice

if TYPE_CHECKING:
    from pathlib import Path

TWO_MEMORY_SIDES = {"source": "memory://old", "target": "memory://new"}


def value_of(chosen: Settings, tunable: Setting) -> Any:
    assert tunable.place is not None
    part, name = tunable.place
    return getattr(chosen if part == "settings" else getattr(chosen, part), name)


def test_the_example_loads_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text(EXAMPLE, encoding="utf-8")
    found = load(file, environment={})
    assert found.path == file
    assert found.enabled
    assert found.store_url == f"sqlite:///{tmp_path}/.crossfade/catalog.db"
    avatars = found.migration("avatars")
    assert (avatars.source, avatars.target) == ("local:///srv/files", "local:///mnt/new")
    assert avatars.enabled
    assert (avatars.basis_points, avatars.group, avatars.salt) == (0, "all", "all")
    assert avatars.settings == Settings(
        enabled=True, mirror=Mirror.AUTO, unit=Unit.SUBJECT, fallback=True, workers=Workers.INLINE
    )


def test_both_switches_are_off_and_nothing_is_routed_by_default() -> None:
    found = load({"migrations": {"a": TWO_MEMORY_SIDES}}, environment={})
    assert not found.enabled
    assert not found.migration("a").enabled
    assert not found.migration("a").settings.enabled
    assert found.migration("a").basis_points == 0


@pytest.mark.parametrize(
    ("master", "own", "effective"),
    [(True, True, 1_250), (True, False, 0), (False, True, 0), (False, False, 0)],
)
def test_a_percentage_counts_only_while_both_switches_are_on(
    *, master: bool, own: bool, effective: int
) -> None:
    tables = {"crossfade": {"enabled": master}}
    avatars = configured(tables=tables, enabled=own, percentage=12.5).migration("avatars")
    assert avatars.basis_points == 1_250
    assert avatars.effective_basis_points == effective
    assert avatars.settings.enabled is (master and own)


def test_the_row_begins_with_the_configured_share_and_salt() -> None:
    tables = {"groups": {"uploads": {"salt": "autumn"}}}
    row = configured(tables=tables, group="uploads", percentage=0.01).migration("avatars").row()
    assert (row.name, row.source, row.target) == (
        "avatars",
        "local:///srv/files",
        "local:///mnt/new",
    )
    assert (row.salt, row.algorithm, row.basis_points) == ("autumn", ALGORITHM, 1)


def test_every_migration_shares_one_salt_unless_its_group_has_its_own() -> None:
    migrations = {
        "a": {"source": "memory://1", "target": "memory://2"},
        "b": {"source": "memory://3", "target": "memory://4", "group": "g"},
        "c": {"source": "memory://5", "target": "memory://6", "group": "all"},
    }
    found = load({"groups": {"g": {}}, "migrations": migrations}, environment={})
    assert [found.migration(name).salt for name in "abc"] == ["all", "g", "all"]


def test_a_migration_takes_what_the_whole_sets_and_what_it_sets_itself_wins() -> None:
    tables = {"crossfade": {"enabled": True, "lease_seconds": 2, "copies_max": 3}}
    chosen = configured(tables=tables, copies_max=4).migration("avatars").settings
    assert chosen.timing.lease == 2
    assert chosen.limits.copies_max == 4


@pytest.mark.parametrize("tunable", TUNABLES, ids=lambda tunable: tunable.name)
def test_every_tunable_reaches_the_settings_of_the_data_plane(tunable: Setting) -> None:
    other: Any
    if tunable.kind is bool:
        other = not tunable.default
    elif is_choice(tunable):
        other = next(word for word in tunable.kind if word is not tunable.default)
    else:
        other = tunable.kind(tunable.default / 2)
    chosen = configured(**{tunable.name: other}).migration("avatars").settings
    assert value_of(chosen, tunable) == other
    assert value_of(configured().migration("avatars").settings, tunable) == tunable.default


def test_every_field_of_the_data_plane_has_a_tunable() -> None:
    places = {tunable.place for tunable in TUNABLES}
    expected = {("timing", name) for name in Timing.__slots__}
    expected |= {("limits", name) for name in Limits.__slots__}
    expected |= {("settings", name) for name in Settings.__slots__}
    assert places == expected - {
        ("settings", "enabled"),  # from the two switches
        ("settings", "timing"),
        ("settings", "limits"),
    }


def test_two_memory_sides_without_a_store_keep_the_catalog_in_memory_too() -> None:
    found = load({"migrations": {"a": TWO_MEMORY_SIDES}}, environment={})
    assert found.store_url == "memory://"


def test_a_store_that_is_not_given_lies_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text('[migrations.a]\nsource="memory://old"\ntarget="local:./new"\n')
    found = load(file, environment={})
    assert found.store_url == f"sqlite:///{tmp_path}/.crossfade/catalog.db"
    assert found.migration("a").target == f"local://{tmp_path}/new"


def test_a_file_with_a_byte_order_mark_loads(tmp_path: Path) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text(EXAMPLE, encoding="utf-8-sig")
    assert load(file, environment={}).enabled


def test_without_a_path_the_working_directory_is_asked_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "other.toml").write_text("[crossfade]\nenabled = true\n")
    monkeypatch.chdir(tmp_path)
    environment = {"CROSSFADE_CONFIG": str(there / "other.toml")}
    assert load(environment=environment).path == there / "other.toml"
    (tmp_path / "crossfade.toml").write_text("")
    assert load(environment=environment).path == tmp_path / "crossfade.toml"
    assert load(there / "other.toml", environment={}).path == there / "other.toml"


def test_the_process_s_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_UNIFIED_MANAGER", "true")
    assert load({"migrations": {"a": TWO_MEMORY_SIDES}}).enabled


def test_where_each_value_came_from_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "crossfade.toml"
    text = EXAMPLE.replace("[store]", "lease_seconds = 5\n[store]")
    file.write_text(text, encoding="utf-8")
    found = load(file, environment={"AVATARS_ROLLOUT_PERCENTAGE": "7.5"})
    origins = {
        "migrations.avatars.percentage": Origin(
            OriginKind.ENVIRONMENT, "AVATARS_ROLLOUT_PERCENTAGE"
        ),
        "migrations.avatars.mirror": Origin(OriginKind.FILE, str(file)),
        "migrations.avatars.lease_seconds": Origin(OriginKind.FILE, str(file)),
        "migrations.avatars.copies_max": Origin(OriginKind.DEFAULT),
        "crossfade.enabled": Origin(OriginKind.FILE, str(file)),
        "store.url": Origin(OriginKind.FILE, str(file)),
    }
    assert {field: found.origin(field) for field in origins} == origins
    values = {entry.field: entry.value for entry in found.in_force}
    assert values["migrations.avatars.percentage"] == 7.5
    assert values["migrations.avatars.lease_seconds"] == 5


def test_what_a_mapping_says_is_told_from_what_a_file_says() -> None:
    origin = configured().origin("migrations.avatars.unit")
    assert origin == Origin(OriginKind.ARGUMENT)


def test_a_mapping_may_change_after_it_was_loaded() -> None:
    raw = {"migrations": {"a": dict(TWO_MEMORY_SIDES)}}
    found = load(raw, environment={"A_ROLLOUT_PERCENTAGE": "5"})
    assert raw == {"migrations": {"a": TWO_MEMORY_SIDES}}
    raw["migrations"]["a"]["source"] = "memory://changed"
    assert found.migration("a").source == "memory://old"


def test_an_enumeration_s_member_may_stand_in_a_mapping() -> None:
    assert configured(mirror=Mirror.SYNC).migration("avatars").settings.mirror is Mirror.SYNC


def test_the_longest_doubt_of_any_migration_is_known() -> None:
    migrations = {
        "a": {"source": "memory://1", "target": "memory://2", "late_seconds_max": 5},
        "b": {"source": "memory://3", "target": "memory://4", "look_seconds_max": 2},
    }
    assert load({"migrations": migrations}, environment={}).doubt_seconds == 122
    assert load({}, environment={}).doubt_seconds == 150
    migrations["c"] = {"source": "memory://5", "target": "s3://bucket"}
    assert load({"migrations": migrations}, environment={}).doubt_seconds == 630


def test_a_migration_that_is_not_configured_is_named_with_those_that_are() -> None:
    with pytest.raises(MigrationNotFoundError, match=r"'avatar'.*did you mean 'avatars'"):
        configured().migration("avatar")


def test_a_configuration_without_migrations_loads() -> None:
    assert dict(load({}, environment={}).migrations) == {}


def legal_values(tunable: Setting) -> st.SearchStrategy[Any]:
    if tunable.kind is bool:
        return st.booleans()
    if is_choice(tunable):
        return st.sampled_from([str(word) for word in tunable.kind])
    least = tunable.least if tunable.above is None else tunable.above
    assert least is not None
    assert tunable.most is not None
    if tunable.kind is int:
        return st.integers(int(least), int(tunable.most))
    return st.floats(least, tunable.most, exclude_min=tunable.above is not None)


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional={t.name: legal_values(t) for t in TUNABLES}))
def test_every_legal_value_is_taken_or_refused_for_its_relation(chosen: dict[str, Any]) -> None:
    try:
        found = configured(**chosen).migration("avatars").settings
    except ConfigurationError as error:
        words = str(error)
        assert "copier_wait_seconds" in words or "small_body_bytes" in words
        return
    for tunable in TUNABLES:
        assert value_of(found, tunable) == chosen.get(tunable.name, tunable.default)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
names = st.sampled_from(["crossfade", "store", "groups", "migrations"])
fields = st.sampled_from(
    ["enabled", "source", "target", "url", "salt", "group", "percentage"]
    + [tunable.name for tunable in TUNABLES]
)
tables = st.dictionaries(fields, anything, max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(names, anything | tables | st.dictionaries(st.just("a"), tables), max_size=4)
    | st.dictionaries(st.text(max_size=8), anything, max_size=3)
)
def test_whatever_it_is_a_configuration_is_taken_or_refused_as_one(raw: dict[str, Any]) -> None:
    with suppress(ConfigurationError):
        assert isinstance(load(raw, environment={}), Configuration)
