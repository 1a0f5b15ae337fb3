"""Which attributes of an object a server keeps: each header, and the user's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.backends.s3.headers import attribute_headers, attributes_of
from crossfade.backends.s3.probe_requests import OK
from crossfade.core.objects import ATTRIBUTE_NAMES, Attributes

if TYPE_CHECKING:
    from crossfade.backends.s3.probe_requests import Asker

GIVEN = Attributes(
    content_type="image/png",
    cache_control="max-age=60, public",
    content_disposition='attachment; filename="a b.png"',
    content_encoding="identity",
    content_language="de",
    expires="Thu, 01 Dec 2033 16:00:00 GMT",
    metadata={"colour": "blue", "text": "gr\u00fcn 日本"},
)


async def attributes_kept(asker: Asker) -> frozenset[str]:
    """Return the names of those that come back as they were put, also over an overwrite.

    Raises:
        BackendError: the object is refused, or the server is away.
    """
    await asker.put("attributes", b"x", attribute_headers(Attributes(metadata={"other": "x"})))
    await asker.put("attributes", b"x", attribute_headers(GIVEN))
    answer = await asker.ask("HEAD", "attributes")
    if answer.status not in OK:
        return frozenset()
    found = attributes_of(answer.headers)
    return frozenset(
        name for name in ATTRIBUTE_NAMES if getattr(found, name) == getattr(GIVEN, name)
    )
