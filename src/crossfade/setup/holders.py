"""Names for processes that hold leases."""

from __future__ import annotations

import os
import re
import socket
from secrets import token_hex

_UNUSUAL = re.compile(r"[^A-Za-z0-9.-]+")
_HOST_LENGTH_MAX = 64


def new_holder() -> str:
    """Name this process, or one opening of it, as nobody ever did before.

    Host and process id are for whoever reads it; they recur, so the random part is what makes it
    unique.
    """
    host = _UNUSUAL.sub("-", socket.gethostname())[:_HOST_LENGTH_MAX] or "host"
    return f"{host}:{os.getpid()}:{token_hex(8)}"
