"""The usual clients, doing the same: one bucket's get and list, and a put into two buckets."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

import aiobotocore
import aiobotocore.session
import anyio
import anyio.to_thread
import boto3
import obstore
from aiobotocore.config import AioConfig
from botocore.config import Config
from obstore.store import S3Store

from crossfade.testing.servers import ACCESS_KEY, ENVIRONMENT, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECTIONS = 64
_CONFIG = {
    "max_pool_connections": CONNECTIONS,
    "s3": {"addressing_style": "path"},
    "retries": {"total_max_attempts": 1},
}


class Peer(Protocol):
    """A client that does without Crossfade."""

    @property
    def name(self) -> str:
        """What it is called, with its version."""
        ...

    async def get(self, key: str) -> None:
        """Read an object of the first bucket whole."""
        ...

    async def put(self, key: str) -> None:
        """Write the same body into both buckets, at the same time."""
        ...

    async def list(self, key: str) -> None:
        """List the first bucket; the key does not matter."""
        ...


def _access(endpoint: str) -> dict[str, str]:
    return {
        "endpoint_url": endpoint,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "region_name": ENVIRONMENT["AWS_REGION"],
    }


class Boto3:
    """boto3, in as many threads as there are calls in flight."""

    name = f"boto3 {boto3.__version__}"

    def __init__(self, endpoint: str, buckets: tuple[str, str], body: bytes) -> None:
        self._client: Any = boto3.client("s3", config=Config(**_CONFIG), **_access(endpoint))
        self._buckets = buckets
        self._body = body
        self._threads = anyio.CapacityLimiter(2 * CONNECTIONS)

    async def get(self, key: str) -> None:
        await anyio.to_thread.run_sync(self._get, key, limiter=self._threads)

    async def put(self, key: str) -> None:
        async with anyio.create_task_group() as group:
            for bucket in self._buckets:
                write = partial(self._put, bucket, key)
                group.start_soon(partial(anyio.to_thread.run_sync, write, limiter=self._threads))

    async def list(self, _: str) -> None:
        await anyio.to_thread.run_sync(self._list, limiter=self._threads)

    def _get(self, key: str) -> None:
        self._client.get_object(Bucket=self._buckets[0], Key=key)["Body"].read()

    def _put(self, bucket: str, key: str) -> None:
        self._client.put_object(Bucket=bucket, Key=key, Body=self._body)

    def _list(self) -> None:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._buckets[0])
        for page in pages:
            [(one["Key"], one["Size"], one["ETag"]) for one in page.get("Contents", ())]


class Aiobotocore:
    """aiobotocore, on the event loop."""

    name = f"aiobotocore {aiobotocore.__version__}"

    def __init__(self, client: Any, buckets: tuple[str, str], body: bytes) -> None:  # noqa: ANN401 - it has no types
        self._client = client
        self._buckets = buckets
        self._body = body

    async def get(self, key: str) -> None:
        found = await self._client.get_object(Bucket=self._buckets[0], Key=key)
        async with found["Body"] as stream:
            await stream.read()

    async def put(self, key: str) -> None:
        async with anyio.create_task_group() as group:
            for bucket in self._buckets:
                group.start_soon(self._put, bucket, key)

    async def list(self, _: str) -> None:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._buckets[0])
        async for page in pages:
            [(one["Key"], one["Size"], one["ETag"]) for one in page.get("Contents", ())]

    async def _put(self, bucket: str, key: str) -> None:
        await self._client.put_object(Bucket=bucket, Key=key, Body=self._body)


class Obstore:
    """obstore, a client in Rust, through its async functions."""

    name = f"obstore {obstore.__version__}"

    def __init__(self, endpoint: str, buckets: tuple[str, str], body: bytes) -> None:
        self._stores = [
            S3Store(
                bucket,
                endpoint=endpoint,
                access_key_id=ACCESS_KEY,
                secret_access_key=SECRET_KEY,
                region=ENVIRONMENT["AWS_REGION"],
                client_options={"allow_http": True},
            )
            for bucket in buckets
        ]
        self._body = body

    async def get(self, key: str) -> None:
        found = await obstore.get_async(self._stores[0], key)
        await found.bytes_async()

    async def put(self, key: str) -> None:
        async with anyio.create_task_group() as group:
            for store in self._stores:
                group.start_soon(self._put, store, key)

    async def list(self, _: str) -> None:
        await obstore.list(self._stores[0]).collect_async()

    async def _put(self, store: S3Store, key: str) -> None:
        # Bodies of every size go at once, as the others' do.
        await obstore.put_async(store, key, self._body, use_multipart=False)


@asynccontextmanager
async def peers(urls: tuple[str, str], body: bytes) -> AsyncIterator[list[Peer]]:
    """Open each peer on two buckets of a server, given as URLs of sides."""
    places = [urlsplit(url) for url in urls]
    buckets = (places[0].netloc, places[1].netloc)
    endpoint = parse_qs(places[0].query)["endpoint"][0]
    async with AsyncExitStack() as stack:
        session: Any = aiobotocore.session.get_session()
        config = AioConfig(**_CONFIG)
        opened = session.create_client("s3", config=config, **_access(endpoint))
        client = await stack.enter_async_context(opened)
        yield [
            Boto3(endpoint, buckets, body),
            Aiobotocore(client, buckets, body),
            Obstore(endpoint, buckets, body),
        ]
