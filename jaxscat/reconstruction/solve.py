"""The common part of reconstructions from noisy data: start, renewals, result."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.fields.field_noise import FieldNoise
from jaxscat.fields.noise import Noise
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import Batching
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.parametrizations.pixels import Pixels
from jaxscat.progress import Progress
from jaxscat.reconstruction.calibration import (
    Calibration,
    calibrate,
    calibrate_noise,
    join_calibrations,
    measure_map,
)
from jaxscat.reconstruction.checkpoints import RenewalFiles, digest_of
from jaxscat.reconstruction.defaults import count_realizations, default_start
from jaxscat.reconstruction.objective import (
    calibrated_terms,
    measure_distances,
    residual_terms,
)
from jaxscat.reconstruction.observed import Observed
from jaxscat.reconstruction.options import Renewals, TermOptions
from jaxscat.reconstruction.renewal import (
    NO_SIGNAL,
    NOT_FINITE,
    RenewalState,
    RenewedProblem,
    renew,
)
from jaxscat.reconstruction.result import Reconstruction, collect
from jaxscat.reconstruction.spectra import estimate_spectrum
from jaxscat.reconstruction.starts import build_baselines, build_starts

# Above so many times its level, the target of a term needs not be precise.
_FAR = 2.0
# A map of so small a share of the data's standard deviation is no signal that was found.
_NOTHING = 0.01


def solve_noisy(
    observed: Observed,
    noise: Noise,
    chosen: Mapping[str, TermOptions],
    terms: Mapping[str, Any],
    *,
    seeds: tuple[int, ...] | None,
    start: Any,
    renewals: Renewals,
    batching: Batching | None,
    checkpoints: Checkpoints | None,
    callback: Callable[[Progress], None] | None,
) -> Reconstruction:
    """Reconstruct the signal in noisy data, from checked parts.

    Args:
        observed: the data.
        noise: all that is not the signal.
        chosen: options of the terms.
        terms: from `build_terms`.
        seeds, start, renewals, batching, checkpoints, callback: as for `denoise`.

    Raises:
        ValueError: a bad start, or more realizations than there are.
    """
    plain, signal = (
        estimate_spectrum(observed.values, noise, footprint=observed.weights, cautious=cautious)
        for cautious in (False, True)
    )
    baselines = build_baselines(observed, plain, noise)
    if start is None:
        start = default_start(seeds is not None, terms)
    # An excess of the noise that the start took for signal would stay in the map.
    starts = build_starts(start, observed, signal, noise, seeds)
    restored = {name: observed.restore(map) for name, map in baselines.items()}
    if not signal[1:].any():
        state = without_signal(starts, terms)
        return collect(state, [None], observed.restore(state.maps), restored, seeds)
    # Of no start: seeds share it. No power of two near it: steps do not depend on the data's unit.
    unit = np.std(baselines["square-root wiener"]) or np.std(observed.values)
    state, last = solve_from(
        starts,
        observed,
        noise,
        chosen,
        terms,
        parametrization=Pixels(observed.values.size, observed.values.dtype.type(unit)),
        seeds=seeds,
        renewals=renewals,
        batching=batching,
        checkpoints=checkpoints,
        callback=callback,
    )
    return collect(state, last, observed.restore(state.maps), restored, seeds)


def solve_from(
    starts: Float[np.ndarray, "B *f p"],
    observed: Observed,
    noise: Noise | FieldNoise,
    chosen: Mapping[str, TermOptions],
    terms: Mapping[str, Any],
    *,
    parametrization: Parametrization,
    seeds: tuple[int, ...] | None,
    renewals: Renewals,
    batching: Batching | None,
    checkpoints: Checkpoints | None,
    callback: Callable[[Progress], None] | None,
) -> tuple[RenewalState, list[Calibration | None]]:
    """Change starts until their statistics are those of the data, less what noise adds.

    Args:
        starts: a map of every seed, or the maps of several fields.
        observed: the data, of the same shape.
        noise: all that is not the signal.
        chosen, terms, seeds, renewals, batching, checkpoints, callback: as for `solve_noisy`.
        parametrization: the unknowns.

    Raises:
        ValueError: more realizations than there are.
    """
    listed = (0,) if seeds is None else seeds
    count = count_realizations(renewals.realizations, noise, several=seeds is not None)
    levels = {name: options.level for name, options in chosen.items()}
    problem = RenewedProblem(
        terms=terms,
        weights={name: options.weight for name, options in chosen.items()},
        levels=levels,
        targets=_target_function(observed, noise, terms, levels, count),
        parametrization=parametrization,
        settings=renewals,
    )
    files = None
    if checkpoints is not None:
        identity = {
            "data": digest_of((observed.values, observed.weights)),
            "noise": digest_of(noise),
            "seeds": listed,
            "starts of seeds": digest_of(starts),
            **problem.identity(),
        }
        files = RenewalFiles(checkpoints, identity)
    state, last = renew(problem, starts, listed, batching=batching, files=files, callback=callback)
    return _say_nothing_found(state, _NOTHING * np.std(observed.values, axis=-1)), last


def _target_function(
    observed: Observed,
    noise: Noise | FieldNoise,
    terms: Mapping[str, Any],
    levels: Mapping[str, float],
    count: int,
) -> Callable[[int, Float[np.ndarray, "*f p"]], Calibration]:
    """Return the function from a seed and its map to the targets of all terms.

    Far above the levels, where a map will change much, a quarter of the realizations will do.
    """
    own, left = calibrated_terms(terms), residual_terms(terms)
    dtype = observed.values.dtype
    of_noise: dict[int, Any] = {}

    def far(calibration: Calibration) -> bool:
        values = measure_distances(own, calibration)
        return any(value > _FAR * (levels[name] or 1.0) for name, value in values.items())

    def targets(seed: int, map: Float[np.ndarray, "*f p"]) -> Calibration:
        found = Calibration({}, {}, {}, {})
        if own:
            found = calibrate(own, observed.values, map, noise, seed, count, suffices=far)
        if left:
            assert isinstance(noise, Noise)  # several fields have no such term
            # Noise alone does not depend on the map.
            if seed not in of_noise:
                of_noise[seed] = calibrate_noise(left, noise, seed, count, dtype)
            mean, sigma = of_noise[seed]
            residual = measure_map(left, observed.values - map, noise)
            found = join_calibrations(found, Calibration(mean, sigma, residual, residual))
        return found

    return targets


def _say_nothing_found(state: RenewalState, least: Float[np.ndarray, "*f"]) -> RenewalState:
    """Call maps "no signal" whose standard deviation is below the least one, if they have ended."""
    status = [
        NO_SIGNAL
        if given not in (None, NOT_FINITE) and (np.std(map, axis=-1) < least).all()
        else given
        for given, map in zip(state.status, state.maps, strict=True)
    ]
    return state._replace(status=tuple(status))


def without_signal(starts: Float[np.ndarray, "B *f p"], terms: Mapping[str, Any]) -> RenewalState:
    """Return the end of a reconstruction that has not begun, since nothing is above the noise."""
    count = len(starts)
    return RenewalState(
        maps=np.zeros_like(starts),
        renewals=0,
        status=(NO_SIGNAL,) * count,
        values={name: np.full((count, 1), np.nan) for name in terms},
        evaluations=np.zeros(count, np.int64),
    )
