"""What a listing adds up to, held against counting all of it at once."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from crossfade.core.capabilities import Capabilities
from crossfade.core.objects import ObjectInfo
from crossfade.core.tally import (
    EXAMPLES_MAX,
    PART_BYTES,
    PREFIXES_MAX,
    Fitting,
    PrefixAmount,
    Reservoir,
    Tally,
)

PARTS = ("a", "a!", "a0", "ab", "b", "", "z", "\u00fc")


def random_keys(seed: int) -> list[str]:
    chance = random.Random(seed)
    found = {"/".join(chance.choices(PARTS, k=chance.randint(1, 5))) for _ in range(60)}
    return sorted(found - {""})


@pytest.mark.parametrize("seed", range(20))
def test_prefixes_are_those_of_counting_all_at_once(seed: int) -> None:
    keys = random_keys(seed)
    tally = Tally()
    for size, key in enumerate(keys):
        tally.add(key, size)
    for depth in (1, 2, 3):
        bytes_of: Counter[str] = Counter()
        objects_of: Counter[str] = Counter()
        for size, key in enumerate(keys):
            parts = key.split("/")
            if len(parts) > depth:
                prefix = "/".join(parts[:depth]) + "/"
                bytes_of[prefix] += size
                objects_of[prefix] += 1
        if len(objects_of) > 1:
            expected = [
                PrefixAmount(prefix=prefix, objects=count, bytes=bytes_of[prefix])
                for prefix, count in objects_of.items()
            ]
            expected.sort(key=lambda one: (-one.bytes, -one.objects, one.prefix))
            count, largest = tally.prefixes()
            assert count == len(expected)
            assert largest == expected[:PREFIXES_MAX]
            break
    assert tally.total.objects == len(keys)
    assert tally.total.bytes == sum(range(len(keys)))
    assert tally.beside.objects == sum("/" not in key for key in keys)


@pytest.mark.parametrize("seed", range(20))
def test_keys_below_others_are_those_of_comparing_all_with_all(seed: int) -> None:
    keys = random_keys(seed)
    fitting = Fitting(Capabilities(keys_nest=False))
    for key in keys:
        fitting.add(key, 0)
    nested = [key for key in keys if any(key.startswith(f"{other}/") for other in keys)]
    assert fitting.nested.objects == len(nested)
    assert [text.split(" below ")[0] for text in fitting.nested.examples] == nested[:EXAMPLES_MAX]


def test_what_a_side_cannot_hold_is_told_apart_by_its_reason() -> None:
    declared = Capabilities(key_pattern="[a-z]+", object_bytes_max=10)
    fitting = Fitting(declared)
    for key, size in (("UPPER", 1), ("fine", 10), ("large", 11)):
        fitting.add(key, size)
    assert (fitting.keys.objects, fitting.keys.examples) == (1, ["UPPER"])
    assert fitting.sizes.examples == ["large (11 bytes)"]
    whole = Fitting(replace(declared, key_pattern=None, object_bytes_max=None))
    whole.add("UPPER", 11)
    assert (whole.keys.objects, whole.sizes.objects) == (0, 0)


def test_sizes_and_puts_are_counted_by_class_and_part() -> None:
    tally = Tally()
    sizes = (0, 1, 4 << 10, (4 << 10) + 1, PART_BYTES, PART_BYTES + 1, 5 << 30)
    for number, size in enumerate(sizes):
        tally.add(f"{number}", size)
    assert [one.objects for one in tally.classes] == [1, 2, 1, 0, 1, 1, 0, 1]
    assert tally.puts == 5 + (2 + 2) + (5 * 128 + 2)
    assert tally.largest == (5 << 30, "6")


def test_memory_does_not_grow_with_prefixes() -> None:
    tally = Tally()
    for number in range(20_000):
        tally.add(f"{number:05}/x", 1)
    count, largest = tally.prefixes()
    assert (count, len(largest)) == (20_000, PREFIXES_MAX)
    assert all(len(level._largest) <= PREFIXES_MAX for level in tally._levels)


def test_a_sample_is_drawn_from_all_alike() -> None:
    chance = random.Random(7)
    drawn: Counter[str] = Counter()
    for _ in range(2_000):
        sample = Reservoir(5, chance.randrange)
        for number in range(50):
            sample.add(ObjectInfo(key=str(number), size=0, etag=""))
        drawn.update(info.key for info in sample.kept)
    assert drawn.total() == 10_000
    assert len(drawn) == 50
    assert max(abs(count - 200) for count in drawn.values()) < 65  # four and a half deviations
