"""Run many schedules: ``seeds`` keeps promises over a range, ``scoreboard`` takes rules out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from crossfade.testing.simulation import campaign
from crossfade.testing.simulation.mutations import SEEDS_FILE


def main() -> int:
    """Return 1 when a promise was broken, or a rule's absence was not caught."""
    parser = argparse.ArgumentParser(prog="python -m crossfade.testing.simulation")
    commands = parser.add_subparsers(dest="command", required=True)
    seeds = commands.add_parser("seeds", help="run schedules; a second call goes on")
    seeds.add_argument("--count", type=int, default=50_000)
    seeds.add_argument("--state", type=Path, default=Path("simulation-state.json"))
    board = commands.add_parser("scoreboard", help="find a seed that catches each rule taken out")
    board.add_argument("--limit", type=int, default=5_000)
    board.add_argument("--write", action="store_true", help="keep the seeds that were found")
    options = parser.parse_args()
    if options.command == "seeds":
        return _seeds(options.state, options.count)
    return _scoreboard(options.limit, write=options.write)


def _seeds(state: Path, count: int) -> int:
    def tell(so_far: campaign.Campaign) -> None:
        rate = so_far.following / max(so_far.seconds, 0.001)
        line = f"{so_far.following:,} schedules, {rate:.1f}/s, {len(so_far.broken)} broken"
        print(line, flush=True)  # noqa: T201 - this is a command

    done = campaign.run(state, count, on_progress=tell)
    for mark, reached in done.marks.items():
        print(f"{reached / done.following:7.1%}  {mark}")  # noqa: T201
    for seed, violations in done.broken.items():
        print(f"seed {seed}: {violations[0]}")  # noqa: T201
    return int(bool(done.broken))


def _scoreboard(limit: int, *, write: bool) -> int:
    def tell(name: str, seed: int | None) -> None:
        print(f"{name:20} {'NOT CAUGHT' if seed is None else f'seed {seed}'}", flush=True)  # noqa: T201

    found = campaign.scoreboard(range(limit), on_found=tell)
    if write:
        SEEDS_FILE.write_text(json.dumps(found, indent=1) + "\n")
    return int(None in found.values())


if __name__ == "__main__":
    sys.exit(main())
