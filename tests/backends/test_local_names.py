"""Every key has one spelling as a path, every path spells at most one key."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossfade.backends.local import names
from crossfade.backends.local.names import folder_of, key_at, path_of, spelled

PIECES = st.sampled_from(
    [
        "",
        ".",
        "..",
        "%~",
        "%~-",
        "%~+",
        "%~=",
        "%",
        "%00",
        "%25",
        "\0",
        "a",
        "é",
        "😀",
        ".crossfade",
    ]
)
SEGMENTS = st.one_of(
    st.lists(PIECES, max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda t: t.replace("/", "")),
    st.builds(
        lambda head, count, tail: head * count + tail,
        st.sampled_from(["x", "é", "😀", "%", "\0"]),
        st.integers(60, 300),
        PIECES,
    ),
)
unhurried = settings(deadline=None, max_examples=100)  # a busy machine is no defect
KEYS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join).filter(bool)
FILE_NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name)


def segments_of(path: tuple[bytes, ...]) -> list[list[bytes]]:
    """Cut a path into the chains of names that spell one segment each."""
    chains: list[list[bytes]] = [[]]
    for name in path:
        chains[-1].append(name)
        if not name.startswith(names.GOES_ON):
            chains.append([])
    return chains[:-1]


def key_of(path: tuple[bytes, ...]) -> str:
    chains = segments_of(path)
    return "/".join(spelled(c, top=i == 0).segment for i, c in enumerate(chains))


@unhurried
@given(KEYS)
@example("x" * 1024)
@example("x" * 253)
@example("é" * 127 + "/" + "%" * 90)
def test_both_places_of_a_key_spell_that_key(key: str) -> None:
    path = path_of(key)
    assert key_of(path.plain) == key
    assert key_of(path.beside) == key
    assert not spelled(segments_of(path.plain)[-1], top="/" not in key).beside
    assert spelled(segments_of(path.beside)[-1], top="/" not in key).beside


@unhurried
@given(KEYS)
def test_each_name_is_one_that_a_file_may_have(key: str) -> None:
    path = path_of(key)
    for name in (*path.plain, *path.beside):
        assert 1 <= len(name) <= names.NAME_BYTES_MAX
        assert name not in {b".", b".."}
        assert b"/" not in name
        assert b"\0" not in name
        name.decode()
    assert path.plain[0] != names.OWN_FOLDER
    assert path.beside[0] != names.OWN_FOLDER


@unhurried
@given(KEYS, KEYS)
def test_two_keys_never_share_a_file(one: str, other: str) -> None:
    if one != other:
        paths = {p for key in (one, other) for p in (path_of(key).plain, path_of(key).beside)}
        assert len(paths) == 4


@unhurried
@given(KEYS)
def test_a_file_beside_is_never_where_a_directory_may_be(key: str) -> None:
    beside = path_of(key).beside
    assert beside[-1].startswith(names.BESIDE)
    assert not any(name.startswith(names.BESIDE) for name in folder_of(key + "/"))


@unhurried
@given(KEYS)
def test_what_is_plain_stays_plain(key: str) -> None:
    plain = all(
        0 < len(s.encode()) <= 255 and s not in {".", ".."} and "\0" not in s and s[:2] != "%~"
        for s in key.split("/")
    )
    if plain and key.split("/", maxsplit=1)[0] != ".crossfade":
        assert path_of(key).plain == tuple(key.encode().split(b"/"))


@unhurried
@given(KEYS)
def test_the_shortcut_spells_like_the_long_way(key: str) -> None:
    *parents, last = key.encode().split(b"/")
    folders = folder_of("/".join(key.split("/")[:-1]) + "/") if parents else ()
    assert path_of(key).beside == (*folders, *names._pieces(names._escape(last), names.BESIDE))
    assert path_of(key).plain == (*folders, *names._names(last, top=not parents))


@unhurried
@given(KEYS, SEGMENTS)
def test_the_file_in_a_directorys_way_is_that_of_the_key_above(key: str, segment: str) -> None:
    below = path_of(f"{key}/{segment}").plain
    depth = len(folder_of(key + "/"))
    assert below[:depth] == path_of(key).plain
    assert key_at(f"{key}/{segment}", depth) == key


def test_no_key_is_in_the_way_in_the_middle_of_a_long_segment() -> None:
    assert key_at("x" * 600, 1) is None
    assert key_at("x" * 600, 3) == "x" * 600
    assert key_at("a", 2) is None


@unhurried
@given(st.lists(FILE_NAMES, min_size=1, max_size=3), st.booleans())
@example([b"%~-a"], False)
@example([b"%~-%41"], False)
@example([b"%~-%"], False)
@example([b"%~+a", b"%~-b"], False)
@example([b"%~=" + b"x" * 253], False)
@example([b"%~?"], False)
@example([b"%~"], False)
@example([b"\xff"], False)
@example([b"a\xcc"], True)
@example([b".crossfade"], True)
def test_only_the_one_spelling_of_a_segment_is_read(chain: list[bytes], top: bool) -> None:
    try:
        spelling = spelled(chain, top=top)
    except ValueError:
        return
    key = spelling.segment if top else f"above/{spelling.segment}"
    path = path_of(key)
    skip = 0 if top else 1
    assert tuple(chain) == (path.beside if spelling.beside else path.plain)[skip:]


@pytest.mark.parametrize(
    "chain", [[b"%~-a"], [b"%~-%41"], [b"%~+a", b"%~-b"], [b"%~?"], [b"%~"], [b"\xff"], [b"%~+a"]]
)
def test_other_spellings_are_refused(chain: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"not the spelling|utf-8"):
        spelled(chain, top=False)
