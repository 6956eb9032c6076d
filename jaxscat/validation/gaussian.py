"""Gaussian controls: Gaussian random maps with the power spectrum of the original."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from jaxscat.harmonics.spectra import angular_power_spectrum, filtered_noise
from jaxscat.maps import cover_hidden

ControlKind = Literal["gaussian", "filtered"]
CONTROLS: tuple[ControlKind, ...] = get_args(ControlKind)


def gaussian_control(
    original: Float[np.ndarray, " p"],
    *,
    seed: int = 0,
    footprint: Float[np.ndarray, " p"] | None = None,
    kind: ControlKind = "gaussian",
) -> Float[np.ndarray, " p"]:
    """Sample a Gaussian random NESTED map with the power spectrum and the mean of a map.

    "gaussian" is drawn by `healpy.synfast` from the C_l of the original (inside the `footprint`,
    if given) for l = 1 to 3 nside - 1. "filtered" is white noise filtered to these C_l, with the
    rest of the variance beyond 3 nside - 1 (see `filtered_noise`): the fairer control, since
    pixels of the original have such power too. The monopole is not sampled, since it is a single
    mode; the mean (inside the footprint) is set to that of the original. Float64 [p], in the unit
    of the original. The same seed gives the same map, and NumPy's global generator is not changed.
    Raises `ValueError` for an unknown kind.

    Source: `docs/conventions.md`, "Validation".
    """
    import healpy  # loads matplotlib, so not at import

    if kind not in CONTROLS:
        raise ValueError(f"kind: got {kind!r}, expected one of {list(CONTROLS)}")
    original = np.asarray(original, dtype=np.float64)
    if footprint is not None:
        original = cover_hidden(original, footprint)
    spectrum = angular_power_spectrum(original, footprint)
    if kind == "filtered":
        drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal(original.size)
        deviation = original - np.average(original, weights=footprint)
        variance = float(np.average(deviation**2, weights=footprint))
        control = filtered_noise(drawn, spectrum, variance)
    else:
        spectrum[0] = 0.0
        # synfast uses NumPy's global generator.
        state = np.random.get_state()
        try:
            np.random.seed(seed)
            ring = healpy.synfast(spectrum, healpy.npix2nside(original.size), new=True)
        finally:
            np.random.set_state(state)
        control = healpy.reorder(ring, r2n=True)
    return control + np.average(original - control, weights=footprint)
