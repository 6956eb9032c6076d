"""What noise does to the quantities of a map: their bias, their scatter, and the target left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxscat.fields.field_noise import FieldNoise
from jaxscat.fields.noise import LEAST_REALIZATIONS, Noise
from jaxscat.fields.pairs import pair_name
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.objectives.target import floored
from jaxscat.reconstruction.realizations import DATA, MAP, measure_realizations
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.reduction import ReducedCovariance

# Least sigma of a coefficient, over the root mean square of its group and scales.
_FLOOR = 0.01
# Least sigma of the mean of a map, over its error if pixels were independent: some noise has no
# mean at all, and nothing else would count beside that of the map.
_LEAST_OF_MEAN = 0.1


class Calibration(NamedTuple):
    """The targets of a map; all fields are quantities by the names of the terms, on the host.

    Attributes:
        mean: those that the map should have.
        sigma: their scatter from one realization of the noise to the next.
        map: those that it has.
        data: those of the data.
    """

    mean: dict[str, Any]
    sigma: dict[str, Any]
    map: dict[str, Any]
    data: dict[str, Any]


def calibrate(
    terms: Mapping[str, CalibratedTerm],
    data: Float[np.ndarray, "*f p"],
    map: Float[np.ndarray, "*f p"],
    noise: Noise | FieldNoise,
    seed: int,
    realizations: int,
    *,
    suffices: Callable[[Calibration], bool] | None = None,
) -> Calibration:
    """Measure the bias b = <Phi(u + n)> - Phi(u) at a map u, for the target Phi(d) - b.

    Args:
        terms: measure the quantities Phi.
        data: map d of signal and noise.
        map: the present map u.
        noise: realizations n are drawn from it, a few at a time; none is kept.
        seed: names the set of realizations.
        realizations: number of them.
        suffices: whether targets of a quarter of the realizations will do; None for all of them.

    Raises:
        ValueError: a scatter that is zero or not finite.

    Source: `docs/reconstruction.md`, "Calibration".
    """

    def measure(numbers: Sequence[int]) -> dict[str, Any]:
        return measure_realizations(terms, data, map, noise, seed, numbers)

    few = realizations if suffices is None else max(LEAST_REALIZATIONS, realizations // 4)
    measured = measure([DATA, MAP, *range(min(few, realizations))])
    targets = _subtract_bias(measured)
    if few >= realizations or (suffices is not None and suffices(targets)):
        return targets
    rest = measure(range(few, realizations))
    return _subtract_bias(jax.tree.map(lambda *of: np.concatenate(of), measured, rest))


def calibrate_noise(
    terms: Mapping[str, CalibratedTerm], noise: Noise, seed: int, realizations: int, dtype: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the mean <Phi(n)> of the quantities of noise alone, and their scatter.

    Args:
        terms, noise, seed, realizations: as for `calibrate`.
        dtype: type of maps.
    """
    zero = np.zeros(noise.npix, dtype)
    measured = measure_realizations(terms, zero, zero, noise, seed, range(realizations))
    mean, scatter = _mean_and_scatter(measured)
    return mean, _checked(scatter, mean)


def measure_map(
    terms: Mapping[str, CalibratedTerm], map: Float[np.ndarray, "*f p"], noise: Noise | FieldNoise
) -> dict[str, Any]:
    """Return the quantities of a map by the names of the terms, by the program of `calibrate`."""
    measured = measure_realizations(terms, map, map, noise, 0, [DATA])
    return jax.tree.map(lambda of: of[0], measured)


def join_calibrations(first: Calibration, second: Calibration) -> Calibration:
    """Return the targets of the terms of both."""
    return Calibration(*[one | other for one, other in zip(first, second, strict=True)])


def _subtract_bias(measured: Mapping[str, Any]) -> Calibration:
    """Return the targets that follow from quantities of the data, of the map, and with noise."""
    of_data, of_map, noisy = (
        jax.tree.map(lambda of, which=which: of[which], dict(measured))
        for which in (0, 1, slice(2, None))
    )
    with_noise, scatter = _mean_and_scatter(noisy)
    bias = jax.tree.map(np.subtract, with_noise, of_map)
    mean = jax.tree.map(np.subtract, of_data, bias)
    return Calibration(mean, _checked(scatter, with_noise), of_map, of_data)


def _mean_and_scatter(measured: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return mean and standard deviation over the leading axis of quantities."""
    mean = jax.tree.map(lambda of: np.mean(of, axis=0), dict(measured))

    def scatter(values: np.ndarray, centre: np.ndarray) -> np.ndarray:
        away = np.abs(values - centre)
        # Scaled first: squares of weak coefficients leave the range of float32.
        largest = np.max(away, axis=0)
        scaled = away / np.where(largest > 0, largest, 1)
        return largest * np.sqrt(np.sum(scaled**2, axis=0) / (len(values) - 1))

    return mean, jax.tree.map(scatter, dict(measured), mean)


def _checked(scatter: Mapping[str, Any], noisy: Mapping[str, Any]) -> dict[str, Any]:
    """Return scatters that can be divided by: positive, and not small beside others.

    Args:
        scatter: by the names of the terms.
        noisy: mean quantities with noise.
    """
    return {name: _of_quantities(name, of, noisy[name]) for name, of in scatter.items()}


def _of_quantities(name: str, scatter: Any, noisy: Any) -> Any:
    """Return the checked scatter of the quantities of one term."""
    if isinstance(scatter, FieldCovariances):
        each = zip(scatter.pairs, scatter.statistics, noisy.statistics, strict=True)
        checked = [_of_quantities(f"{name} {pair_name(pair)}", *of) for pair, *of in each]
        return replace(scatter, statistics=tuple(checked))
    coefficients = isinstance(scatter, ScatteringCovariance | ReducedCovariance)
    if coefficients:
        mean, error = np.moveaxis(np.asarray(scatter.s0), -1, 0)
        mean = np.maximum(mean, _LEAST_OF_MEAN * np.abs(noisy.s0[..., 1]))
        scatter = replace(scatter, s0=np.stack([mean, error], axis=-1))
    _refuse_constant(name, scatter)
    return jax.tree.map(np.asarray, floored(scatter, _FLOOR)) if coefficients else scatter


def _refuse_constant(name: str, scatter: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(scatter):
        group = f"{name!r}{jax.tree_util.keystr(path)}"
        bad = int(np.sum(~np.isfinite(leaf)))
        if bad:
            raise ValueError(
                f"data, noise: got maps of which {bad} of {leaf.size} numbers of {group} are "
                f"beyond the range of {leaf.dtype}, expected another unit"
            )
        bad = int(np.sum(leaf <= 0))
        if bad:
            raise ValueError(
                f"noise: got realizations under which {bad} of {leaf.size} numbers of {group} do "
                "not vary, expected different ones that vary in all pixels"
            )
