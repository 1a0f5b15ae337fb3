"""A project for each test of the faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.faces.projects import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    """Return a project that is not made yet."""
    return Project(tmp_path, capsys)
