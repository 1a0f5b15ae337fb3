"""What a side declares that it can do; nothing else may be asked of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crossfade.core.objects import (
    ATTRIBUTE_NAMES,
    KEY_BYTES_MAX,
    NO_ATTRIBUTES,
    Attributes,
    header_text,
)
from crossfade.errors import (
    CapabilityError,
    InvalidKeyError,
    InvalidMetadataError,
    ObjectTooLargeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Declared once by a backend; `crossfade.testing` fails a false claim.

    Attributes:
        atomic_overwrite: an interrupted overwrite leaves the old object or the new one.
        read_after_write: a read after a completed write sees it.
        read_back: returns the bytes that it took.
        listing_consistent: a listing after a completed write shows it.
        listing_lag_seconds: after how long a listing shows a write, where it is not consistent.
        undisturbed: requests at once, of one key or of several, do not disturb each other: a read
            beside an overwrite is of one version, and what was written is there. Without it a
            side is one for trials alone.
        range_reads: honours a byte range.
        conditional_reads: honours `if_match` on a read.
        attributes_kept: names of the fields of `Attributes` that it keeps.
        tags_are_counters: its entity tags say nothing about content, so that they are shown
            with the side's name.
        tags_recur: two versions may have one entity tag, where their bytes are the same.
        key_bytes_max: the longest key that it holds.
        key_pattern: regular expression that each whole key must match; None for any key.
        keys_nest: holds ``a`` beside ``a/b``, as directories of files do not.
        metadata_name_pattern: regular expression that each whole name in the metadata must match;
            None for any name.
        metadata_bytes_max: the most bytes of names and values in the metadata together, as
            headers; None for no limit.
        metadata_value_bytes_max: the most bytes of one value in the metadata, as a header; None
            for no limit.
        metadata_names_max: the most names in the metadata; None for no limit.
        object_bytes_max: the largest object that it holds; None for no limit.
        page_keys_max: the most keys in one page of a listing.
        staged_bytes_min: bodies of at least so many bytes can be staged (`ports.py: Stager`), and
            go in parts when they are written at once; None for a side that stages nothing.
    """

    atomic_overwrite: bool = True
    read_after_write: bool = True
    read_back: bool = True
    listing_consistent: bool = True
    listing_lag_seconds: float = 0.0
    undisturbed: bool = True
    range_reads: bool = True
    conditional_reads: bool = True
    attributes_kept: frozenset[str] = ATTRIBUTE_NAMES
    tags_are_counters: bool = False
    tags_recur: bool = False
    key_bytes_max: int = KEY_BYTES_MAX
    key_pattern: str | None = None
    keys_nest: bool = True
    metadata_name_pattern: str | None = None
    metadata_bytes_max: int | None = None
    metadata_value_bytes_max: int | None = None
    metadata_names_max: int | None = None
    object_bytes_max: int | None = None
    page_keys_max: int = 1_000
    staged_bytes_min: int | None = None

    def stages(self, size: int | None) -> bool:
        """Tell whether a body of that size can be staged; None is a delete."""
        least = self.staged_bytes_min
        return size is not None and least is not None and size >= least

    def require_side(self, location: str) -> None:
        """Refuse a side without what the protocol needs of it.

        Raises:
            CapabilityError: it names the missing capability.
        """
        for name in ("atomic_overwrite", "read_after_write", "read_back"):
            if not getattr(self, name):
                message = f"{location} does not declare {name}"
                raise CapabilityError(message, hint="such a side cannot hold a migration's files")

    def require_object(
        self, key: str, size: int | None, attributes: Attributes = NO_ATTRIBUTES
    ) -> None:
        """Refuse an object that the side cannot hold, before the first byte is sent.

        Raises:
            InvalidKeyError: the key is too long or outside the side's alphabet.
            InvalidMetadataError: the metadata has a name outside the side's alphabet, or too much.
            ObjectTooLargeError: the object is over the side's limit.
        """
        if attributes.metadata and "metadata" in self.attributes_kept:
            self._require_metadata(key, attributes)
        if len(key) * 4 > self.key_bytes_max and len(key.encode()) > self.key_bytes_max:
            message = f"the side holds keys of at most {self.key_bytes_max:,} bytes"
            raise InvalidKeyError(message, key=key)
        if self.key_pattern is not None and not re.fullmatch(self.key_pattern, key, re.DOTALL):
            message = f"the side holds only keys that match {self.key_pattern}"
            raise InvalidKeyError(message, key=key)
        if size is not None and self.object_bytes_max is not None and size > self.object_bytes_max:
            message = f"{size:,} bytes are over the side's limit of {self.object_bytes_max:,}"
            raise ObjectTooLargeError(message, key=key)

    def _require_metadata(self, key: str, attributes: Attributes) -> None:
        pattern = self.metadata_name_pattern
        for name in attributes.metadata:
            if pattern is not None and not re.fullmatch(pattern, name):
                message = f"the side holds no metadata of the name {name!r}, only {pattern}"
                hint = "rename it: on such a side names are headers, in lower case"
                raise InvalidMetadataError(message, key=key, hint=hint)
        sizes = {name: len(header_text(value)) for name, value in attributes.metadata.items()}
        for what, found, most in (
            ("names in the metadata", len(sizes), self.metadata_names_max),
            ("bytes in one value", max(sizes.values()), self.metadata_value_bytes_max),
            (
                "bytes of metadata",
                len("".join(sizes).encode()) + sum(sizes.values()),
                self.metadata_bytes_max,
            ),
        ):
            if most is not None and found > most:
                message = f"{found:,} {what} are over the side's {most:,}"
                hint = "leave some of it out; other text than plain ASCII takes a third more"
                raise InvalidMetadataError(message, key=key, hint=hint)
