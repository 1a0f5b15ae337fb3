"""What every command takes: the configuration's place, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from crossfade.core.objects import check_key
from crossfade.errors import ConfigurationError, InvalidKeyError
from crossfade.faces.cli.output import Output
from crossfade.setup.configuration import load
from crossfade.setup.refusals import shown

if TYPE_CHECKING:
    from crossfade.setup.configuration import Configuration


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Options that every command has."""

    config: Annotated[
        Path | None,
        Parameter(
            help="the configuration; by default ./crossfade.toml, then what CROSSFADE_CONFIG names"
        ),
    ] = None
    json: Annotated[
        bool,
        Parameter(negative="", help="print one JSON document and nothing else, errors too"),
    ] = False

    def load(self) -> Configuration:
        """Read and check the configuration.

        Raises:
            ConfigurationError: it names the field, its value and what may be given.
        """
        return load(self.config)

    def output(self) -> Output:
        """Return where the command's words go."""
        return Output(self.json)


def require_key(key: str | None) -> None:
    """Refuse a key that was given and is none.

    Raises:
        ConfigurationError: it says why.
    """
    if key is None:
        return
    try:
        check_key(key)
    except InvalidKeyError as error:
        message = f"KEY is {shown(key)}: {error.message}"
        raise ConfigurationError(message, hint=error.hint) from error


COMMON = Common()
