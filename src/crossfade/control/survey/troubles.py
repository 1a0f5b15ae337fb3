"""What was found of two sides, each with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.control.checkup import Level
from crossfade.core.counts import counted
from crossfade.core.objects import BOTH_SIDES, Pair, Side
from crossfade.core.surroundings import Known
from crossfade.errors import AccessDeniedError
from crossfade.setup.probing import CLOCK_SECONDS_MAX, clock_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crossfade.control.survey.sampling import Sample
    from crossfade.control.survey.walking import Walk
    from crossfade.core.surroundings import Condition, Disk
    from crossfade.core.tally import Unholdable
    from crossfade.errors import BackendError
    from crossfade.setup.probing import ProbedSide

CLOCK_SECONDS_BAD = 600.0
"""So far apart, signatures are about to be refused."""
FREE_SHARE_MIN = 0.1
"""A disk that would be fuller than this leaves room for nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that was found.

    Attributes:
        code: a stable name of its kind.
        side: which side it is about; empty for both.
        message: what is so.
        hint: what to do about it; empty where nothing has to be done.
        examples: a few of the keys.
    """

    level: Level
    code: str
    side: str
    message: str
    hint: str = ""
    examples: tuple[str, ...] = ()


def of_walk(walk: Walk) -> Iterator[Trouble]:
    """Say what a listing showed."""
    fitting = walk.fitting
    table = (
        ("keys_refused", fitting.keys, "the target holds no such keys", _RENAME),
        ("keys_nested", fitting.nested, "the target does not hold a key below another", _RENAME),
        ("too_large", fitting.sizes, "they are over the target's limit of size", _SPLIT),
    )
    for code, found, words, hint in table:
        if found.objects:
            message = f"{counted(found.objects, 'object')} cannot be moved: {words}"
            yield _problem(code, Side.SOURCE, message, hint, found)
    for side in BOTH_SIDES:
        error = walk.walked[side].error
        if error is not None:
            listed = counted(walk.walked[side].tally.total.objects, "key")
            message = f"its listing breaks off after {listed}: {error.message}"
            yield _problem("listing_broken", side, message, error.hint)
    if walk.common:
        yield Trouble(
            level=Level.WARNING,
            code="overlap",
            side=Side.TARGET,
            message=(
                f"{counted(walk.common, 'key is', 'keys are')} held by both sides, "
                f"{walk.unlike:,} of them with another size"
            ),
            hint="the source wins: move away what must not be written over",
        )
    if walk.walked.source.ended and not walk.walked.source.tally.total.objects:
        yield Trouble(
            level=Level.WARNING,
            code="empty",
            side=Side.SOURCE,
            message="it holds no objects",
            hint="look at its URL: is that where the files are?",
        )
    extra = walk.walked.target.tally.total.objects - walk.common
    if extra and walk.walked.source.ended:
        yield Trouble(
            level=Level.NOTE,
            code="extra",
            side=Side.TARGET,
            message=f"{counted(extra, 'object')} of it the source does not have",
            hint="they are neither shown nor deleted until `repair` decides",
        )


_RENAME = "rename them before the move, leave them out, or choose another target"
_SPLIT = "leave them out, or choose a target that holds them"


def of_sample(sample: Sample, objects: int) -> Iterator[Trouble]:
    """Say what a closer look at some objects showed."""
    of = f"of {counted(sample.looked, 'object')} looked at"
    for name, found in sorted(sample.lost.items()):
        carried = name in sample.carried
        yield Trouble(
            level=Level.WARNING,
            code="metadata_lost" if carried else "not_carried",
            side=Side.TARGET if carried else Side.SOURCE,
            message=(
                f"{of} {found.objects:,} have {name.replace('_', ' ')}, which "
                + ("the target does not keep" if carried else "is not carried")
            ),
            hint=(
                "choose a target that keeps it, or make sure that nobody needs it"
                if carried
                else "set it on the target by yourself, or make sure that nobody needs it"
            ),
            examples=tuple(found.examples),
        )
    if sample.refused.objects:
        message = f"{of} {sample.refused.objects:,} have metadata that the target does not take"
        hint = "change their metadata before the move, or choose another target"
        yield _problem("metadata_refused", Side.SOURCE, message, hint, sample.refused)
    if sample.unreadable.objects and sample.refusal is not None:
        looked = min(objects, sample.looked + sample.unreadable.objects)
        message = (
            f"of {counted(looked, 'object')} looked at {sample.unreadable.objects:,} cannot be "
            f"read, and so not be copied: {sample.refusal.message}"
        )
        yield _problem("unreadable", Side.SOURCE, message, sample.refusal.hint, sample.unreadable)
    if sample.archived.objects:
        message = f"{of} {sample.archived.objects:,} are archived and cannot be read as they are"
        hint = "restore them, for longer than the move takes"
        yield _problem("archived", Side.SOURCE, message, hint, sample.archived)


def of_absent(absent: Pair[BackendError | None]) -> Iterator[Trouble]:
    """Say where an absent key is not said to be absent."""
    for side in BOTH_SIDES:
        error = absent[side]
        if error is not None:
            message = f"it does not say that an absent key is not there: {error.message}"
            denied = isinstance(error, AccessDeniedError)
            hint = "allow s3:ListBucket on the bucket to these credentials"
            yield _problem("absent_forbidden", side, message, hint if denied else error.hint)


def of_bucket(side: Side, conditions: Sequence[Condition]) -> Iterator[Trouble]:
    """Say what a bucket's rules mean for a move."""
    for one in conditions:
        if one.known is Known.YES and (side, one.name) in _RULES:
            level, message, hint = _RULES[side, one.name]
            yield Trouble(
                level=level,
                code=one.name,
                side=side,
                message=message.format(words=one.words),
                hint=hint,
            )
    unknown = [one.title for one in conditions if one.known is Known.UNKNOWN]
    if unknown:
        yield Trouble(
            level=Level.NOTE,
            code="unknown",
            side=side,
            message=f"it does not say: {', '.join(unknown)}",
            hint="allow these credentials to read the bucket's settings, or look by yourself",
        )


def of_both(source: Sequence[Condition], target: Sequence[Condition]) -> Iterator[Trouble]:
    """Say what one bucket has and the other has not."""
    there = {one.name: one.known for one in target}
    here = {one.name: one for one in source}
    for name, message, hint in _LIKE_THE_SOURCE:
        one = here.get(name)
        if one is not None and one.known is Known.YES and there.get(name) is not Known.YES:
            yield Trouble(
                level=Level.WARNING,
                code=name,
                side=Side.TARGET,
                message=message.format(words=one.words),
                hint=hint,
            )


_EXPIRES = "disable the rule until the migration is complete, and then set it on the target alone"
_RULES: dict[tuple[Side, str], tuple[Level, str, str]] = {
    (Side.SOURCE, "versioning"): (
        Level.WARNING,
        "versions are kept ({words}): older ones are not carried",
        "keep the bucket for as long as anybody may need them",
    ),
    (Side.TARGET, "versioning"): (
        Level.WARNING,
        "versions are kept ({words}): each overwrite and delete leaves one, which costs",
        "suspend it until the migration is complete, or let a rule remove noncurrent versions",
    ),
    (Side.SOURCE, "object_lock"): (
        Level.WARNING,
        "object lock is on ({words}): retention is not carried",
        "set it on the target by yourself",
    ),
    (Side.TARGET, "object_lock"): (
        Level.WARNING,
        "object lock is on ({words}): what is overwritten or deleted stays, and costs, until then",
        "use a bucket without a default retention until the migration is complete",
    ),
    (Side.SOURCE, "expires"): (
        Level.PROBLEM,
        "{words}, past Crossfade: the target still has what the source no longer does",
        _EXPIRES,
    ),
    (Side.TARGET, "expires"): (
        Level.PROBLEM,
        "{words}, past Crossfade: what was copied vanishes again",
        _EXPIRES,
    ),
    (Side.SOURCE, "archives"): (
        Level.PROBLEM,
        "{words}, where they cannot be read",
        "disable the rule until the migration is complete",
    ),
    (Side.TARGET, "archives"): (
        Level.PROBLEM,
        "{words}, where they cannot be read",
        "disable the rule until the migration is complete",
    ),
    (Side.SOURCE, "public"): (
        Level.WARNING,
        "anybody may read it ({words}): that is not carried",
        "who reads it by its own address goes past Crossfade: move those readers by yourself",
    ),
    (Side.TARGET, "public"): (
        Level.WARNING,
        "anybody may read it ({words})",
        "block public access, unless that is meant",
    ),
}
_LIKE_THE_SOURCE = (
    (
        "cors",
        "the source has CORS rules ({words}), and it has none that are known",
        "set them on the target before browsers come there",
    ),
    (
        "encryption",
        "the source encrypts with {words}, and it does not say that it does",
        "set the encryption that you need on the target",
    ),
)


def of_clock(side: Side, ahead: float | None) -> Iterator[Trouble]:
    """Say where clocks differ."""
    if ahead is not None and abs(ahead) > CLOCK_SECONDS_MAX:
        message, _, hint = clock_words(ahead).partition(": ")
        level = Level.PROBLEM if abs(ahead) > CLOCK_SECONDS_BAD else Level.NOTE
        yield Trouble(level=level, code="clock", side=side, message=message, hint=hint)


def of_disk(disk: Disk | None, needed: int, objects: int) -> Iterator[Trouble]:
    """Say whether the target's file system has room."""
    if disk is None:
        return
    left = disk.free_bytes - needed
    sized = f"{disk.free_bytes:,} bytes are free, and {needed:,} are to come"
    if left < 0:
        yield _problem("disk", Side.TARGET, sized, "make room, or choose another disk")
    elif left < disk.total_bytes * FREE_SHARE_MIN:
        yield Trouble(
            level=Level.WARNING,
            code="disk",
            side=Side.TARGET,
            message=f"{sized}: less than a tenth of the disk would be left",
            hint="make room: backfill writes each object beside the old one before it replaces it",
        )
    if disk.free_files is not None and disk.free_files < objects:
        message = f"{disk.free_files:,} files can be made, and {objects:,} are to come"
        yield _problem("disk_files", Side.TARGET, message, "choose a file system with more inodes")


def of_probe(probed: ProbedSide | None, error: BackendError | None) -> Iterator[Trouble]:
    """Say what a probe of the target found."""
    if error is not None:
        yield _problem("probe", Side.TARGET, error.message, error.hint)
    if probed is None:
        return
    if probed.refusal is not None:
        message = probed.refusal.message.removeprefix(f"{Side.TARGET}: ")
        yield _problem("overclaimed", Side.TARGET, message, probed.refusal.hint)
    for level, found in ((Level.WARNING, probed.warnings), (Level.NOTE, probed.notes)):
        for words in found:
            message, _, hint = words.partition(": ")
            yield Trouble(level=level, code="probe", side=Side.TARGET, message=message, hint=hint)


def _problem(
    code: str, side: Side, message: str, hint: str, found: Unholdable | None = None
) -> Trouble:
    return Trouble(
        level=Level.PROBLEM,
        code=code,
        side=side,
        message=message,
        hint=hint,
        examples=tuple(found.examples) if found else (),
    )
