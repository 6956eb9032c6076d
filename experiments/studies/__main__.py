"""Study new maps and runs: python -m experiments.studies COMMAND [options].

COMMAND is one of

- defaults: what every default changes in new maps;
- copies: how much of the original's own structure new maps have;
- convergence: what no loss sees, against the number of evaluations;
- kill: runs that are killed and resumed, beside one left alone;
- hidden-pixels: what treatments of hidden pixels do to new maps;
- masks: whether coefficients of maps with different masks agree;
- whole-sky: maps of the whole sky from a map with holes, in several ways;
- reconstruction: signals from noisy maps, maps with gaps, and channels;
- polarized-denoising: E and B of a polarized sky in noise, with and without its intensity;
- inference: what S1 to S4 add to C_l for the parameters of a simulator;
- verdicts: how often the verdict on texture is wrong, on pairs of maps whose truth is known;
- signals: runs that get a signal at many moments, and how they end;
- same-maps: the maps of two checkouts of jaxscat, bit for bit;
- cosmic-web: the map of that name that is part of the package, made anew;
- notebooks: what the notebooks show, made anew and stored in them;
- gallery: the pictures and numbers of the page "What S0 to S4 see";
- browser: the built pages in headless Chromium, at the width of a desktop and of a phone.

Every command has options of its own: COMMAND --help.
"""

import argparse
import importlib
import sys

COMMANDS = {
    "defaults": "defaults",
    "copies": "copies",
    "convergence": "convergence",
    "kill": "kill_and_resume",
    "signals": "signals",
    "same-maps": "same_maps",
    "hidden-pixels": "hidden_pixels",
    "masks": "different_masks",
    "whole-sky": "whole_sky",
    "reconstruction": "reconstruction",
    "polarized-denoising": "polarized_denoising",
    "inference": "inference",
    "verdicts": "verdicts",
    "cosmic-web": "cosmic_web",
    "notebooks": "notebooks",
    "gallery": "gallery",
    "browser": "browser",
}


def main() -> int:
    """Run a command with the arguments after it; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args(sys.argv[1:2]).command]
    return importlib.import_module(f"experiments.studies.{command}").main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
