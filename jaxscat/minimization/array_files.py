"""How orbax writes the arrays of a checkpoint: one file, by whichever process has them.

Orbax's own handlers leave NumPy's arrays to the first of several processes. Importing this module
imports orbax, which takes a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as orbax

_NAME = "arrays.npz"


class ArrayFile(orbax.CheckpointHandler):
    """Writes named arrays into one `.npz` file in the folder that orbax gives it; reads them."""

    def save(self, directory: Path, args: "SaveArrays") -> None:
        """Write the arrays; raises `OSError` where that cannot be done."""
        with (Path(directory) / _NAME).open("wb") as file:
            np.savez(file, **args.arrays)

    def restore(self, directory: Path, args: Any = None) -> dict[str, np.ndarray]:
        """Read the arrays; raises `OSError`, or what NumPy raises for a damaged file."""
        with (Path(directory) / _NAME).open("rb") as file, np.load(file) as found:
            return dict(found)


@orbax.args.register_with_handler(ArrayFile, for_save=True)
@dataclass
class SaveArrays(orbax.args.CheckpointArgs):
    """Arrays to write, by name."""

    arrays: Mapping[str, Any]


@orbax.args.register_with_handler(ArrayFile, for_restore=True)
@dataclass
class RestoreArrays(orbax.args.CheckpointArgs):
    """All arrays are read."""
