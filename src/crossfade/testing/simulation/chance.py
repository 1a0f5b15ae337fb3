"""Drawn from a seed, for each actor by itself: one actor's draws never disturb another's."""

from __future__ import annotations

from random import Random


class Chance:
    """The randomness of one schedule."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._actors: dict[str, Random] = {}

    def of(self, actor: str) -> Random:
        """Return the actor's own generator."""
        found = self._actors.get(actor)
        if found is None:
            found = self._actors[actor] = Random(f"{self.seed}:{actor}")  # noqa: S311 - a simulation wants it repeatable
        return found
