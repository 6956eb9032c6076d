"""Notebooks, and the command that runs them, are no part of the package: only a clone has them."""

import sys
from pathlib import Path

# Behind all else, so that the tests still import the jaxscat that is installed.
sys.path.append(str(Path(__file__).parents[2]))
