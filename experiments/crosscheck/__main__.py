"""Compare jaxscat with FOSCAT: python -m experiments.crosscheck [COMMAND] [options].

COMMAND is one of

- run, also where none is named: the installed FOSCAT beside jaxscat, then the stored numbers;
- stored: jaxscat beside the stored numbers only, without FOSCAT;
- losses: FOSCAT's loss of the maps of a `jaxscat run` folder;
- golden: write the reference numbers of tests/golden.

Every command has options of its own: COMMAND --help.
"""

import importlib
import sys

COMMANDS = {"run": "run", "stored": "stored", "losses": "losses", "golden": "make_golden"}


def main() -> int:
    """Run a command with the arguments after it; return the exit status."""
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    name = arguments.pop(0) if arguments and arguments[0] in COMMANDS else "run"
    return importlib.import_module(f"experiments.crosscheck.{COMMANDS[name]}").main(arguments)


if __name__ == "__main__":
    sys.exit(main())
