"""The pyramid of operators: a wavelet stencil per scale and the downsampling between scales."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Int

from jaxscat import maps
from jaxscat.operators import cells as patches
from jaxscat.operators import memory
from jaxscat.operators.entries import Grid
from jaxscat.operators.product import Table
from jaxscat.operators.resolution import build_downsampling
from jaxscat.operators.spec import Geometry, Layout, PyramidSpec, check_spec
from jaxscat.operators.stencil import build_stencil


class Level(eqx.Module):
    """Operators of one scale.

    Attributes:
        stencil: the oriented wavelet.
        downsampling: downsampling to half the nside; None at the coarsest scale, unless maps are
            upsampled to that scale.
        cells: pixels of a patch, ascending; None is the full sky.
        nside: resolution of the level.
    """

    stencil: Table
    downsampling: Table | None
    cells: Int[Array, " p"] | None
    nside: int = eqx.field(static=True)

    @property
    def npix(self) -> int:
        """Number of pixels of the maps of this level."""
        return 12 * self.nside**2 if self.cells is None else self.cells.shape[0]


class Pyramid(eqx.Module):
    """Operators of all scales, from fine to coarse, as a pytree to pass to jitted functions.

    Attributes:
        levels: one per scale.
        order: permutation that sorts the pixels of a map (given in the order of `cell_ids`);
            None if they are ascending already.
        spec: nside, wavelet, scales, precision and pixels of the pyramid.
    """

    levels: tuple[Level, ...]
    order: Int[Array, " p"] | None
    spec: PyramidSpec = eqx.field(static=True)

    def pixels(self, scale: int = 0) -> Int[np.ndarray, " p"]:
        """Return the NESTED pixel indices of the maps of one scale.

        At the nside of the pyramid they are in the order of its `cell_ids`, elsewhere ascending.

        Raises:
            ValueError: the pyramid has no such scale.
        """
        if not isinstance(scale, int | np.integer) or not 0 <= scale < len(self.levels):
            raise ValueError(
                f"scale: got {maps.describe(scale)}, expected 0 to {len(self.levels) - 1}"
            )
        level = self.levels[scale]
        cells = np.arange(12 * level.nside**2) if level.cells is None else np.asarray(level.cells)
        if self.order is None or level.nside != self.spec.nside:
            return cells
        named = np.empty_like(cells)
        named[np.asarray(self.order)] = cells
        return named

    def finest(self, scales: int) -> "Pyramid":
        """Return the pyramid of the finest scales only, for the same maps.

        Raises:
            ValueError: the pyramid does not have as many scales.
        """
        if scales == len(self.levels):
            return self
        if not 1 <= scales < len(self.levels):
            raise ValueError(f"scales: got {scales!r}, expected 1 to {len(self.levels)}")
        spec = dataclasses.replace(self.spec, scales=scales)
        return Pyramid(self.levels[:scales], self.order, spec)


def build_pyramid(
    nside: int,
    *,
    orientations: int = 4,
    kernel_size: int = 3,
    scales: int | None = None,
    dtype: DTypeLike = jnp.float32,
    geometry: Geometry = "exact",
    cell_ids: ArrayLike | None = None,
    layout: Layout | Literal["auto"] = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Pyramid:
    """Build the wavelet operators of all scales for maps of a given nside.

    Args:
        nside: resolution of the maps, a power of two.
        orientations: number of wavelet orientations in half a turn.
        kernel_size: side of the wavelet kernel, pixels: 3, 5 or 7. With 5 and 7, maps are first
            upsampled to twice their nside, which adds a scale.
        scales: number of scales, at most `log2(nside) + 1` (one more for kernel sizes 5 and 7).
            The default is this maximum on the full sky; on a patch, the coarsest scale keeps at
            least about 16 pixels.
        dtype: float32 or float64 weights; float64 needs JAX's x64 mode.
        geometry: "exact", or "foscat" to reproduce the float32 rounding of the FOSCAT package.
        cell_ids: NESTED pixel indices of a patch, in the order of the values of its maps; None is
            the full sky. The pyramid serves maps of these pixels only.
        layout: how the operators are laid out in memory. "rows" gathers rows of pixels; "faces"
            (not for patches) shifts slices of the base faces, which reads no indices. Results are
            the same up to rounding. "auto" is "faces" on TPUs (for kernels of 3 pixels and 1, 2 or
            4 orientations) and "rows" elsewhere.
        progress: called with the number of pixels done and the total.

    Returns:
        pyramid with its arrays on the default device.

    Raises:
        ValueError: an argument is outside its range, float64 is requested without x64, or the
            tables do not fit into this machine's memory (the message says how much they need,
            and which nside would fit).

    Examples:
        >>> import jaxscat
        >>> pyramid = jaxscat.build_pyramid(8, orientations=4)
        >>> pyramid.spec.npix, pyramid.spec.scales
        (768, 4)
        >>> [level.nside for level in pyramid.levels]
        [8, 4, 2, 1]

        A patch of the sky is given by its NESTED pixels, here one of the 12 base faces:

        >>> patch = jaxscat.build_pyramid(8, cell_ids=range(64))
        >>> patch.spec.npix
        64

    Source: Delouis et al. 2022, A&A 668, A122, section 2; `docs/conventions.md`, "Wavelet" to
    "Upsampling".
    """
    plan = plan_pyramid(
        nside,
        orientations=orientations,
        kernel_size=kernel_size,
        scales=scales,
        dtype=dtype,
        geometry=geometry,
        cell_ids=cell_ids,
        layout=layout,
        progress=progress,
    )
    return build_planned(plan, progress)


class Plan(NamedTuple):
    """What a pyramid is built from: arguments that have been checked.

    Attributes:
        spec: specification of the pyramid.
        cells: pixels of a patch, ascending; None is the full sky.
        order: `order` of the pyramid.
    """

    spec: PyramidSpec
    cells: Int[np.ndarray, " p"] | None
    order: Int[np.ndarray, " p"] | None

    def put_in_order(self, levels: tuple[Level, ...]) -> Pyramid:
        """Return the pyramid of some levels, for maps whose pixels are in the order of the plan."""
        return Pyramid(levels, _indices(self.order), self.spec)


def plan_pyramid(
    nside: int,
    *,
    orientations: int = 4,
    kernel_size: int = 3,
    scales: int | None = None,
    dtype: DTypeLike = jnp.float32,
    geometry: Geometry = "exact",
    cell_ids: ArrayLike | None = None,
    layout: Layout | Literal["auto"] = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Check the arguments of `build_pyramid`.

    Raises:
        ValueError: as `build_pyramid`.
    """
    nside = maps.check_nside(nside)
    if progress is not None:
        maps.check_callable(progress, 2, "progress", "a function of the pixels done and in total")
    cells, order = None, None
    if cell_ids is not None:
        cells, order = patches.check_cells(cell_ids, nside)
        if cells.size == 12 * nside**2:  # the full sky, however its pixels are ordered
            cells = None
    spec = check_spec(nside, orientations, kernel_size, scales, dtype, geometry, cells, layout)
    memory.require(spec)
    return Plan(spec, cells, order)


def build_planned(plan: Plan, progress: Callable[[int, int], None] | None = None) -> Pyramid:
    """Build the pyramid of a plan; `progress` is called as by `build_pyramid`."""
    spec = plan.spec
    exact = spec.geometry == "exact"
    weights_type = np.dtype(spec.dtype)
    at_level = _cells_of_levels(spec, plan.cells)
    total = sum(
        12 * (spec.finest_nside >> j) ** 2 if ids is None else ids.size
        for j, ids in enumerate(at_level)
    )
    done = 0

    def advance(pixels: int) -> None:
        nonlocal done
        done += pixels
        if progress is not None:
            progress(done, total)

    levels = []
    for j, ids in enumerate(at_level):
        level_nside = spec.finest_nside >> j
        grid = Grid(level_nside, spec.sectors, spec.row_major, ids)
        stencil = build_stencil(
            grid, spec.orientations, spec.kernel_size, exact, weights_type, advance
        )
        downsampling = None
        if j + 1 < spec.scales or (j == 0 and spec.upsampled):
            downsampling = build_downsampling(grid, exact, weights_type)
        levels.append(Level(stencil, downsampling, _indices(ids), level_nside))
    return plan.put_in_order(tuple(levels))


def check_pyramid(pyramid: Any, *, name: str = "pyramid") -> PyramidSpec:
    """Return the spec of a pyramid that can be used.

    Raises:
        ValueError: it is no pyramid, or one of float64 while JAX's 64-bit mode is off.
    """
    if maps.is_integer(pyramid):
        raise ValueError(
            f"{name}: got {pyramid}, expected a Pyramid; jaxscat.build_pyramid({pyramid}) makes one"
        )
    maps.check_kind(pyramid, Pyramid, name, "a Pyramid from jaxscat.build_pyramid")
    spec = pyramid.spec
    if jax.dtypes.canonicalize_dtype(spec.dtype) != np.dtype(spec.dtype):
        raise ValueError(
            f"{name}: got one of {spec.dtype} while JAX's 64-bit mode is off, expected "
            'jax.config.update("jax_enable_x64", True) first, or a pyramid of float32'
        )
    return spec


def _cells_of_levels(
    spec: PyramidSpec, cells: Int[np.ndarray, " p"] | None
) -> list[Int[np.ndarray, " q"] | None]:
    if cells is None:
        return [None] * spec.scales
    found = [patches.children(cells) if spec.upsampled else cells]
    while len(found) < spec.scales:
        found.append(patches.parents(found[-1]))
    return [*found]


def _indices(values: np.ndarray | None) -> Array | None:
    return None if values is None else jnp.asarray(values, dtype=jnp.int32)
