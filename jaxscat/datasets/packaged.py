"""Maps that were computed once and are part of the package."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
from jaxtyping import Float

COSMIC_WEB_FILE = "cosmic_web_nside64.npy"


def packaged_cosmic_web() -> Float[np.ndarray, " p"]:
    """Load the map of `cosmic_web_map()` that is part of the package.

    The result is float64, NESTED, of nside 64, with mean 0 and standard deviation 1; pixels were
    rounded to float32 in the file, which `python -m experiments.studies cosmic-web` writes. Raises
    OSError or ValueError if the file of the installed package is missing or damaged.
    """
    with as_file(files("jaxscat.datasets") / COSMIC_WEB_FILE) as path:
        values = np.load(path, allow_pickle=False).astype(np.float64)
    return (values - values.mean()) / values.std()
