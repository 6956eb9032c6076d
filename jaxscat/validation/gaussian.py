"""The Gaussian control: a map that has the right power spectrum and nothing else."""

import numpy as np
from jaxtyping import Float

from jaxscat.spectra import angular_power_spectrum


def gaussian_control(
    original: Float[np.ndarray, " p"],
    *,
    seed: int = 0,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Float[np.ndarray, " p"]:
    """A Gaussian random NESTED map with the power spectrum and the mean of a map.

    Drawn by `healpy.synfast` from the C_l of the original (inside the `footprint`, if given) for
    l = 1 ... 3 nside - 1. The monopole is not drawn, since a single number would scatter by its
    whole size; the mean (inside the footprint) is made that of the original instead. Float64 [p],
    in the original's units. The same seed gives the same map, and NumPy's global generator is left
    as it was.

    Source: `docs/conventions.md`, "Validation".
    """
    import healpy  # loads matplotlib, so not at import

    original = np.asarray(original, dtype=np.float64)
    spectrum = angular_power_spectrum(original, footprint)
    spectrum[0] = 0.0
    # synfast draws from the global generator only.
    state = np.random.get_state()
    try:
        np.random.seed(seed)
        ring = healpy.synfast(spectrum, healpy.npix2nside(original.size), new=True)
    finally:
        np.random.set_state(state)
    control = healpy.reorder(ring, r2n=True)
    return control + np.average(original - control, weights=footprint)
