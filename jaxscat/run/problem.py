"""The problem of a config: maps, targets and pyramids of all levels, starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscat.fields.gaussianization import gaussianize
from jaxscat.fields.starts import gaussian_noise, reference_noise, white_noise
from jaxscat.io.masks import build_footprint
from jaxscat.io.precision import large_mean
from jaxscat.maps import npix_to_nside
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.harmonic import Harmonic, check_form_nside, harmonic_form
from jaxscat.progress import Observer
from jaxscat.run.config import Config
from jaxscat.run.inputs import Inputs, read_inputs, take_logarithm
from jaxscat.run.provenance import Clock
from jaxscat.run.resolution_levels import build_coarser_levels
from jaxscat.run.targets import build_run_pyramid, build_run_target, find_cells

# By their names in a config.
STARTS = {
    "white_noise": white_noise,
    "reference_noise": reference_noise,
    "gaussian_noise": gaussian_noise,
}


@dataclass(frozen=True)
class WorkingMap:
    """The map whose statistics new maps get, the starts that belong to it, and the way back.

    Attributes:
        values: the original [p] in the precision of the run, its logarithm with
            `data.transform` "log", Gaussian with `synthesis.gaussianize`.
        footprint: the union [p] of the masks, or None.
        start: draw the start [p] of a seed, in the values and the precision of the working map.
        restore: take a map [p] back to the values of the original.
    """

    values: np.ndarray
    footprint: np.ndarray | None
    start: Callable[[int], np.ndarray]
    restore: Callable[[np.ndarray], np.ndarray]

    def restored_start(self, seed: int) -> np.ndarray:
        """Draw the start [p] of a seed in the values of the original."""
        return self.restore(self.start(seed))


@dataclass(frozen=True)
class Prepared:
    """A config as a problem that a synthesis solves.

    Attributes:
        config: the settings.
        inputs: original, mask and second map in the precision of the run, and where they are from.
        working: the map whose statistics new maps get, and the starts.
        cells: the pixels of the maps of targets and pyramids; None for the whole sphere.
        pyramids: the wavelets of all levels, the coarsest first.
        targets: the targets of all levels, in the same order.
        form: how a map follows from the free parameters of the synthesis; None for pixels.
    """

    config: Config
    inputs: Inputs
    working: WorkingMap
    cells: np.ndarray | None
    pyramids: list[Pyramid]
    targets: list[Target]
    form: Harmonic | None

    @property
    def original(self) -> np.ndarray:
        """The original map [p], NESTED, in the precision of the run."""
        return self.inputs.original

    @property
    def pyramid(self) -> Pyramid:
        """The wavelets at the nside of the original."""
        return self.pyramids[-1]

    def start(self, seed: int) -> np.ndarray:
        """Draw the start of a seed, of the pixels and in the values of the targets' maps."""
        return select_cells(self.working.start(seed), self.cells)

    def restore(self, map: np.ndarray) -> np.ndarray:
        """Take a new map back to the values of the original, on the whole sphere [p]."""
        if self.cells is not None:
            # Hidden pixels hold the mean.
            sphere = np.broadcast_to(self.working.values, (*map.shape[:-1], self.original.size))
            sphere = sphere.astype(map.dtype)
            sphere[..., self.cells] = map
            map = sphere
        return self.working.restore(map)


def select_cells(map: np.ndarray | None, cells: np.ndarray | None) -> Any:
    """Return the pixels of a patch, or all of them; no map stays none."""
    return map if map is None or cells is None else map[..., cells]


def prepare(
    config: Config, *, observer: Observer | None = None, clock: Clock | None = None
) -> Prepared:
    """Read the maps of a config, build its wavelets and measure its targets.

    Args:
        config: the settings.
        observer: receives the stages and the progress of the wavelets.
        clock: records the seconds of "load", "pyramid" and "target".

    Raises:
        ValueError: as `load_map`, `load_mask`, `build_pyramid`, `gaussianize`, `make_target` and
            `harmonic_form`; a `synthesis.first_nside` that does not fit the map.
        OSError: a file cannot be read.
    """
    observer, clock = observer or Observer(), clock or Clock()
    with clock.measure("load"):
        observer.stage(f"reading {config.data.dataset or config.data.path}")
        inputs = read_inputs(config).in_precision(config.run.precision)
    if config.synthesis.form == "harmonic":
        nside = npix_to_nside(inputs.original.size)
        check_form_nside(nside, name="synthesis.form: 'harmonic' at nside")
    nside = npix_to_nside(inputs.original.size)
    cells = find_cells(config, inputs.mask)
    with clock.measure("pyramid"):
        observer.stage("building the wavelets")
        pyramid = build_run_pyramid(config, nside, cells=cells, progress=observer.building)
    with clock.measure("target"):
        observer.stage("measuring the map")
        observer.compiling()
        working = build_working_map(config, inputs.original, build_footprint(inputs.mask))
        other = inputs.second
        if other is not None and config.data.transform == "log":
            other = take_logarithm(other, "target.second")
        given = working.values, inputs.mask, other
        values, mask, second = (select_cells(map, cells) for map in given)
        target = build_run_target(config, values, pyramid, mask=mask, second=second)
        targets, pyramids = build_coarser_levels(
            config, values, pyramid, mask=mask, second=second, observer=observer
        )
        form = _build_form(config, working)
    return Prepared(config, inputs, working, cells, [*pyramids, pyramid], [*targets, target], form)


def build_working_map(
    config: Config, original: np.ndarray, footprint: np.ndarray | None
) -> WorkingMap:
    """Build the map whose statistics new maps get from an original [p] and its footprint [p].

    Without `synthesis.gaussianize` that is the original itself, in float32 without a large mean
    (see `large_mean`), which `restore` adds back in float64. With `data.transform` "log" all that
    is done to its logarithm, and `restore` takes the exponential in the end. Raises `ValueError` as
    `gaussianize`, and for a logarithm of values that are not positive.
    """
    precision, offset = config.run.precision, 0.0
    logarithmic, exact = config.data.transform == "log", large_mean(original) != 0
    if logarithmic:
        original = take_logarithm(original, "data.transform")
    # S0 of two maps counts with their means.
    if precision == "float32" and config.target.second is None:
        offset = large_mean(original)
        original = original - offset if offset else original
    values, draw = original.astype(precision, copy=False), STARTS[config.synthesis.start]
    relation = None
    if config.synthesis.gaussianize:
        normal, relation = gaussianize(values, weights=footprint)
        values = np.asarray(normal)

    def start(seed: int) -> np.ndarray:
        return draw(values, seed, footprint=footprint).astype(precision)

    def restore(map: np.ndarray) -> np.ndarray:
        values = map if relation is None else np.asarray(relation.inverse(jnp.asarray(map)))
        values = values.astype(np.float64) + offset if offset else values
        if not logarithmic:
            return values
        return np.exp(values.astype(np.float64)).astype(np.float64 if exact else map.dtype)

    return WorkingMap(values, footprint, start, restore)


def _build_form(config: Config, working: WorkingMap) -> Harmonic | None:
    if config.synthesis.form == "pixels":
        return None
    dtype = np.dtype(config.run.precision)
    return harmonic_form(working.values, dtype=dtype, footprint=working.footprint)


def check_precision(config: Config) -> None:
    """Refuse a config of float64 while JAX is in 32-bit mode, with a `ValueError`."""
    wanted = np.dtype(config.run.precision)
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise ValueError(
            "run.precision = 'float64': JAX is in 32-bit mode; expected "
            "jax.config.update('jax_enable_x64', True) first (the command line does it)"
        )
