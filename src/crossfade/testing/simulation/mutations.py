"""Each rule of the protocol taken out of the product's own code, one at a time.

A rule whose absence no schedule catches is redundant or untested: ``seeds.json`` keeps for each
the seed that does. The first names are those of the model in ``docs/protocol/``; the rest are
rules that it leaves to the simulation.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from crossfade.core import duty, protocol, staging
from crossfade.core.objects import BOTH_SIDES, Side
from crossfade.core.records import Decision
from crossfade.files import completion
from crossfade.testing.simulation.corners import ASSEMBLING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crossfade.core.intents import Ask, Outcome
    from crossfade.core.records import Census, Intent, Look, Record
    from crossfade.core.settings import Timing
    from crossfade.files.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One rule taken out.

    Attributes:
        rule: the number of the rule in ``docs/protocol.md``.
        replaced: what stands for which function, as module, name, substitute.
        corner: the kind of world in which its absence is seen soonest; "" for any.
    """

    rule: int
    replaced: tuple[tuple[Any, str, Callable[..., Any]], ...]
    corner: str = ""


SEEDS_FILE = Path(__file__).with_name("seeds.json")


def kept_seeds() -> dict[str, int]:
    """Return for each mutation the seed that was found to catch it."""
    kept: dict[str, int] = json.loads(SEEDS_FILE.read_text())
    return kept


@contextmanager
def without(name: str) -> Iterator[None]:
    """Run the block with that rule taken out."""
    mutation = MUTATIONS[name]
    originals = [
        (module, attribute, getattr(module, attribute))
        for module, attribute, _ in mutation.replaced
    ]
    for module, attribute, substitute in mutation.replaced:
        setattr(module, attribute, substitute)
    try:
        yield
    finally:
        for module, attribute, original in originals:
            setattr(module, attribute, original)


def _one(rule: int, name: str, substitute: Callable[..., Any], corner: str = "") -> Mutation:
    return Mutation(rule=rule, replaced=((protocol, name, substitute),), corner=corner)


_take, _recover, _due_at = protocol.take, protocol.recover, duty.due_at


def _take_without_mark(
    look: Look, record: Record | None, primary: Side, ask: Ask, timing: Timing
) -> Decision[Any]:
    """Give the key to the writer, but keep nothing of it."""
    return replace(_take(look, record, primary, ask, timing), record=record)


def _both(_: Record) -> frozenset[Side]:
    return frozenset(BOTH_SIDES)


def _stays(record: Record, outcomes: Any) -> Side:
    return record.authority


def _only_known(outcome: Outcome) -> bool:
    return outcome.taken


def _not_own(record: Record | None, token: str) -> bool:
    return record is not None and record.intent is not None


def _recover_without_doubt(intent: Intent) -> frozenset[Side]:
    return frozenset()


def _take_over_without_doubt(record: Record, now: float, timing: Timing) -> Record | None:
    """End a living copier's intent as if nothing of it were under way."""
    recovered = _recover(record, now, timing)
    intent = record.intent
    if recovered is None or intent is None or intent.lease_until <= now:
        return recovered
    return replace(recovered, doubt=record.doubt)


def _due_though_marked(record: Record, *, completed: bool) -> float | None:
    return _due_at(replace(record, mark=None), completed=completed)


def _doubt_without_looks(start: float, timing: Timing, *, completes: bool = False) -> float:
    return start + protocol.lands_within(timing, completes=completes)


async def _complete_in_two(engine: Engine) -> tuple[str, Census]:
    """Check in one transaction and commit in the next, when marks are held back no more."""
    census = await engine.catalog.census(engine.name)
    await anyio.sleep(engine.timing.complete_wait * 1.5)
    refusal = protocol.complete_refusal(census, engine.timing)
    if refusal:
        return refusal, census

    def decide(now: Census) -> Any:
        return replace(now.migration, completed=True), ("", now)

    return await engine.catalog.change_row(engine.name, decide)


MUTATIONS = {
    "mark": _one(1, "take", _take_without_mark),
    "announce": Mutation(
        rule=1,
        replaced=(
            (protocol, "announced_at_mark", lambda sides: frozenset(list(sides)[:1])),
            (
                protocol,
                "announce",
                lambda look, token, side: Decision(
                    look.record, protocol.is_own(look.record, token)
                ),
            ),
        ),
    ),
    "lease": _one(2, "lease_held", lambda intent, now: False),
    "fence": _one(2, "is_own", _not_own),
    "take_over": _one(2, "recover", _take_over_without_doubt),
    "open_at_authority": _one(3, "open_sides", _both),
    "unsealed_at_source": _one(3, "closed_sides", lambda *, sealed: frozenset(BOTH_SIDES)),
    "look_again": _one(4, "still_current", lambda look, side: True),
    "list_open": _one(4, "keys_to_ask", lambda before, after: frozenset()),
    "move_at_commit": _one(5, "authority_after", _stays),
    "doubt": Mutation(
        rule=6,
        replaced=(
            (protocol, "left_in_doubt", lambda outcome: False),
            (protocol, "announced_into_doubt", _recover_without_doubt),
        ),
    ),
    "doubt_retry": _one(6, "retried_into_doubt", lambda outcome: False),
    "doubt_write": _one(6, "sendable", lambda record, side, now: True),
    "doubt_copy": _one(6, "no_doubt_left", lambda record, now: True),
    "doubt_lasts": _one(6, "doubt_until", lambda start, timing, *, completes=False: start),
    "doubt_completes": _one(
        6, "lands_within", lambda timing, *, completes: timing.late_max, ASSEMBLING
    ),
    "doubt_reads": _one(6, "doubt_until", _doubt_without_looks, "lingering"),
    "extra": _one(7, "only_target_holds", lambda marked: False),
    "extra_noted": _one(7, "noted_extra", lambda: None),
    "delete_known": Mutation(
        rule=7,
        replaced=(
            (protocol, "delete_may_show", _only_known),
            (protocol, "recovered_deleting", lambda intent, *, hit: False),
        ),
        corner="erasing",
    ),
    "paired": _one(
        7,
        "goes_back_to_closed",
        lambda record: record.intent is not None and record.intent.opened,
        "refusing",
    ),
    "condition_waits": _one(8, "condition_may_be_judged", lambda record, now: True, "judging"),
    "complete_closed": _one(9, "open_refusal", lambda census: ""),
    "complete_doubt": _one(9, "sendable_after_complete", lambda record, now: True, "afterwards"),
    "digest": _one(7, "is_damaged", lambda known, found, kept: False),
    "damaged_reads": _one(7, "tells_of_damage", lambda mark, etag, side: False),
    "mark_stays": _one(7, "mark_after", lambda record, *, took: None, "suspecting"),
    "mark_left_alone": Mutation(
        rule=7,
        replaced=(
            (protocol, "left_alone", lambda record: False),
            (duty, "due_at", _due_though_marked),
        ),
    ),
    "look_bound": _one(6, "looked_too_late", lambda elapsed, timing: False, "overstaying"),
    "ended_lease_doubt": _one(6, "doubt_start", lambda now, lease_until: now, "dozing"),
    "copy_check": Mutation(
        rule=7, replaced=((staging, "copy_stands", lambda *_: True),), corner=ASSEMBLING
    ),
    "complete_at_once": Mutation(
        rule=9,
        replaced=((completion, "commit_complete", _complete_in_two),),
        corner="afterwards",
    ),
}
