from __future__ import annotations

from dataclasses import replace

import pytest

from crossfade.control.key_report import words_of
from crossfade.core.objects import Pair, Side
from crossfade.core.records import Intent, Look, Mark, MarkKind, MigrationRow, Operation, Record

ROW = MigrationRow(name="m", source="memory://a", target="memory://b", salt="s", algorithm="x")
CLOSED = Look("k", None, sealed=True, migration=ROW, now=100.0)
INTENT = Intent(
    token="t",
    holder="host:1:x",
    lease_until=112.0,
    operation=Operation.PUT,
    digest=None,
    announced=frozenset({Side.TARGET}),
    opened=True,
)
RECORD = Record(authority=Side.TARGET, since=90.0)
MARK = Mark(kind=MarkKind.DRIFT, tags=Pair("a", "b"), since=95.0)


def opened(record: Record, *, completed: bool = False) -> Look:
    return replace(CLOSED, record=record, migration=replace(ROW, completed=completed))


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (CLOSED, "both sides hold the same"),
        (replace(CLOSED, sealed=False), "not sealed, so the source answers"),
        (replace(CLOSED, sealed=False, extra=True), "the target alone holds it"),
        (replace(CLOSED, migration=replace(ROW, completed=True)), "the target alone answers"),
        (opened(RECORD), "open for 10 s: the target alone answers"),
        (opened(RECORD), "the source waits to be brought up"),
        (opened(replace(RECORD, intent=INTENT)), "a put of host:1:x is under way to target"),
        (opened(replace(RECORD, intent=INTENT)), "its lease lasts 12 s"),
        (opened(replace(RECORD, intent=replace(INTENT, lease_until=97.0))), "lapsed 3 s ago"),
        (opened(replace(RECORD, intent=replace(INTENT, announced=frozenset()))), "to no side"),
        (opened(replace(RECORD, doubt=Pair(130.0, None))), "show on the source for 30 s"),
        (opened(replace(RECORD, doubt=Pair(130.0, None))), "when no side is in doubt"),
        (opened(replace(RECORD, deleting=True)), "a delete was sent"),
        (opened(replace(RECORD, mark=MARK)), "marked drift 5 s ago"),
        (opened(replace(RECORD, attempts=3, next_attempt=108.0)), "3 copies to the source failed"),
        (opened(replace(RECORD, attempts=3, next_attempt=108.0)), "begins in 8 s"),
        (opened(RECORD, completed=True), "its record goes"),
    ],
)
def test_a_keys_record_is_told_in_words(look: Look, words: str) -> None:
    assert words in " | ".join(words_of(look))


def test_a_doubt_that_is_over_is_not_told() -> None:
    assert "may still show" not in " ".join(words_of(opened(replace(RECORD, doubt=Pair(1.0, 2.0)))))
