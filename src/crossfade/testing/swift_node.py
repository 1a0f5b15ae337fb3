"""OpenStack Swift with its S3 face in one process: ``python -m crossfade.testing.swift_node``.

Proxy, account, container and object server are Swift's own code under Swift's own configuration;
they share one event loop, and a folder as their only disk. Only what memcached would keep is kept
in a dictionary here. An object is synced, and stands in listings, before it is acknowledged, so
that the process can be killed and started again over the same folder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eventlet
import eventlet.hubs
import eventlet.wsgi
from swift.common import constraints, wsgi
from swift.common.ring import RingBuilder
from swift.obj.updater import ObjectUpdater

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlet.greenio import GreenSocket

_HOST = "127.0.0.1"
_DISK = "disk"
_BEHIND = ("account", "container", "object")
_BACKLOG = 1_024
_RING_POWER = 4
_UPDATE_SECONDS = 1.0
_CLIENT_SECONDS_MAX = 60.0

_CLUSTER = """\
[swift-hash]
swift_hash_path_prefix = crossfade
swift_hash_path_suffix = tests

[storage-policy:0]
name = one-disk
default = yes
"""
# Whoever is slow here is busy: there is no other disk that could answer in its place.
_DEFAULTS = """\
[DEFAULT]
swift_dir = {folder}
devices = {folder}
mount_check = false
disable_fallocate = true
log_level = WARNING
bind_ip = 127.0.0.1
bind_port = {port}
node_timeout = 60
conn_timeout = 10
"""
_BEHIND_PROXY = """\
[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
log_requests = false
container_update_timeout = 60
"""
_FILTERS = ("catch_errors", "gatekeeper", "listing_formats", "bulk", "copy", "slo", "symlink")
_PROXY = """\
[pipeline:main]
pipeline = {pipeline}

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_limit = 1000000

[filter:cache]
paste.filter_factory = crossfade.testing.swift_node:remembering

[filter:s3api]
use = egg:swift#s3api
location = {region}
max_upload_part_num = 10000

[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""
_PIPELINE = (
    *("catch_errors", "gatekeeper", "cache", "listing_formats", "bulk", "s3api", "tempauth"),
    *("copy", "slo", "versioned_writes", "symlink", "proxy-server"),
)


class Memory:
    """What Swift asks of memcached, for the one process that there is."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, str]] = {}

    def get(self, key: str, **_: object) -> Any:  # noqa: ANN401 - what was set
        """Return what was set and has not expired."""
        until, text = self._kept.get(key, (0.0, "null"))
        if until <= time.monotonic():
            self.delete(key)
            return None
        return json.loads(text)

    def set(self, key: str, value: object, time: float = 0, **_: object) -> None:
        """Keep something for so many seconds, or for good."""
        self._kept[key] = (_until(time), json.dumps(value))

    def delete(self, key: str, server_key: str | None = None) -> None:
        """Forget it."""
        self._kept.pop(key, None)


def _until(seconds: float) -> float:
    return time.monotonic() + seconds if seconds else float("inf")


def remembering(_: object, **__: str) -> Callable[[Any], Any]:
    """Return a filter, as Paste asks for one, which hands the one memory to every request."""
    memory = Memory()

    def around(application: Any) -> Any:  # noqa: ANN401 - any WSGI application
        def answer(environment: dict[str, object], start: object) -> object:
            environment["swift.cache"] = memory
            return application(environment, start)

        return answer

    return around


def configure(folder: Path, ports: dict[str, int], *, region: str, user: str, secret: str) -> None:
    """Write what Swift reads: one file for each server, and where the others are found.

    Args:
        folder: where the files go, and below it what Swift keeps.
        ports: of each server by its kind; the proxy's is the one that callers know.
        region: what requests are signed for.
        user: an account and a name in it, with a colon between them: the access key.
        secret: the secret key.
    """
    (folder / _DISK).mkdir(exist_ok=True)
    (folder / "swift.conf").write_text(_CLUSTER)
    for kind, port in ports.items():
        text = _DEFAULTS.format(folder=folder, port=port)
        if kind in _BEHIND:
            _write_ring(folder / f"{kind}.ring.gz", port)
            text += _BEHIND_PROXY.format(kind=kind)
        else:
            account, _, name = user.partition(":")
            text += _PROXY.format(
                pipeline=" ".join(_PIPELINE),
                region=region,
                account=account,
                user=name,
                secret=secret,
            )
            text += "".join(f"\n[filter:{name}]\nuse = egg:swift#{name}\n" for name in _FILTERS)
        (folder / f"{kind}.conf").write_text(text)


def _write_ring(file: Path, port: int) -> None:
    builder = RingBuilder(_RING_POWER, 1, 0)
    places = {"ip": _HOST, "port": port, "replication_ip": _HOST, "replication_port": port}
    disk = {"id": 0, "region": 1, "zone": 1, "device": _DISK, "weight": 1.0, "meta": ""}
    builder.add_dev(disk | places)
    builder.rebalance()
    builder.get_ring().save(str(file))


def serve(folder: Path, port: int, *, region: str, user: str, secret: str) -> None:
    """Serve everything that is kept below a folder; it does not return."""
    _require_attributes(folder)
    # Before the first socket: what is listened to belongs to the loop of its time.
    eventlet.hubs.use_hub(wsgi.get_hub())
    sockets = {kind: eventlet.listen((_HOST, 0), backlog=_BACKLOG) for kind in _BEHIND}
    sockets["proxy"] = eventlet.listen((_HOST, port), backlog=_BACKLOG)
    ports = {kind: each.getsockname()[1] for kind, each in sockets.items()}
    configure(folder, ports, region=region, user=user, secret=secret)
    servers = [eventlet.spawn(_serve_one, folder, kind, each) for kind, each in sockets.items()]
    eventlet.spawn(_bring_listings_up, folder)
    for server in servers:
        server.wait()


def _require_attributes(folder: Path) -> None:
    """Refuse a file system on which Swift cannot keep what it knows of an object."""
    try:
        os.setxattr(folder, "user.crossfade", b"")
    except OSError as error:
        sys.exit(f"{folder} is on a file system without extended attributes: {error.strerror}")


def _serve_one(folder: Path, kind: str, listening: GreenSocket) -> None:
    file = str(folder / f"{kind}.conf")
    _, _, common, _ = wsgi.check_config(file, f"{kind}-server", verbose=True)
    eventlet.wsgi.server(
        listening,
        wsgi.loadapp(file, global_conf=common),
        wsgi.NullLogger(),
        protocol=wsgi.SwiftHttpProtocol,
        socket_timeout=_CLIENT_SECONDS_MAX,
        # S3's clients look for `ETag`.
        capitalize_response_headers=False,
        url_length_limit=constraints.MAX_REQUEST_LINE,
    )


def _bring_listings_up(folder: Path) -> None:
    """Put into listings what could not be put there while the object was written."""
    places = {"swift_dir": str(folder), "devices": str(folder)}
    updater = ObjectUpdater({**places, "mount_check": "false", "log_level": "WARNING"})
    while True:
        eventlet.sleep(_UPDATE_SECONDS)
        updater.begin = time.time()
        updater.object_sweep(str(folder / _DISK))


if __name__ == "__main__":
    serve(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        region=os.environ["AWS_REGION"],
        user=os.environ["AWS_ACCESS_KEY_ID"],
        secret=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
