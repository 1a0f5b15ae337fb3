"""Runs the command line as `python -m crossfade.faces.cli`."""

from crossfade.faces.cli import main

main()
