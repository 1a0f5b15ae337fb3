"""The worlds of these tests stand on each catalog in turn."""

from __future__ import annotations

import pytest
from tests.files import worlds


@pytest.fixture(params=["memory", "sqlite"])
def each_catalog(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `world` use this kind of catalog where a test does not ask for another."""
    monkeypatch.setattr(worlds, "CATALOG_KIND", request.param)
