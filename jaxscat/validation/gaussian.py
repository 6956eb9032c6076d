"""Gaussian controls: maps that have the right power spectrum and nothing else."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from jaxscat.spectra import angular_power_spectrum, filtered_noise
from jaxscat.validation.distribution import pixel_moments

ControlKind = Literal["gaussian", "filtered"]
CONTROLS: tuple[ControlKind, ...] = get_args(ControlKind)


def gaussian_control(
    original: Float[np.ndarray, " p"],
    *,
    seed: int = 0,
    footprint: Float[np.ndarray, " p"] | None = None,
    kind: ControlKind = "gaussian",
) -> Float[np.ndarray, " p"]:
    """A Gaussian random NESTED map with power spectrum, mean and standard deviation of a map.

    "gaussian" is drawn by `healpy.synfast` from the C_l of the original (inside the `footprint`,
    if given) for l = 1 ... 3 nside - 1. "filtered" is white noise that is filtered to these C_l
    and keeps power beyond 3 nside - 1 (see `filtered_noise`): the fairer control, since pixels of
    the original have such power too. Mean and standard deviation (inside the footprint) are made
    those of the original, so that neither tells a control from it. Float64 [p], in the original's
    units. The same seed gives the same map, and NumPy's global generator is left as it was. Raises
    `ValueError` for an unknown kind.

    Source: `docs/conventions.md`, "Validation".
    """
    import healpy  # loads matplotlib, so not at import

    if kind not in CONTROLS:
        raise ValueError(f"kind: got {kind!r}, expected one of {list(CONTROLS)}")
    original = np.asarray(original, dtype=np.float64)
    spectrum = angular_power_spectrum(original, footprint)
    if kind == "filtered":
        drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal(original.size)
        variance = pixel_moments(original, footprint)["std"] ** 2
        return _with_moments(filtered_noise(drawn, spectrum, variance), original, footprint)
    spectrum[0] = 0.0
    # synfast draws from the global generator only.
    state = np.random.get_state()
    try:
        np.random.seed(seed)
        ring = healpy.synfast(spectrum, healpy.npix2nside(original.size), new=True)
    finally:
        np.random.set_state(state)
    return _with_moments(healpy.reorder(ring, r2n=True), original, footprint)


def _with_moments(
    drawn: Float[np.ndarray, " p"],
    original: Float[np.ndarray, " p"],
    footprint: Float[np.ndarray, " p"] | None,
) -> Float[np.ndarray, " p"]:
    (mean, spread), (wanted, wanted_spread) = (
        (moments["mean"], moments["std"])
        for moments in (pixel_moments(map, footprint) for map in (drawn, original))
    )
    scaled = (drawn - mean) * (wanted_spread / spread) if spread > 0 else drawn - mean
    return scaled + wanted
