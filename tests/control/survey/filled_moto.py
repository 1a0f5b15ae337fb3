"""A moto server that is filled in its own process before it serves: over HTTP that takes minutes.

Called with a port, how many objects, and `planted` or `plain`.
"""

from __future__ import annotations

import sys

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.server import main

OLD, NEW = "old-bucket", "new-bucket"
EXPIRES = {
    "ID": "tidy",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "Expiration": {"Days": "30"},
}


def fill(count: int, *, planted: bool) -> None:
    backend: S3Backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for name in (OLD, NEW):
        backend.create_bucket(name, "us-east-1")
    for number in range(count):
        key = f"user-{number % 250:03}/{number:05}.txt"
        put(backend, key, number, archived=planted and number % 20 == 0)
    if planted:
        plant(backend, backend.buckets[NEW])


def put(backend: S3Backend, key: str, number: int, *, archived: bool = False) -> None:
    storage = "GLACIER" if archived else "STANDARD"
    stored = backend.put_object(OLD, key, b"%05d" % number * 10, storage=storage)
    stored.set_metadata({"Content-Type": "text/plain"} if number % 2 else {})


def plant(backend: S3Backend, target: FakeBucket) -> None:
    for number, key in enumerate(("a//b", "folder/", "nest", "nest/inner", "\u00fc/x")):
        put(backend, key, number)
    target.set_lifecycle([EXPIRES])
    target.versioning_status = "Enabled"
    target.object_lock_enabled = True
    target.default_lock_mode, target.default_lock_days = "GOVERNANCE", 7


if __name__ == "__main__":
    fill(int(sys.argv[2]), planted=sys.argv[3] == "planted")
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
