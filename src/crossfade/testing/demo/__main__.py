"""The demo as a command of its own: ``python -m crossfade.testing.demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from crossfade.testing.demo.options import DemoOptions, Sabotage, Sides
from crossfade.testing.demo.run import run_demo


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m crossfade.testing.demo")
    parser.add_argument("--sides", type=Sides, choices=list(Sides), default=Sides.S3_S3)
    parser.add_argument("--sabotage", type=Sabotage, choices=list(Sabotage))
    parser.add_argument("--chaos", type=int, default=0, metavar="N")
    parser.add_argument("--operations", type=int, default=DemoOptions().operations)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    return run_demo(DemoOptions(**vars(asked))).exit_code


if __name__ == "__main__":
    sys.exit(main())
