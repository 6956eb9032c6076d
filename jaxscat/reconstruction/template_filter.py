"""Linear estimates of a field that use what it has in common with known fields."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.fields.noise import mean_levels
from jaxscat.harmonics.cross_spectra import cross_spectrum
from jaxscat.harmonics.spectra import smooth_spectrum
from jaxscat.maps import check_map, npix_to_nside, to_real
from jaxscat.reconstruction.channels import check_channels, combine_channels
from jaxscat.reconstruction.spectra import check_levels
from jaxscat.reconstruction.wiener import wiener_filter

_LEAST_MODES = 32  # as for the spectrum of a signal
_LEAST_EIGENVALUE = 1e-10  # of correlations between templates: below it is rounding


def template_weights(field: ArrayLike, templates: ArrayLike) -> Float[np.ndarray, "k l"]:
    """Return how templates have to be filtered so that their sum is nearest to a field.

    They are C_tt^-1 C_tf at every multipole, of smoothed spectra. Noise of the field that is
    independent of the templates changes them by chance only.

    Args:
        field: real NESTED map `[p]`, with or without noise.
        templates: real NESTED maps `[k p]`.

    Returns:
        weights `[k, 3 nside + 1]` for `combine_channels`; zero for the mean, and beyond the last
        multipole.

    Raises:
        ValueError: bad maps.

    Source: `docs/polarization.md`, "Denoising".
    """
    values = check_map(field, name="field").astype(np.float64)
    given = to_real(templates, name="templates")
    if given.ndim != 2 or not len(given) or given.shape[1] != values.size:
        raise ValueError(
            f"templates: got shape {given.shape}, expected (templates, {values.size}): maps of the "
            "nside of the field"
        )
    known = check_channels(given, len(given), name="templates")
    maps = np.concatenate([known, values[None]])
    count, last = len(maps), 3 * npix_to_nside(values.size)
    spectra = np.zeros((last, count, count))
    for one in range(count):
        for other in range(one + 1):
            found = smooth_spectrum(
                cross_spectrum(maps[one], maps[other]), least_modes=_LEAST_MODES
            )
            spectra[:, one, other] = spectra[:, other, one] = found
    spread = np.sqrt(np.maximum(np.einsum("lcc->lc", spectra), 0))
    scale = np.where(spread > 0, spread, 1)
    correlations = spectra / scale[:, :, None] / scale[:, None, :]
    inverse = np.linalg.pinv(correlations[:, :-1, :-1], _LEAST_EIGENVALUE, hermitian=True)
    weights = np.einsum("lab,lb->al", inverse, correlations[:, :-1, -1])
    weights *= (scale[:, -1:] / scale[:, :-1]).T
    weights[:, 0] = 0
    return np.append(weights, np.zeros((count - 1, 1)), axis=1)


def template_wiener_filter(
    data: ArrayLike,
    signal: ArrayLike,
    noise: Any,
    templates: ArrayLike,
    weights: Float[np.ndarray, "k l"] | None = None,
) -> Float[np.ndarray, " p"]:
    """Estimate a field in noise from its data and from known fields, with the least error.

    It is what templates tell, plus the Wiener filter of what they leave of the data.

    Args:
        data: real NESTED map `[p]` of signal and noise.
        signal: levels of the signal, as for `wiener_filter`.
        noise: as for `wiener_filter`, independent of the templates.
        templates: real NESTED maps `[k p]`, without noise.
        weights: from `template_weights`, such as those of simulations; None for those of the data.

    Returns:
        NESTED map, in float64.

    Raises:
        ValueError: bad data, spectrum, noise, templates or weights.

    Source: `docs/polarization.md`, "Denoising".
    """
    values = check_map(data, name="data").astype(np.float64)
    signal = check_levels(signal, npix_to_nside(values.size), "signal")
    if weights is None:
        weights = template_weights(values, templates)
    told = combine_channels(templates, weights)
    explained = smooth_spectrum(cross_spectrum(told, told), least_modes=_LEAST_MODES)
    left = np.maximum(signal - np.append(explained, 0.0), 0)
    return told + wiener_filter(values - told, left, noise)


def best_wiener_filter(
    data: ArrayLike, truth: ArrayLike, noise: Any, templates: ArrayLike | None = None
) -> Float[np.ndarray, " p"]:
    """Return the Wiener filter that knows the spectra of the truth, to compare estimates with.

    Args:
        data: real NESTED map `[p]` of signal and noise.
        truth: the signal `[p]`.
        noise: as for `wiener_filter`.
        templates: real NESTED maps `[k p]` without noise, or None for none.

    Returns:
        NESTED map, in float64.

    Raises:
        ValueError: bad maps or noise.

    Source: `docs/polarization.md`, "Denoising".
    """
    known = check_map(truth, name="truth").astype(np.float64)
    signal = mean_levels(known[None])
    if templates is None:
        return wiener_filter(data, signal, noise)
    weights = template_weights(known, templates)
    return template_wiener_filter(data, signal, noise, templates, weights)
