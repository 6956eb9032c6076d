"""Wiener filters of noisy maps, and Gaussian realizations of what the noise has hidden."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import NoiseMaps, as_noise
from jaxscat.fields.seeds import check_seed
from jaxscat.harmonics.tables import LARGEST_NSIDE
from jaxscat.maps import npix_to_nside
from jaxscat.reconstruction.conjugate_gradients import solve_wiener
from jaxscat.reconstruction.isotropic import draw_field, filter_map
from jaxscat.reconstruction.spectra import (
    check_data,
    check_levels,
    is_levels,
    noise_levels,
)


def wiener_filter(
    data: ArrayLike, signal: ArrayLike, noise: Any, *, mask: ArrayLike | None = None
) -> Float[np.ndarray, " p"]:
    """Estimate a signal in noise with the least mean square error of all linear estimates.

    It has too little power: the gain is S / (S + N) in every multipole. The mean of the map is
    left as the data have it: a constant that is added to the data comes out again.

    Args:
        data: real NESTED map `[p]` of signal and noise.
        signal: levels of the signal: C_l for l = 0 to 3 nside - 1, and perhaps the level beyond
            (zero where it is not given), such as `estimate_spectrum` returns.
        noise: noise model, realizations `[n p]`, or levels. Noise that is stronger in some pixels
            than in others is treated as such (realizations at nside 2 to 256 only).
        mask: weights `[p]` of observed pixels: the variance of the noise is divided by them, and
            where they are zero nothing is known; what the data hold there does not matter.

    Returns:
        NESTED map in all pixels, in float64.

    Raises:
        ValueError: bad data, spectrum, noise or mask.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    data, weights = check_data(data, mask)
    signal = check_levels(signal, npix_to_nside(data.size), "signal")
    levels, amplitude = _pixel_noise(noise, data.size, weights)
    return _filtered(data, signal, levels, amplitude, weights, "the Wiener filter")


def square_root_wiener_filter(
    data: ArrayLike, signal: ArrayLike, noise: Any
) -> Float[np.ndarray, " p"]:
    """Filter a noisy map so that it has the power spectrum of the signal.

    The gain is the square root of S / (S + N), by the mean spectrum of the noise; the mean of the
    map is left as the data have it.

    Args:
        data: real NESTED map `[p]` of signal and noise.
        signal: levels of the signal, as for `wiener_filter`.
        noise: noise model, realizations `[n p]`, or levels.

    Returns:
        NESTED map, in float64.

    Raises:
        ValueError: bad data, spectrum or noise.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    data, _ = check_data(data, None)
    signal = check_levels(signal, npix_to_nside(data.size), "signal")
    return filter_map(data, np.sqrt(wiener_gains(signal, noise_levels(noise, data.size))))


def constrained_realization(
    data: ArrayLike,
    signal: ArrayLike,
    noise: Any,
    seed: int,
    *,
    mask: ArrayLike | None = None,
) -> Float[np.ndarray, " p"]:
    """Draw a Gaussian signal that could be behind noisy data: the Wiener filter and what it lacks.

    A signal s' and noise n' are drawn, and the map is s' + W (d - s' - n'). It has the spectrum of
    the signal, and leaves data minus map with that of the noise.

    Args:
        data: real NESTED map `[p]` of signal and noise.
        signal: levels of the signal, as for `wiener_filter`.
        noise: noise model, realizations `[n p]`, or levels.
        seed: integer from 0 to 2^32 - 1.
        mask: weights `[p]` of observed pixels, as for `wiener_filter`.

    Returns:
        NESTED map in all pixels, in float64.

    Raises:
        ValueError: bad data, spectrum, noise, seed or mask.

    Source: `docs/reconstruction.md`, "Baselines"; Hoffman and Ribak 1991.
    """
    import healpy  # loads matplotlib, so not at import

    data, weights = check_data(data, mask)
    signal = check_levels(signal, npix_to_nside(data.size), "signal")
    check_seed(seed)
    levels, amplitude = _pixel_noise(noise, data.size, weights)
    generator = np.random.default_rng(seed)
    drawn, scatter = (
        healpy.reorder(draw_field(of, generator), r2n=True) for of in (signal, levels)
    )
    if amplitude is not None:
        scatter = amplitude * scatter
    if weights is not None:
        scatter = scatter / np.sqrt(np.where(weights > 0, weights, 1.0))
    # The mean is the data's, not the data's with one more realization of its noise.
    other = drawn + scatter - scatter.mean()
    name = f"the constrained realization of seed {seed}"
    return drawn + _filtered(data - other, signal, levels, amplitude, weights, name)


def wiener_gains(
    signal: Float[np.ndarray, " l"], noise: Float[np.ndarray, " l"]
) -> Float[np.ndarray, " l"]:
    """Return S / (S + N), zero where both are, and one for the mean.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    total = signal + noise
    gains = np.divide(signal, total, out=np.zeros_like(total), where=total > 0)
    gains[0] = 1.0
    return gains


def _filtered(
    data: Float[np.ndarray, " p"],
    signal: Float[np.ndarray, " l"],
    noise: Float[np.ndarray, " l"],
    amplitude: Float[np.ndarray, " p"] | None,
    weights: Float[np.ndarray, " p"] | None,
    name: str,
) -> Float[np.ndarray, " p"]:
    if amplitude is None and (weights is None or (weights == 1).all()):
        return filter_map(data, wiener_gains(signal, noise))
    spread = np.ones_like(data) if amplitude is None else amplitude
    if weights is not None:
        with np.errstate(divide="ignore"):
            spread = spread / np.sqrt(weights)
    return solve_wiener(data, signal, noise, spread, name=name)


def _pixel_noise(
    noise: Any, npix: int, weights: Float[np.ndarray, " p"] | None
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " p"] | None]:
    """Return the levels of an isotropic field, and the factor of every pixel where it differs."""
    if is_levels(noise):
        return noise_levels(noise, npix), None
    noise = as_noise(noise, npix)
    nside = npix_to_nside(npix)
    if isinstance(noise, NoiseMaps) and 2 <= nside <= LARGEST_NSIDE:
        noise = GaussianNoise.of_realizations(noise.maps, mask=weights)
    levels = noise.levels()
    if not isinstance(noise, GaussianNoise) or noise.is_uniform:
        return levels, None
    amplitude = np.asarray(noise.amplitude, np.float64)
    return levels / np.mean(amplitude**2), amplitude
