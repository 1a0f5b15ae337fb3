"""What servers of the S3 family are known to do otherwise, each under its name.

``server=rclone`` in a side's URL chooses one. What a server cannot do is declared, and nothing is
asked or compared further than declared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from crossfade.core.capabilities import Capabilities
from crossfade.core.objects import KEY_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

PART_BYTES_MIN = 5 << 20
PARTS_MAX = 10_000
OBJECT_BYTES_MAX = 5 << 40
_NAME_CHARACTER = r"[a-z0-9!#$%&'*+.^_`|~-]"
_NAME_CHARACTER_OF_MOTO = _NAME_CHARACTER.replace("_", "")
_METADATA_BYTES_MAX = 2 << 10
# A name of a file, and in printable ASCII: others are taken for one another where they look alike,
# and a control character is taken and then not found.
_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[\x20-\x2e\x30-\x7e]{1,255}"

_WHOLE = Capabilities(
    tags_recur=True,
    object_bytes_max=OBJECT_BYTES_MAX,
    metadata_name_pattern=f"{_NAME_CHARACTER}+",
    metadata_bytes_max=_METADATA_BYTES_MAX,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One kind of server.

    Attributes:
        tags_are_md5: an entity tag is the MD5 of all bytes, also of an object that was put in
            parts, whose completion names another.
        deletes_absent: takes the delete of an absent key for one, whatever lies beside it.
    """

    name: str
    capabilities: Capabilities = _WHOLE
    tags_are_md5: bool = False
    deletes_absent: bool = True

    def capabilities_below(self, prefix: str) -> Capabilities:
        """Return what it can do for keys behind a prefix."""
        key_bytes_max = KEY_BYTES_MAX - len(prefix.encode())
        return replace(self.capabilities, key_bytes_max=key_bytes_max)


SERVERS: Mapping[str, Server] = MappingProxyType(
    {
        server.name: server
        for server in (
            Server(name="s3"),
            # A test's server in memory, of nearly the whole semantics; it answers keys in XML as
            # they are, finds none with a line break, drops metadata with an underscore in its name,
            # and beside an overwrite answers with a part.
            Server(
                name="moto",
                capabilities=replace(
                    _WHOLE,
                    undisturbed=False,
                    key_pattern=r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff\ufffe\uffff]+",
                    metadata_name_pattern=f"{_NAME_CHARACTER_OF_MOTO}+",
                ),
            ),
            # It keeps objects as files, and everything but their bytes in memory. Asked for `a/`
            # it answers with `a`; asked to delete `a/b` it deletes the object `a`. A read beside an
            # overwrite mixes two versions; a folder that is made or emptied hides what is put into
            # it meanwhile, and answers 404; and killed while it overwrites it may keep neither
            # version. No flag of it mends that, so it is a side for trials alone.
            Server(
                name="rclone",
                capabilities=replace(
                    _WHOLE,
                    attributes_kept=frozenset(),
                    keys_nest=False,
                    undisturbed=False,
                    key_pattern=rf"{_SEGMENT}(?:/{_SEGMENT})*",
                ),
                tags_are_md5=True,
                deletes_absent=False,
            ),
            # OpenStack Swift with its s3api, as it comes. A listing is a database of its own, which
            # is told of a write beside it; where that fails, a process that runs from time to time
            # tells it later. It ignores If-Match on a put, and of many puts at once that may only
            # create it lets several win; nobody here relies on either.
            Server(
                name="swift",
                capabilities=replace(
                    _WHOLE,
                    listing_consistent=False,
                    listing_lag_seconds=5.0,
                    key_pattern=r"[^\x00]+",
                    metadata_name_pattern=rf"{_NAME_CHARACTER}{{1,128}}",
                    metadata_value_bytes_max=256,
                    metadata_names_max=90,
                ),
            ),
        )
    }
)
