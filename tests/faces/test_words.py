from __future__ import annotations

from crossfade.core.objects import Side
from crossfade.faces.cli.moving import _decided
from crossfade.files.verification import Finding


def finding(source_tag: str | None, target_tag: str | None) -> Finding:
    return Finding(key="k", kind="drift", source_tag=source_tag, target_tag=target_tag)


def test_the_question_of_repair_says_what_becomes_of_the_other_side() -> None:
    found = [finding("1", "2"), finding("1", "2"), finding(None, "2"), finding("1", None)]
    assert _decided(found, Side.SOURCE) == "write over 2 objects, delete 1 object, add 1 object"
    assert _decided(found[2:3], Side.SOURCE) == "delete 1 object"
    assert _decided(found[2:3], Side.TARGET) == "add 1 object"
    assert _decided([finding(None, None)], Side.SOURCE) == "change nothing"
