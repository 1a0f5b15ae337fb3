from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.setup.configurations import configured

from crossfade.errors import ConfigurationError
from crossfade.setup.environment import variable_name

if TYPE_CHECKING:
    from crossfade.core.settings import Settings

OFF = {"crossfade": {"enabled": False}}


def chosen(environment: dict[str, str], **changes: Any) -> Settings:
    return configured(environment, **changes).migration("avatars").settings


@pytest.mark.parametrize("word", ["true", "TRUE", "1", "yes", "on", " On "])
def test_a_switch_is_turned_on_by_the_environment(word: str) -> None:
    assert configured({"ENABLE_UNIFIED_MANAGER": word}, tables=OFF).enabled
    found = configured({"ENABLE_AVATARS_MIGRATION": word}, enabled=False)
    assert found.migration("avatars").enabled


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "off"])
def test_a_switch_is_turned_off_by_the_environment(word: str) -> None:
    assert not configured({"ENABLE_UNIFIED_MANAGER": word}).enabled
    assert not configured({"ENABLE_AVATARS_MIGRATION": word}).migration("avatars").enabled
    assert not chosen({"ENABLE_FALLBACK_TO_LEGACY": word}).fallback


def test_the_environment_s_percentage_wins_over_the_file_s() -> None:
    found = configured({"AVATARS_ROLLOUT_PERCENTAGE": "33.33"}, percentage=5)
    assert found.migration("avatars").basis_points == 3_333


def test_what_the_environment_says_of_all_wins_over_what_a_migration_says_of_itself() -> None:
    environment = {"MAX_RETRY_ATTEMPTS": "7", "ENABLE_FALLBACK_TO_LEGACY": "true"}
    found = chosen(environment, max_retry_attempts=5, fallback=False)
    assert found.limits.attempts_max == 7
    assert found.fallback


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    names = ["ENABLE_UNIFIED_MANAGER", "ENABLE_AVATARS_MIGRATION", "AVATARS_ROLLOUT_PERCENTAGE"]
    names += ["ENABLE_FALLBACK_TO_LEGACY", "MAX_RETRY_ATTEMPTS", "CROSSFADE_CONFIG"]
    found = configured(dict.fromkeys(names, empty), percentage=5)
    assert found.enabled
    assert found.migration("avatars").basis_points == 500
    assert found.migration("avatars").settings.limits.attempts_max == 3


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ENABLE_UNIFIED_MANAGER", "maybe", "is 'maybe': give true or false"),
        ("ENABLE_AVATARS_MIGRATION", "2", "is '2': give true or false"),
        ("ENABLE_FALLBACK_TO_LEGACY", "oui", "is 'oui': give true or false"),
        ("MAX_RETRY_ATTEMPTS", "three", "is 'three': give a whole number from 1 to 100"),
        ("MAX_RETRY_ATTEMPTS", "1e3", "is '1e3': give a whole number from 1 to 100"),
        ("MAX_RETRY_ATTEMPTS", "101", "is 101: give a whole number from 1 to 100"),
        ("MAX_RETRY_ATTEMPTS", "-1", "is -1: give a whole number from 1 to 100"),
        ("AVATARS_ROLLOUT_PERCENTAGE", "101", "is '101', which is out of range"),
        ("AVATARS_ROLLOUT_PERCENTAGE", "0.001", "is '0.001', which is finer than 0.01"),
        ("AVATARS_ROLLOUT_PERCENTAGE", "ten", "is 'ten', which is no number"),
        ("AVATARS_ROLLOUT_PERCENTAGE", "true", "is 'true', which is no number"),
    ],
)
def test_a_bad_variable_is_refused_by_its_own_name(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured({variable: value})
    assert str(caught.value).startswith(f"{variable} {words}")


def test_a_global_variable_is_checked_although_no_migration_is_configured() -> None:
    with pytest.raises(ConfigurationError, match="MAX_RETRY_ATTEMPTS is 0"):
        configured({"MAX_RETRY_ATTEMPTS": "0"}, tables={"migrations": {}})


@pytest.mark.parametrize(
    ("name", "expected"), [("kimi", "KIMI"), ("smart-handler", "SMART_HANDLER"), ("a_1", "A_1")]
)
def test_a_migration_s_name_is_spelt_in_capitals(name: str, expected: str) -> None:
    assert variable_name(name) == expected


def test_variables_that_name_no_migration_are_listed_and_change_nothing() -> None:
    environment = {
        "ENABLE_AVATAR_MIGRATION": "true",
        "KIMI_ROLLOUT_PERCENTAGE": "not even a number",
        "ENABLE_AVATARS_MIGRATION": "true",
        "ENABLE_SHADOW_MODE": "true",
        "PATH": "/bin",
    }
    found = configured(environment)
    assert found.unused_variables == ("ENABLE_AVATAR_MIGRATION", "KIMI_ROLLOUT_PERCENTAGE")
    assert found.migration("avatars").basis_points == 0
