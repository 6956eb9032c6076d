"""Options that the studies share."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path


def study_parser(command: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of one study."""
    program = f"python -m experiments.studies {command}"
    return argparse.ArgumentParser(prog=program, description=description)


def add_size_options(
    parser: argparse.ArgumentParser, output: str, *, nside_help: str | None = None
) -> None:
    """Add --output and --quick, and --nside where it has a help text."""
    if nside_help is not None:
        parser.add_argument("--nside", type=int, default=None, help=nside_help)
    parser.add_argument("--output", type=Path, default=Path(output))
    parser.add_argument("--quick", action="store_true", help="small maps and few seeds")


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split arguments into a script's own and the overrides of a config.

    An override is `--section.key` with the values after it, up to the next option.
    """
    own: list[str] = []
    overrides: list[str] = []
    taking = own
    for argument in arguments:
        if argument.startswith("--"):
            taking = overrides if re.match(r"--\w+\.\w", argument) else own
        taking.append(argument)
    return own, overrides
