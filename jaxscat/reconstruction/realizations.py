"""Quantities of a map with realizations of noise added, measured a few at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxscat.fields.field_noise import FieldNoise
from jaxscat.fields.noise import Noise
from jaxscat.minimization.batch_size import default_lanes
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.operators.batching import fill_rows, map_in_groups

# In place of the number of a realization: the data, and the map without noise.
DATA, MAP = -2, -1
# Maps that are measured by one call on a CPU, in groups of two or three.
_TOGETHER = 6


def measure_realizations(
    terms: Mapping[str, CalibratedTerm],
    data: Float[np.ndarray, "*f p"],
    map: Float[np.ndarray, "*f p"],
    noise: Noise | FieldNoise,
    seed: int,
    numbers: Sequence[int],
) -> dict[str, Any]:
    """Return the quantities of a map with noise, for several realizations of it.

    Realizations are drawn on the device; what is held are the quantities, and the fields of a few
    maps.

    Args:
        terms: measure the quantities.
        data: map (or maps of several fields) to measure where the number is `DATA`.
        map: map to which realizations are added, or none where the number is `MAP`.
        noise: realizations are drawn from it.
        seed: names the set of realizations.
        numbers: of the realizations.

    Returns:
        quantities by the names of the terms, on the host, with a leading axis of numbers.

    Source: `docs/reconstruction.md`, "Calibration".
    """
    together = _maps_together(map.size)
    # Not by names inside: terms of the residual share the program of those of the map.
    given = tuple(terms.values())
    parts = []
    for first in range(0, len(numbers), together):
        filled = fill_rows(np.asarray(numbers[first : first + together], np.int32), together)
        found = _measure(given, data, map, noise, np.uint32(seed), filled)
        parts.append(jax.tree.map(np.asarray, found))
    joined = jax.tree.map(lambda *of: np.concatenate(of)[: len(numbers)], *parts)
    return dict(zip(terms, joined, strict=True))


def _maps_together(npix: int) -> int:
    """Return how many maps a call measures, by the memory of the default device."""
    (device,) = jax.device_put(np.int32(0)).devices()
    return _TOGETHER if device.platform == "cpu" else default_lanes(device.platform, npix)


@jax.jit
def _measure(
    terms: tuple[CalibratedTerm, ...],
    data: Float[Array, "*f p"],
    map: Float[Array, "*f p"],
    noise: Noise | FieldNoise,
    seed: Array,
    numbers: Int[Array, " k"],
) -> tuple[Any, ...]:
    def measured(number: Array, operands: Any) -> tuple[Any, ...]:
        terms, data, map, noise, seed = operands
        added = noise.draw(seed, jnp.maximum(number, 0)).astype(map.dtype)
        # One program for all of them: it takes long to compile.
        seen = jnp.where(number == DATA, data, map + jnp.where(number < 0, 0, added))
        return tuple(term.measure(seen) for term in terms)

    operands = (terms, data, map, noise, seed)
    return map_in_groups(measured, numbers, operands, npix=map.shape[-1])
