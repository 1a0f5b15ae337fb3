"""The tables of `crossfade.toml`, declared once: names, types, legal ranges and meanings.

The structs that read the file, the words of a refusal, the example of `crossfade init` and the
test of `docs/reference/settings.md` all come from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from crossfade.core.routing import PERCENTAGE_RANGE
from crossfade.core.settings import Limits, Mirror, Settings, Timing, Unit, Workers

MASTER_VARIABLE = "ENABLE_UNIFIED_MANAGER"
FALLBACK_VARIABLE = "ENABLE_FALLBACK_TO_LEGACY"
RETRIES_VARIABLE = "MAX_RETRY_ATTEMPTS"
CONFIG_VARIABLE = "CROSSFADE_CONFIG"
SWITCH_PATTERN = "ENABLE_{}_MIGRATION"
PERCENTAGE_PATTERN = "{}_ROLLOUT_PERCENTAGE"

GROUP_OF_ALL = "all"
"""The group of a migration that names none; its salt is the same word."""

STORE_URL = "sqlite:///.crossfade/catalog.db"
MEMORY_STORE_URL = "memory://"

_HOUR = 3_600
_DAY = 86_400
_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field of one table.

    Attributes:
        kind: bool, int, float, str or an enumeration; `Any` where a parser of its own reads it.
        default: what holds where it is not given; None where it must be given.
        above: an exclusive lower bound; `least` and `most` are inclusive.
        count: what a number counts, for the words of its range.
        words: the range in words, where type and bounds do not say it.
        variable: the environment variable that wins over the file.
        place: the field of `Settings`, `Timing` or `Limits` that it becomes.
    """

    name: str
    kind: Any
    default: Any
    meaning: str
    above: float | None = None
    least: float | None = None
    most: float | None = None
    count: str = ""
    words: str = ""
    variable: str = ""
    place: tuple[str, str] | None = None

    @property
    def legal(self) -> str:
        """What may be given, in words."""
        if self.words:
            return self.words
        if self.kind is bool:
            return "true or false"
        if is_choice(self):
            return "one of " + ", ".join(self.kind)
        whole = "a whole number" if self.kind is int else "a number"
        counted = f"{whole} of {self.count}" if self.count else whole
        if self.above is not None:
            return f"{counted} above {self.above:,g} and up to {self.most:,}"
        return f"{counted} from {self.least:,} to {self.most:,}"

    @property
    def annotation(self) -> object:
        """The type that msgspec converts to and checks."""
        if self.kind is Any or self.kind is bool or self.words or is_choice(self):
            return self.kind
        if self.above is not None:
            return Annotated[self.kind, msgspec.Meta(gt=self.above, le=self.most)]
        return Annotated[self.kind, msgspec.Meta(ge=self.least, le=self.most)]


def is_choice(setting: Setting) -> bool:
    """Tell whether the setting takes one of a few words."""
    return isinstance(setting.kind, type) and issubclass(setting.kind, StrEnum)


def _seconds(
    name: str, place: str, meaning: str, *, most: float, least: float | None = None
) -> Setting:
    above = 0.0 if least is None else None
    default = getattr(Timing(), place)
    return Setting(
        name=name,
        kind=float,
        default=default,
        meaning=meaning,
        above=above,
        least=least,
        most=most,
        count="seconds",
        place=("timing", place),
    )


def _limit(
    name: str,
    meaning: str,
    *,
    least: float | None,
    most: float,
    place: str = "",
    variable: str = "",
) -> Setting:
    place = place or name
    default = getattr(Limits(), place)
    count = next((unit for unit in ("seconds", "bytes") if f"_{unit}" in name), "")
    return Setting(
        name=name,
        kind=type(default),
        default=default,
        meaning=meaning,
        above=0.0 if least is None else None,
        least=least,
        most=most,
        count=count,
        variable=variable,
        place=("limits", place),
    )


_DEFAULTS = Settings()

TUNABLES = (
    Setting(
        name="unit",
        kind=Unit,
        default=_DEFAULTS.unit,
        place=("settings", "unit"),
        meaning="what the percentage is a share of: users, keys, or requests drawn at random",
    ),
    Setting(
        name="mirror",
        kind=Mirror,
        default=_DEFAULTS.mirror,
        place=("settings", "mirror"),
        meaning="when the other side is written: after the answer (async), before it (sync), at "
        "the same time (parallel), or async until the migration is verified and then sync (auto)",
    ),
    Setting(
        name="fallback",
        kind=bool,
        default=_DEFAULTS.fallback,
        place=("settings", "fallback"),
        variable=FALLBACK_VARIABLE,
        meaning="whether the other side is asked when the first one fails and the protocol "
        "allows it",
    ),
    Setting(
        name="workers",
        kind=Workers,
        default=_DEFAULTS.workers,
        place=("settings", "workers"),
        meaning="where mirror and recovery run: in the application too (inline), or only in "
        "`crossfade worker` (separate)",
    ),
    _limit(
        "max_retry_attempts",
        "requests to one side for one operation, the first one included",
        least=1,
        most=100,
        place="attempts_max",
        variable=RETRIES_VARIABLE,
    ),
    _limit("timeout_seconds", "deadline of one call, waiting included", least=None, most=_DAY),
    _seconds(
        "lease_seconds",
        "lease",
        "how long a write holds its key; renewed at a third of it",
        most=_HOUR,
    ),
    _seconds(
        "late_seconds_max",
        "late_max",
        "how long a request of unknown outcome may still land",
        least=0,
        most=_DAY,
    ),
    _seconds(
        "late_complete_seconds_max",
        "late_complete_max",
        "how long one may that puts the parts of a large object together; at least as long as "
        "`late_seconds_max`",
        least=0,
        most=_DAY,
    ),
    _seconds(
        "look_seconds_max",
        "look_max",
        "how long a read may take between its two looks at the catalog before it starts over",
        most=_HOUR,
    ),
    _seconds(
        "copier_wait_seconds",
        "copier_wait",
        "how long a write waits for a copy of its key before it takes the key over",
        least=0,
        most=_HOUR,
    ),
    _seconds(
        "complete_wait_seconds",
        "complete_wait",
        "how long `complete` makes new writes wait until no key is open",
        most=600,
    ),
    _seconds(
        "proof_age_seconds_max",
        "proof_age_max",
        "how old a verification may be for `complete`",
        most=30 * _DAY,
    ),
    _limit("small_body_bytes", "bodies up to this size are kept in memory", least=0, most=_GIB),
    _limit(
        "body_buffer_bytes_max",
        "the largest body that is kept in a temporary file for retries",
        least=0,
        most=_GIB << 10,
    ),
    _limit("chunk_bytes", "what is read or written at once", least=4 << 10, most=64 * _MIB),
    _limit("page_keys", "keys in one page of a listing", least=1, most=1_000),
    _limit("copies_max", "copies under way at once in one process", least=1, most=1_024),
    _limit(
        "background_max",
        "commits and copies under way in one process; above it a put commits before it answers, "
        "and its copy is left to a worker",
        least=0,
        most=1_000_000,
    ),
    _limit("poll_seconds", "how often a worker looks for something to do", least=None, most=60),
    _limit("drain_seconds", "how long closing waits for what is under way", least=0, most=_HOUR),
    _limit("keys_listed_max", "how many keys a report or an error names", least=1, most=10_000),
)

CROSSFADE = (
    Setting(
        name="enabled",
        kind=bool,
        default=False,
        variable=MASTER_VARIABLE,
        meaning="the master switch: while it is off every percentage counts as 0",
    ),
    *TUNABLES,
)

STORE = (
    Setting(
        name="url",
        kind=str,
        default=STORE_URL,
        words="sqlite:///file (beside the configuration), sqlite:////absolute/file or memory://",
        meaning="where Crossfade keeps its own state; memory:// by itself if all sides are memory",
    ),
)

GROUP = (
    Setting(
        name="salt",
        kind=str,
        default="the group's name",
        words="text of 1 to 200 characters",
        meaning="what users are drawn by; migrations with one salt route a user alike",
    ),
)

_SIDE_WORDS = (
    "local:///absolute/dir, local:./dir (beside the configuration), memory://name or "
    "s3://bucket/prefix?endpoint=https://host"
)

MIGRATION = (
    Setting(
        name="source",
        kind=str,
        default=None,
        words=_SIDE_WORDS,
        meaning="where the files are today",
    ),
    Setting(
        name="target",
        kind=str,
        default=None,
        words=_SIDE_WORDS,
        meaning="where they are to go",
    ),
    Setting(
        name="enabled",
        kind=bool,
        default=False,
        variable=SWITCH_PATTERN.format("<NAME>"),
        meaning="the migration's own switch: while it is off its percentage counts as 0",
    ),
    Setting(
        name="percentage",
        kind=Any,
        default=0,
        words=PERCENTAGE_RANGE,
        variable=PERCENTAGE_PATTERN.format("<NAME>"),
        meaning="share of the target at the first start; later the value that was set at run "
        "time wins",
    ),
    Setting(
        name="group",
        kind=str,
        default=GROUP_OF_ALL,
        words="the name of a [groups.NAME] table",
        meaning="migrations of one group share a salt, so that a user is never half moved",
    ),
    *TUNABLES,
)

TABLES = {
    "crossfade": CROSSFADE,
    "store": STORE,
    "groups.NAME": GROUP,
    "migrations.NAME": MIGRATION,
}


def _struct(name: str, settings: tuple[Setting, ...]) -> type[msgspec.Struct]:
    fields = [(s.name, s.annotation | msgspec.UnsetType, msgspec.UNSET) for s in settings]
    return msgspec.defstruct(name, fields, kw_only=True, frozen=True, forbid_unknown_fields=True)


STRUCTS = {path: _struct(path, settings) for path, settings in TABLES.items()}
