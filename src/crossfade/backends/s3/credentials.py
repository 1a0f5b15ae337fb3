"""Whom requests are signed for: from the environment, the shared files, or a file that is named.

No secret is ever shown: not in a `repr`, not in an error. Files are read again after a while, so
that credentials that were renewed in place are taken up by a process that goes on.
"""

from __future__ import annotations

import os
import time
from configparser import ConfigParser
from configparser import Error as ParserError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.errors import AccessDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PROFILE = "default"
DEFAULT_REGION = "us-east-1"
_KEPT_SECONDS = 60.0
_FILE_BYTES_MAX = 1 << 20
_NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An access key with its secret, and a token where it is a temporary one."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


class CredentialSource:
    """Finds credentials, and remembers them for a minute.

    Args:
        profile: a section of the shared files; it wins over the environment's keys.
        file: a file in the form of ``~/.aws/credentials`` that is read instead of the shared
            ones; it wins over the environment's keys too.
        environment: the process's own by default.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        *,
        profile: str = "",
        file: Path | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._profile = profile
        self._file = file
        self._clock = clock
        self._found: Credentials | None = None
        self._found_at = 0.0

    def current(self, operation: str) -> Credentials:
        """Return the credentials to sign with now.

        Raises:
            AccessDeniedError: there are none; it says where they were looked for.
        """
        now = self._clock()
        if self._found is None or now - self._found_at > _KEPT_SECONDS:
            self._found = self._find(operation)
            self._found_at = now
        return self._found

    def region(self) -> str:
        """Return the region that the environment or the profile names, else ``us-east-1``."""
        for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            if found := self._environment.get(variable, ""):
                return found
        section = self._section(self._config_file(), "region")
        return section.get("region", "") or DEFAULT_REGION

    def _find(self, operation: str) -> Credentials:
        if not self._profile and self._file is None:
            values = [self._environment.get(name.upper(), "") for name in _NAMES]
            if values[0] and values[1]:
                return _credentials(values)
        for path in self._files():
            section = self._section(path, operation)
            values = [section.get(name, "") for name in _NAMES]
            if values[0] and values[1]:
                return _credentials(values)
        looked = " and ".join(str(path) for path in self._files())
        place = f"profile {self._name()!r} of {looked}"
        if not self._profile and self._file is None:
            place = f"AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, and {place}"
        message = f"there are no credentials: looked for {place}"
        hint = "give them there; profile= or credentials= of the URL names another place"
        raise AccessDeniedError(message, operation=operation, hint=hint)

    def _name(self) -> str:
        if self._profile or self._file is not None:
            return self._profile or DEFAULT_PROFILE
        return self._environment.get("AWS_PROFILE", "") or DEFAULT_PROFILE

    def _files(self) -> list[Path]:
        if self._file is not None:
            return [self._file]
        named = self._environment.get("AWS_SHARED_CREDENTIALS_FILE", "")
        return [Path(named or "~/.aws/credentials").expanduser(), self._config_file()]

    def _config_file(self) -> Path:
        named = self._environment.get("AWS_CONFIG_FILE", "")
        return Path(named or "~/.aws/config").expanduser()

    def _section(self, path: Path, operation: str) -> Mapping[str, str]:
        """Return a file's values for the profile; nothing when it has none."""
        parser = ConfigParser(interpolation=None, strict=False, default_section="")
        try:
            with path.open(encoding="utf-8") as file:
                parser.read_string(file.read(_FILE_BYTES_MAX))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            message = f"the credentials' file {path} cannot be read: {reason}"
            hint = "give a file that this user can read"
            raise AccessDeniedError(message, operation=operation, hint=hint) from None
        except ParserError:  # Its text holds lines of the file.
            message = f"{path} is not in the form of a credentials' file"
            hint = "write [profile] and name = value below it"
            raise AccessDeniedError(message, operation=operation, hint=hint) from None
        for section in (self._name(), f"profile {self._name()}"):
            if parser.has_section(section):
                return dict(parser[section])
        return {}


def _credentials(values: list[str]) -> Credentials:
    return Credentials(access_key=values[0], secret_key=values[1], session_token=values[2])
