"""The configuration: a TOML file or a mapping, the environment over it, checked as a whole.

What it says of switches and percentages is where a migration begins. From the first start on the
catalog's row wins, so that no restart raises a percentage after a rollback.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from crossfade.core.protocol import doubt_until
from crossfade.core.records import MigrationRow
from crossfade.core.routing import (
    ALGORITHM,
    basis_points_from_percentage,
    effective_basis_points,
    percentage_text,
)
from crossfade.core.settings import Limits, Settings, Timing
from crossfade.errors import ConfigurationError, MigrationNotFoundError
from crossfade.setup.document import find, read
from crossfade.setup.environment import lay_over
from crossfade.setup.refusals import Origin, OriginKind, convert, shown, suggestion
from crossfade.setup.relations import check_places, check_settings
from crossfade.setup.sides import parse_side, parse_store
from crossfade.setup.tables import GROUP_OF_ALL, MEMORY_STORE_URL, STORE_URL, TUNABLES

if TYPE_CHECKING:
    from crossfade.setup.document import Document
    from crossfade.setup.refusals import Given, Table
    from crossfade.setup.sides import SideAddress

T = TypeVar("T")

_SALT_LENGTH_MAX = 200
_UNSET = Origin(OriginKind.DEFAULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """One setting, its value as the file would say it, and where that came from."""

    field: str
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredMigration:
    """One migration as it is configured.

    Attributes:
        source, target: the sides' URLs in their one spelling.
        enabled: its own switch; `settings.enabled` is both switches.
        basis_points: the share of the target at the first start.
        group, salt: who shares its users' buckets.
    """

    name: str
    source: str
    target: str
    enabled: bool
    basis_points: int
    group: str
    salt: str
    settings: Settings

    @property
    def effective_basis_points(self) -> int:
        """The configured share if both switches are on, else 0."""
        return effective_basis_points(self.basis_points, self.settings.enabled)

    @property
    def goes_in_parts(self) -> bool:
        """Whether a side takes large objects in parts, which may be put together late."""
        sides = (parse_side(url, folder=Path()) for url in (self.source, self.target))
        return any(side.bucket is not None for side in sides)

    def row(self) -> MigrationRow:
        """Return the row that `Catalog.prepare` keeps if it has none yet."""
        return MigrationRow(
            name=self.name,
            source=parse_side(self.source, folder=Path()).place,
            target=parse_side(self.target, folder=Path()).place,
            salt=self.salt,
            algorithm=ALGORITHM,
            basis_points=self.basis_points,
            late_max=self.settings.timing.late_max,
            look_max=self.settings.timing.look_max,
            late_complete_max=self.settings.timing.late_complete_max,
            known_wall=time.time(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration that was checked as a whole.

    Attributes:
        path: the file; None for a mapping.
        folder: what relative places are relative to.
        enabled: the master switch.
        store_url: where the catalog is, absolute.
        salts: each group's salt.
        migrations: by name, in the file's order.
        in_force: every setting with its value and origin, for `status`.
        unused_variables: variables that look like a migration's and name none; `check` warns.
    """

    path: Path | None
    folder: Path
    enabled: bool
    store_url: str
    salts: Mapping[str, str]
    migrations: Mapping[str, ConfiguredMigration]
    in_force: tuple[InForce, ...]
    unused_variables: tuple[str, ...]

    @property
    def doubt_seconds(self) -> float:
        """How long a doubt of any migration can last; the store needs it after a reboot."""
        timings = [one.settings.timing for one in self.migrations.values()] or [Timing()]
        parts = any(one.goes_in_parts for one in self.migrations.values())
        return max(doubt_until(0.0, timing, completes=parts) for timing in timings)

    def migration(self, name: str) -> ConfiguredMigration:
        """Return a migration by its name.

        Raises:
            MigrationNotFoundError: none is called that; it names those that are.
        """
        try:
            return self.migrations[name]
        except KeyError:
            message = f"no migration is called {name!r}"
            known = ", ".join(self.migrations) or "none"
            hint = f"configured are: {known}{suggestion(name, self.migrations)}"
            raise MigrationNotFoundError(message, hint=hint) from None

    def origin(self, field: str) -> Origin:
        """Return where a setting's value came from, by its path (`migrations.avatars.unit`)."""
        return next(entry.origin for entry in self.in_force if entry.field == field)


def load(
    source: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Configuration:
    """Read and check a configuration; nothing but its file is opened.

    Args:
        source: a TOML file, or a mapping of the same shape; None looks for ``crossfade.toml`` in
            the working directory, then for what ``CROSSFADE_CONFIG`` names.
        environment: the variables that win over it; None is the process's own.

    Raises:
        ConfigurationError: it names the field, its value and what may be given.
    """
    environment = os.environ if environment is None else environment
    where = source if isinstance(source, Mapping) else find(source, environment)
    document = read(where)
    unused = lay_over(document, environment)
    return _Loader(document).load(unused)


class _Loader:
    """Turns a document into a configuration and notes where each value came from."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._in_force: list[InForce] = []
        self._sides: list[tuple[str, SideAddress]] = []
        self._salts: dict[str, str] = {}
        self._enabled = False

    def load(self, unused: tuple[str, ...]) -> Configuration:
        document = self._document
        general = convert(document.crossfade)
        self._enabled = self._take(document.crossfade, general, "enabled", default=False)
        self._salts = self._groups()
        migrations = {
            name: self._migration(name, table, general)
            for name, table in document.migrations.items()
        }
        store = parse_store(self._store_url(), folder=document.folder)
        check_places(self._sides, store)
        return Configuration(
            path=document.path,
            folder=document.folder,
            enabled=self._enabled,
            store_url=store.url,
            salts=MappingProxyType(self._salts),
            migrations=MappingProxyType(migrations),
            in_force=tuple(self._in_force),
            unused_variables=unused,
        )

    def _take(self, table: Table, given: Given, name: str, *, default: T) -> T:
        value: T = given.get(name, default)
        return self._note(table, name, value, table.origins.get(name))

    def _note(self, table: Table, name: str, value: T, origin: Origin | None) -> T:
        entry = InForce(field=f"{table.path}.{name}", value=value, origin=origin or _UNSET)
        self._in_force.append(entry)
        return value

    def _store_url(self) -> str:
        table = self._document.store
        in_memory = bool(self._sides) and all(side.path is None for _, side in self._sides)
        default = MEMORY_STORE_URL if in_memory else STORE_URL
        return self._take(table, convert(table), "url", default=default)

    def _groups(self) -> dict[str, str]:
        salts = {GROUP_OF_ALL: GROUP_OF_ALL}
        for name, table in self._document.groups.items():
            salt = self._take(table, convert(table), "salt", default=name)
            if not 1 <= len(salt) <= _SALT_LENGTH_MAX or not _is_unicode(salt):
                raise table.refusal("salt")
            salts[name] = salt
        return salts

    def _migration(self, name: str, table: Table, general: Given) -> ConfiguredMigration:
        given = convert(table)
        source, target = (self._side(table, given, side) for side in ("source", "target"))
        enabled = self._take(table, given, "enabled", default=False)
        points = self._percentage(table, given)
        group = self._group(table, given)
        settings = self._settings(table, given, general, enabled=self._enabled and enabled)
        return ConfiguredMigration(
            name=name,
            source=source,
            target=target,
            enabled=enabled,
            basis_points=points,
            group=group,
            salt=self._salts[group],
            settings=settings,
        )

    def _side(self, table: Table, given: Given, name: str) -> str:
        if name not in given:
            raise table.refusal(name)
        field = f"{table.path}.{name}"
        address = parse_side(given[name], folder=self._document.folder, field=field)
        self._sides.append((field, address))
        self._note(table, name, address.url, table.origins.get(name))
        return address.url

    def _percentage(self, table: Table, given: Given) -> int:
        value = given.get("percentage", 0)
        origin = table.origins.get("percentage", _UNSET)
        if isinstance(value, str) and origin.kind is not OriginKind.ENVIRONMENT:
            raise table.refusal("percentage", ", which is text")
        points = basis_points_from_percentage(value, table.called("percentage"))
        self._note(table, "percentage", float(percentage_text(points)), origin)
        return points

    def _group(self, table: Table, given: Given) -> str:
        group = self._take(table, given, "group", default=GROUP_OF_ALL)
        if group not in self._salts:
            message = f"{table.path}.group is {shown(group)}, and there is no [groups.{group}]"
            hint = f"add that table, or give one of {', '.join(self._salts)}"
            raise ConfigurationError(message, hint=hint + suggestion(group, self._salts))
        return group

    def _settings(self, table: Table, given: Given, general: Given, *, enabled: bool) -> Settings:
        chosen: dict[str, dict[str, Any]] = {"settings": {}, "timing": {}, "limits": {}}
        for tunable in TUNABLES:
            name = tunable.name
            said = table if name in given else self._document.crossfade
            value = given.get(name, general.get(name, tunable.default))
            self._note(table, name, value, said.origins.get(name))
            if tunable.place is not None:
                part, field = tunable.place
                chosen[part][field] = value
        settings = Settings(
            enabled=enabled,
            timing=Timing(**chosen["timing"]),
            limits=Limits(**chosen["limits"]),
            **chosen["settings"],
        )
        check_settings(table.path, settings)
        return settings


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
