"""The same fixtures for runs from the command line."""

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location(
    "conftest_of_runs", Path(__file__).parents[1] / "run" / "conftest.py"
)
of_runs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(of_runs)

canned = of_runs.canned
few_controls = of_runs.few_controls
