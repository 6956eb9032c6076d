"""Power spectra of signals and of noise, as levels: the C_l, and last the level beyond them."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import Noise, NoiseMaps, as_noise
from jaxscat.harmonics.spectra import (
    angular_power_spectrum,
    power_beyond,
    running_windows,
    smooth_spectrum,
)
from jaxscat.maps import (
    check_flag,
    check_map,
    check_mask,
    cover_hidden,
    npix_to_nside,
    to_numpy,
    to_real,
)

# Fewer tell the level of a signal to worse than a quarter.
_LEAST_MODES = 32


def estimate_spectrum(
    data: ArrayLike,
    noise: Any,
    *,
    footprint: ArrayLike | None = None,
    cautious: bool = False,
) -> Float[np.ndarray, " l"]:
    """Estimate the power spectrum of a signal from a noisy map.

    It is the spectrum of the data less that of the noise, both smoothed over a quarter of an
    octave and at least 32 modes, and zero where that is below its own standard error: where noise
    covers the signal, nothing is claimed. The monopole is zero.

    Args:
        data: real NESTED map `[p]` of signal and noise.
        noise: noise model, realizations `[n p]`, or levels: C_l for l = 0 to 3 nside - 1, and
            perhaps the level beyond (zero where it is not given).
        footprint: weights `[p]` from 0 to 1; what the data hold where it is zero does not matter.
        cautious: take the standard error off, so that little is claimed where noise covers the
            signal, and nothing by a step.

    Returns:
        C_l for l = 0 to 3 nside - 1, and last the level beyond, in map units squared (sr).

    Raises:
        ValueError: bad data, noise or footprint.

    Source: `docs/reconstruction.md`, "Spectra".
    """
    check_flag(cautious, "cautious")
    data, weights = check_data(data, footprint, name="footprint")
    known = smooth_spectrum(noise_levels(noise, data.size, weights), least_modes=_LEAST_MODES)
    found = smooth_spectrum(_levels(data, weights), least_modes=_LEAST_MODES)
    signal = np.maximum(found - known, 0)
    error = found * np.sqrt(2 / _modes(found.size - 1, weights))
    signal = np.where(signal < error, 0, signal - error if cautious else signal)
    signal[0] = 0
    return signal


def noise_levels(
    noise: Any,
    npix: int,
    footprint: Float[np.ndarray, " p"] | None = None,
    *,
    name: str = "noise",
) -> Float[np.ndarray, " l"]:
    """Return the mean power spectrum of noise, in a footprint where one is given.

    Args:
        noise: noise model, realizations `[n p]`, or levels.
        npix: number of pixels of the data.
        footprint: weights `[p]`, validated.
        name: of the argument, for messages.

    Raises:
        ValueError: `noise` is none of these, or of another nside than the data.

    Source: `docs/reconstruction.md`, "Spectra".
    """
    if is_levels(noise, name=name):
        return check_levels(noise, npix_to_nside(npix), name)
    noise = as_noise(noise, npix, name=name)
    if footprint is None:
        return noise.levels()
    if isinstance(noise, NoiseMaps):
        maps = np.asarray(noise.maps, np.float64)
        return np.mean([_levels(map, footprint) for map in maps], axis=0)
    levels = noise.levels()
    if isinstance(noise, GaussianNoise) and not noise.is_uniform:
        square = np.asarray(noise.amplitude, np.float64) ** 2
        levels = levels * np.average(square, weights=footprint**2) / square.mean()
    return levels


def is_levels(noise: Any, *, name: str = "noise") -> bool:
    """Return whether noise is given by its levels: an array of one axis."""
    return not isinstance(noise, Noise) and to_numpy(noise, name=name).ndim == 1


def check_levels(levels: Any, nside: int, name: str) -> Float[np.ndarray, " l"]:
    """Validate C_l, with or without the level beyond, and return them with it.

    Raises:
        ValueError: other than 3 nside or 3 nside + 1 numbers, negative ones, or not finite ones.
    """
    values = to_real(levels, name=name).astype(np.float64)
    count = 3 * nside
    if values.shape not in ((count,), (count + 1,)):
        raise ValueError(
            f"{name}: got an array of shape {values.shape}, expected C_l for l = 0 to {count - 1}, "
            f"({count},), or these and the level beyond, ({count + 1},)"
        )
    bad = int(np.sum(~np.isfinite(values) | (values < 0)))
    if bad:
        raise ValueError(
            f"{name}: got {bad} of {values.size} that are negative or not finite, expected C_l "
            "from 0 up"
        )
    return values if values.size > count else np.append(values, 0.0)


def check_weights(weights: ArrayLike, npix: int, name: str) -> Float[np.ndarray, " p"]:
    """Validate one map of weights between 0 and 1, and return it in float64.

    Raises:
        ValueError: as `check_mask`, several masks, or weights above 1.
    """
    values = check_mask(weights, npix, name=name).astype(np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name}: got shape {values.shape}, expected one mask (npix,)")
    if values.max() > 1:
        raise ValueError(
            f"{name}: got weights up to {values.max():g}, expected weights from 0 (no data) to 1"
        )
    return values


def check_data(
    data: ArrayLike,
    mask: ArrayLike | None,
    *,
    name: str = "mask",
    of: str = "data",
    npix: int | None = None,
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"] | None]:
    """Validate a map where it has weight, and return it in float64 with the weights.

    Pixels without weight hold the mean of the others.

    Args:
        data: map `[p]`.
        mask: weights `[p]`, or None.
        name: of `mask`, for messages.
        of: name of `data`, for messages.
        npix: number of pixels that it must have, or None.

    Raises:
        ValueError: as `check_map` and `check_weights`.
    """
    values = to_real(data, name=of)
    if npix is not None and values.shape != (npix,):
        raise ValueError(f"{of}: got shape {values.shape}, expected ({npix},) as the data")
    if mask is None or values.ndim != 1:
        return check_map(values, name=of).astype(np.float64), None
    npix_to_nside(values.size, name=of)
    weights = check_weights(mask, values.size, name)
    shown = cover_hidden(values, weights, name=of)
    return check_map(shown, name=of).astype(np.float64), weights


def observed_spectrum(
    data: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None
) -> Float[np.ndarray, " l"]:
    """Return the levels of a map (in a footprint), smoothed over a quarter of an octave.

    Source: `docs/reconstruction.md`, "Spectra".
    """
    return smooth_spectrum(_levels(data, footprint))


def _levels(
    map: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None
) -> Float[np.ndarray, " l"]:
    """Return the C_l of a map, and the level beyond that its variance leaves."""
    spectrum = angular_power_spectrum(map, footprint)
    weights = np.ones_like(map) if footprint is None else footprint
    rest = (map - np.average(map, weights=weights)) * weights
    variance = np.var(rest) / np.mean(weights**2)
    return np.append(spectrum, power_beyond(spectrum, float(variance)))


def _modes(count: int, footprint: Float[np.ndarray, " p"] | None) -> Float[np.ndarray, " l"]:
    """Return how many independent numbers stand behind every level of a smoothed spectrum."""
    low, high = running_windows(count, least_modes=_LEAST_MODES)
    # The sum of 2 l + 1 up to l is the square of l + 1.
    modes = np.append(high**2 - low**2, 3 * (count // 3) ** 2).astype(np.float64)
    if footprint is None:
        return modes
    return modes * np.mean(footprint**2) ** 2 / np.mean(footprint**4)
