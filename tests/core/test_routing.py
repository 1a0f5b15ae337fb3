from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from crossfade.core import routing
from crossfade.core.objects import Side
from crossfade.core.records import MigrationRow
from crossfade.core.routing import (
    ALGORITHM,
    Route,
    RouteReason,
    basis_points_from_percentage,
    bucket,
    draw_bucket,
    effective_basis_points,
    percentage_text,
    pick_side,
    route,
    routes_to_target,
)
from crossfade.core.settings import Settings, Unit
from crossfade.errors import ConfigurationError, InvariantError

# These numbers are a promise: a release that changes one of them moves users between sides.
GOLDEN = [
    ("", "all", 5555),
    ("0", "all", 7102),
    ("u1", "all", 4089),
    ("u42", "all", 4623),
    ("user-000017", "all", 5519),
    ("anna@example.com", "all", 1789),
    ("ü/日本", "all", 2437),
    ("x" * 1024, "all", 6340),
    ("", "uploads", 611),
    ("0", "uploads", 5065),
    ("u1", "uploads", 5296),
    ("u42", "uploads", 7766),
    ("user-000017", "uploads", 1893),
    ("anna@example.com", "uploads", 6936),
    ("ü/日本", "uploads", 5886),
    ("x" * 1024, "uploads", 5121),
]
SEEDS = [("all", 0x98A415CA788FD0A6), ("uploads", 0x3999537B8E68FFDE)]

subjects = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
salts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
shares = st.integers(0, 10_000)
draws = st.integers(0, 2**64 - 1)


def row(basis_points: int = 0, **changes: object) -> MigrationRow:
    values: dict[str, object] = {"name": "avatars", "source": "memory://a", "target": "memory://b"}
    values |= {"salt": "all", "algorithm": ALGORITHM, "basis_points": basis_points}
    return MigrationRow(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("subject", "salt", "expected"), GOLDEN)
def test_a_subject_keeps_its_bucket_in_every_release(
    subject: str, salt: str, expected: int
) -> None:
    assert bucket(subject, salt) == expected


@pytest.mark.parametrize(("salt", "expected"), SEEDS)
def test_a_salt_keeps_its_seed_in_every_release(salt: str, expected: int) -> None:
    assert routing.seed(salt) == expected


def test_the_hash_is_the_published_one() -> None:
    assert xxh3_64_intdigest(b"") == 0x2D06800538D394C2


def test_another_process_computes_the_same_bucket() -> None:
    code = "from crossfade.core.routing import bucket; print(bucket('u42', 'all'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 4623


@given(subjects, salts, shares, shares)
def test_who_is_in_stays_in_when_the_percentage_grows(
    subject: str, salt: str, one: int, other: int
) -> None:
    small, large = sorted((one, other))
    assert not routes_to_target(subject, salt, small) or routes_to_target(subject, salt, large)


@given(subjects, salts)
def test_nobody_is_in_at_0_and_everybody_at_100_percent(subject: str, salt: str) -> None:
    assert 0 <= bucket(subject, salt) < 10_000
    assert not routes_to_target(subject, salt, 0)
    assert routes_to_target(subject, salt, 10_000)


@settings(max_examples=20, deadline=None)
@given(salts)
def test_buckets_are_spread_evenly(salt: str) -> None:
    counts = [0] * 20
    for number in range(4_000):
        counts[bucket(f"u{number}", salt) // 500] += 1
    chi_square = sum((count - 200) ** 2 / 200 for count in counts)
    assert chi_square < 80  # 19 degrees of freedom: beyond it once in 10^8 salts


@settings(max_examples=20, deadline=None)
@given(salts, salts)
def test_two_salts_draw_their_users_independently(one: str, other: str) -> None:
    if one == other:
        return
    both = sum(
        routes_to_target(user, one, 1_000) and routes_to_target(user, other, 1_000)
        for user in (f"u{number}" for number in range(4_000))
    )
    assert 5 <= both <= 90  # 40 are expected; beyond it once in 10^9 pairs


@given(
    subject=subjects,
    unit=st.sampled_from(Unit),
    share=shares,
    enabled=st.booleans(),
    completed=st.booleans(),
    draw=draws,
)
def test_the_fast_path_and_the_explained_one_agree(
    *, subject: str, unit: Unit, share: int, enabled: bool, completed: bool, draw: int
) -> None:
    chosen = Settings(enabled=enabled, unit=unit)
    state = row(share, completed=completed)
    explained = route(state, chosen, key="k", subject=subject, draw=draw)
    assert pick_side(state, chosen, key="k", subject=subject, draw=draw) is explained.side
    assert explained.why


def explain(share: int, *, key: str = "k", subject: str | None = "u42", **chosen: object) -> Route:
    unit = Settings(**chosen)  # type: ignore[arg-type]
    return route(row(share), unit, key=key, subject=subject, draw=2**63)


def test_by_subject_every_key_of_a_user_goes_to_one_side() -> None:
    assert explain(4_624, key="a").side is explain(4_624, key="b").side is Side.TARGET
    assert explain(4_623, key="a").side is explain(4_623, key="b").side is Side.SOURCE


def test_by_key_every_user_of_a_key_goes_to_one_side() -> None:
    for subject in ("u42", "u1", None):
        assert explain(4_624, key="u42", subject=subject, unit=Unit.KEY).side is Side.TARGET
        assert explain(4_623, key="u42", subject=subject, unit=Unit.KEY).side is Side.SOURCE


def test_by_request_the_draw_decides_and_neither_user_nor_key() -> None:
    for key, subject in (("a", "u1"), ("b", "u42")):
        chosen = Settings(unit=Unit.REQUEST)
        assert pick_side(row(5_000), chosen, key=key, subject=subject, draw=0) is Side.TARGET
        assert pick_side(row(5_000), chosen, key=key, subject=subject, draw=2**63) is Side.SOURCE


def test_by_request_without_a_draw_is_a_bug() -> None:
    with pytest.raises(InvariantError, match="draw"):
        pick_side(row(5_000), Settings(unit=Unit.REQUEST), key="k")


@pytest.mark.parametrize("draw", [-1, 2**64])
def test_a_draw_of_another_size_is_a_bug(draw: int) -> None:
    with pytest.raises(InvariantError, match="64 bits"):
        draw_bucket(draw)


def test_draws_reach_the_first_and_the_last_bucket() -> None:
    assert draw_bucket(0) == 0
    assert draw_bucket(2**64 - 1) == 9_999


@pytest.mark.parametrize("subject", [None, ""])
def test_without_a_subject_the_key_is_its_own_subject_and_the_route_says_so(
    subject: str | None,
) -> None:
    found = explain(4_624, key="u42", subject=subject)
    assert found.side is Side.TARGET
    assert found.stands_in
    assert found.why == (
        "no subject was given: the key 'u42', as its own subject, has bucket 4,623, "
        "below the 4,624 of 46.24 %"
    )


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        (
            explain(1_000),
            RouteReason.OUTSIDE,
            "the subject 'u42' has bucket 4,623, not below the 1,000 of 10 %",
        ),
        (
            explain(5_000, unit=Unit.KEY, key="u42"),
            RouteReason.INSIDE,
            "the key 'u42' has bucket 4,623, below the 5,000 of 50 %",
        ),
        (
            explain(5_000, unit=Unit.REQUEST),
            RouteReason.OUTSIDE,
            "this request drew bucket 5,000, not below the 5,000 of 50 %",
        ),
        (explain(0), RouteReason.NOBODY, "the percentage is 0"),
        (explain(10_000), RouteReason.EVERYBODY, "the percentage is 100"),
        (
            explain(1_000, enabled=False),
            RouteReason.SWITCHED_OFF,
            "a switch is off, so the 10 % that are set count as 0",
        ),
        (
            route(row(0, completed=True), Settings(), key="k"),
            RouteReason.COMPLETE,
            "the migration is complete",
        ),
    ],
)
def test_a_route_says_why(found: Route, reason: RouteReason, words: str) -> None:
    assert found.reason is reason
    assert found.why == words


@pytest.mark.parametrize(
    ("switches", "expected"),
    [((True, True), 250), ((True, False), 0), ((False, True), 0), ((False, False), 0)],
)
def test_a_percentage_counts_only_while_both_switches_are_on(
    switches: tuple[bool, bool], expected: int
) -> None:
    assert effective_basis_points(250, *switches) == expected


def test_a_switch_that_is_off_shows_the_set_percentage_beside_the_effective_one() -> None:
    found = explain(10_000, enabled=False)
    assert (found.side, found.basis_points, found.set_basis_points) == (Side.SOURCE, 0, 10_000)


def test_an_unknown_algorithm_is_refused_by_name() -> None:
    state = row(1_000, algorithm="crc32/1")
    for decide in (pick_side, route):
        with pytest.raises(ConfigurationError, match=r"crc32/1.*xxh3-64/1"):
            decide(state, Settings(), key="k", subject="u42")


def test_a_subject_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not valid Unicode"):
        pick_side(row(1_000), Settings(), key="k", subject="\udc80")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (100, 10_000),
        (0.01, 1),
        (99.99, 9_999),
        (12.5, 1_250),
        (0.1 + 0.2, 30),
        (Decimal("33.33"), 3_333),
        ("10", 1_000),
        (" 2.50 % ", 250),
        ("100%", 10_000),
        (100.0, 10_000),
        (-0.0, 0),
    ],
)
def test_a_percentage_becomes_basis_points(value: object, expected: int) -> None:
    assert basis_points_from_percentage(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (101, "is 101, which is out of range"),
        (-1, "is -1, which is out of range"),
        (100.01, "is 100.01, which is out of range"),
        (0.001, "is 0.001, which is finer than 0.01"),
        ("0.001", "is '0.001', which is finer than 0.01"),
        ("0.30000000000000004", "finer than 0.01"),
        (Decimal("0.0100001"), "finer than 0.01"),
        ("ten", "is 'ten', which is no number"),
        ("", "is '', which is no number"),
        ("1e1", "is '1e1', which is no number"),
        ("٣", "which is no number"),
        ("1_0", "which is no number"),
        (math.nan, "is nan, which is no number"),
        (math.inf, "is inf, which is no number"),
        (True, "is true, which is no number"),
        (False, "is false, which is no number"),
        (None, "is None, which is no number"),
        ([1], "which is no number"),
    ],
)
def test_what_is_no_percentage_is_refused_with_value_and_range(value: object, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        basis_points_from_percentage(value, "migrations.avatars.percentage")
    text = str(caught.value)
    assert text.startswith("migrations.avatars.percentage is ")
    assert words in text
    assert text.endswith("give a percentage from 0 to 100 in steps of 0.01")


@given(shares)
def test_every_step_of_a_hundredth_survives_text_and_float(basis_points: int) -> None:
    text = percentage_text(basis_points)
    assert basis_points_from_percentage(text) == basis_points
    assert basis_points_from_percentage(float(text)) == basis_points
    assert basis_points_from_percentage(basis_points / 100) == basis_points
