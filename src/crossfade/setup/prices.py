"""The table of prices: what comes with the package, or a file of the same form."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from crossfade.core.bills import Price
from crossfade.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from crossfade.setup.sides import SideAddress

_FILE_BYTES_MAX = 1 << 20
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
NOTHING = Price(name="this machine", as_of="", writes=0.0, reads=0.0, out=0.0, month=0.0)


class _Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    as_of: date
    hosts: tuple[str, ...]
    writes: float
    reads: float
    out: float
    month: float


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices by place, all in one currency."""

    currency: str
    places: tuple[_Place, ...]

    def of(self, address: SideAddress) -> Price | None:
        """Return what a side charges; None where the table does not have it."""
        if address.bucket is None:
            return NOTHING
        host = urlsplit(address.bucket.endpoint or "https://amazonaws.com").hostname or ""
        if host in _HERE:
            return NOTHING
        for place in self.places:
            if any(host == one or host.endswith(f".{one}") for one in place.hosts):
                return Price(
                    name=place.name,
                    as_of=place.as_of.isoformat(),
                    writes=place.writes,
                    reads=place.reads,
                    out=place.out,
                    month=place.month,
                )
        return None


def load_prices(path: Path | None) -> Prices:
    """Read a table of prices; without a path, the one that comes with the package.

    Raises:
        ConfigurationError: the file cannot be read, or is no such table.
    """
    try:
        if path is None:
            data = files("crossfade.setup").joinpath("prices.toml").read_bytes()
        else:
            with path.open("rb") as file:
                data = file.read(_FILE_BYTES_MAX)
        prices = msgspec.toml.decode(data, type=Prices)
    except OSError as error:
        message = f"the prices {path} cannot be read: {error.strerror}"
        raise ConfigurationError(message, hint="give a file that this user can read") from error
    except (msgspec.MsgspecError, ValueError) as error:
        message = f"{path} is no table of prices: {error}"
        hint = "write currency, and [[places]] with name, as_of, hosts, writes, reads, out, month"
        raise ConfigurationError(message, hint=hint) from error
    numbers = [n for one in prices.places for n in (one.writes, one.reads, one.out, one.month)]
    if not all(0 <= number < float("inf") for number in numbers):
        message = f"{path} has a price below 0, or one that is no number"
        raise ConfigurationError(message, hint="give prices of 0 and above")
    return prices
