"""Deterministic simulation: the real data plane, on simulated sides and a virtual clock."""

from __future__ import annotations

from crossfade.testing.simulation.judge import MARKS
from crossfade.testing.simulation.kernel import Outcome, simulate

__all__ = ["MARKS", "Outcome", "simulate"]
