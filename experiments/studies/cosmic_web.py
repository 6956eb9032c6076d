"""Write the map `cosmic-web` that is part of the package, or check it.

python -m experiments.studies cosmic-web [--check]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np

import jaxscat.datasets
from jaxscat.datasets.cosmic_web import cosmic_web_map
from jaxscat.datasets.packaged import COSMIC_WEB_FILE
from jaxscat.io.archive import write_bytes


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.studies cosmic-web",
        description="Write the map cosmic-web, or check it.",
    )
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = parser.parse_args(arguments).check
    path = Path(jaxscat.datasets.__path__[0]) / COSMIC_WEB_FILE
    values = cosmic_web_map(64).astype(np.float32)
    if check:
        largest = np.abs(np.load(path, allow_pickle=False) - values).max()
        print(f"{path}: largest difference {largest:.2g}")
        return 0 if largest < 1e-6 else 1
    stream = io.BytesIO()
    np.save(stream, values)
    write_bytes(path, stream.getvalue())
    print(f"{path}: {path.stat().st_size} bytes")
    return 0
