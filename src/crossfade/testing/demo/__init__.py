"""The demo: real files moved under live traffic and failures, with every promise checked."""

from __future__ import annotations

from crossfade.testing.demo.options import DemoOptions, Sabotage, Sides
from crossfade.testing.demo.report import DemoReport
from crossfade.testing.demo.run import run_demo

__all__ = ["DemoOptions", "DemoReport", "Sabotage", "Sides", "run_demo"]
