"""Measure times and memory: python -m experiments.benchmarks COMMAND [options].

COMMAND is one of

- foscat: jaxscat beside the installed FOSCAT;
- statistics: the further statistics beside the plain ones, in both packages;
- seeds: many seeds at once beside one alone;
- hidden: what treatments of hidden pixels cost;
- polarization: what transforms of Q and U cost beside scalar ones;
- memory: the memory of a batch, predicted and measured;
- sizes: cost and memory of one map against its size;
- roofline: every operation beside what the device can do at best;
- tpu: programs for a TPU, compiled without one;
- accelerator: all that is worth the minutes of a GPU or TPU at hand;
- checkouts: two checkouts of jaxscat side by side.

Every command has options of its own: COMMAND --help.
"""

import argparse
import importlib
import sys

COMMANDS = {
    "foscat": "against_foscat",
    "statistics": "statistics_cost",
    "seeds": "seeds",
    "hidden": "hidden_cost",
    "polarization": "polarization",
    "memory": "memory",
    "sizes": "sizes",
    "roofline": "roofline",
    "tpu": "tpu",
    "accelerator": "accelerator",
    "checkouts": "checkouts",
}


def main() -> int:
    """Run a command with the arguments after it; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args(sys.argv[1:2]).command]
    return importlib.import_module(f"experiments.benchmarks.{command}").main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
