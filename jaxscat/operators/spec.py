"""The specification of a pyramid: resolution, wavelet, scales, precision and pixels."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Int

from jaxscat import maps
from jaxscat.operators import cells as patches
from jaxscat.operators import symmetry
from jaxscat.operators.wavelet import wavelet_kernel

Geometry = Literal["exact", "foscat"]

# How the operators are laid out in memory; "auto" is resolved when a pyramid is built.
Layout = Literal["rows", "faces"]

_LARGEST_PATCH_NSIDE = 8192


@dataclasses.dataclass(frozen=True)
class PyramidSpec:
    """The specification of a pyramid; pyramids of equal spec share their compiled functions.

    Attributes:
        nside: resolution of the maps.
        orientations: number of wavelet orientations `L` in half a turn.
        kernel_size: side of the wavelet kernel, pixels.
        scales: number of scales `J`; scale `j` works at `finest_nside / 2^j`.
        geometry: "exact" (float64) or "foscat" (rounded to float32 as the FOSCAT package does).
        dtype: name of the floating-point type of the weights.
        cells: checksum of the pixels of a patch; None is the full sky.
        cell_count: number of pixels of the patch; None is the full sky.
        layout: "rows" (gathered rows) or "faces" (shifted slices of base faces).
    """

    nside: int
    orientations: int
    kernel_size: int
    scales: int
    geometry: Geometry
    dtype: str
    cells: str | None = None
    cell_count: int | None = None
    layout: Layout = "rows"

    @property
    def row_major(self) -> bool:
        """Whether the pixels of base faces are ordered by row and column, not NESTED."""
        return self.layout == "faces"

    @property
    def npix(self) -> int:
        """Number of pixels of the maps."""
        return 12 * self.nside**2 if self.cell_count is None else self.cell_count

    @property
    def upsampled(self) -> bool:
        """Whether maps are upsampled to twice their nside first, as large kernels require."""
        return self.kernel_size > 3

    @property
    def own_scale(self) -> int:
        """Index of the scale that has the nside of the maps."""
        return int(self.upsampled)

    @property
    def finest_nside(self) -> int:
        """Resolution of the finest scale."""
        return 2 * self.nside if self.upsampled else self.nside

    @property
    def sectors(self) -> int:
        """Number of sectors into which maps are folded."""
        if self.cell_count is not None:
            return 1
        return symmetry.sector_count(self.orientations, self.geometry == "exact")


def check_spec(
    nside: int,
    orientations: int = 4,
    kernel_size: int = 3,
    scales: int | None = None,
    dtype: DTypeLike = jnp.float32,
    geometry: Geometry = "exact",
    cells: Int[np.ndarray, " p"] | None = None,
    layout: Layout | Literal["auto"] = "rows",
) -> PyramidSpec:
    """Validate the arguments of `build_pyramid` and return the spec.

    The pixels of a patch, `cells`, must be ascending and already checked.

    Raises:
        ValueError: an argument is outside its range, or float64 is requested without x64.
    """
    nside = maps.check_nside(nside)
    if not maps.is_integer(orientations) or orientations < 1:
        raise ValueError(f"orientations: got {orientations!r}, expected an integer of at least 1")
    wavelet_kernel(kernel_size)
    upsampled = kernel_size > 3
    if cells is not None and nside << upsampled > _LARGEST_PATCH_NSIDE:
        raise ValueError(
            f"nside: got {nside} with kernel_size {kernel_size}, expected at most "
            f"{_LARGEST_PATCH_NSIDE >> upsampled} for a patch, whose pixels are counted in 32 bits"
        )
    maximum = nside.bit_length() + upsampled
    if scales is None:
        scales = maximum
        if cells is not None:
            scales = patches.default_scales(cells.size * (4 if upsampled else 1), maximum)
    if not maps.is_integer(scales) or not 1 <= scales <= maximum:
        raise ValueError(
            f"scales: got {scales!r}, expected 1 to {maximum} with kernel_size {kernel_size} at "
            f"nside {nside}"
        )
    if geometry not in ("exact", "foscat"):
        raise ValueError(f"geometry: got {geometry!r}, expected 'exact' or 'foscat'")
    name = _dtype_name(dtype)
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype: got {name}, expected float32 or float64")
    if jax.dtypes.canonicalize_dtype(name) != np.dtype(name):
        raise ValueError("dtype: got float64, expected float32 unless jax_enable_x64 is set")
    if layout not in ("auto", "rows", "faces"):
        raise ValueError(f"layout: got {layout!r}, expected 'auto', 'rows' or 'faces'")
    if layout == "faces" and cells is not None:
        raise ValueError("layout: got 'faces' for a patch, expected 'rows' (or 'auto')")
    if layout == "auto":
        # Other stencils do not fit around the corners of faces.
        fits = cells is None and kernel_size == 3 and orientations in (1, 2, 4)
        layout = "faces" if fits and jax.default_backend() == "tpu" else "rows"
    return PyramidSpec(
        nside=nside,
        orientations=int(orientations),
        kernel_size=int(kernel_size),
        scales=int(scales),
        geometry=geometry,
        dtype=name,
        cells=None if cells is None else patches.digest(nside, cells),
        cell_count=None if cells is None else cells.size,
        layout=layout,
    )


def _dtype_name(dtype: DTypeLike) -> str:
    try:
        return "None" if dtype is None else np.dtype(dtype).name  # NumPy takes None for float64
    except TypeError:
        return repr(dtype)
