"""Servers that run as long as the tests of a process do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crossfade.testing.servers import RunningServer, moto_server, rclone_server, swift_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def moto() -> Iterator[RunningServer]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with swift_server(tmp_path_factory.mktemp("swift")) as server:
        yield server
