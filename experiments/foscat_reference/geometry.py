"""FOSCAT's float32 geometry, and the switch to float64.

FOSCAT (https://pypi.org/project/foscat) works in float32 inside, whatever precision is asked for.
Two places round its operators: the stencil's geometry with its interpolation weights, and the
downsampling weights. `geometry="exact"` switches them to float64 so that the formulas can be
compared to rounding; `geometry="foscat"` leaves FOSCAT as it is. The names are those of
`jaxscat.build_pyramid`. The weights of an alignment are rounded in both, and by jaxscat too.
"""

import contextlib
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import foscat.SphereDownGeo as down_geometry
import foscat.SphericalStencil as stencil_geometry
import numpy as np
import torch


class _Float64NumPy(types.ModuleType):
    """NumPy, except that its float32 is float64."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, "float64" if name == "float32" else name)


@contextlib.contextmanager
def float64_geometry() -> Iterator[None]:
    """Make the operators that FOSCAT builds in this block float64 throughout."""
    build = stencil_geometry.SphericalStencil.__init__

    def build_in_float64(self: Any, *arguments: Any, **options: Any) -> None:
        # The type is float32 unless the caller chooses, and FOSCAT does not.
        build(self, *arguments, **{"dtype": torch.float64, **options})

    with (
        mock.patch.object(stencil_geometry.SphericalStencil, "__init__", build_in_float64),
        mock.patch.object(down_geometry, "np", _Float64NumPy("numpy")),
    ):
        yield
