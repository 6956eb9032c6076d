"""Linear estimates from several channels, in which a signal has different strengths."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.maps import check_map, check_nside, npix_to_nside, to_real
from jaxscat.reconstruction.isotropic import filter_map
from jaxscat.reconstruction.spectra import check_levels, noise_levels

_LEAST_EIGENVALUE = 1e-12  # of correlations between channels: below it is rounding


def joint_wiener_filter(
    channels: ArrayLike, mixing: ArrayLike, signal: ArrayLike, contaminant: Any, noise: Any
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Estimate a signal and a contaminant from channels, with the least mean square errors.

    A channel is d_c = a_c s + k + n_c: the contaminant k is the same in all of them. The mean of
    the signal is unknown beforehand and weighted as the dipole; with one channel it is that of the
    data, and that of the contaminant is zero.

    Args:
        channels: real NESTED maps `[c p]`.
        mixing: strength a_c of the signal in every channel, `[c]`.
        signal: levels of the signal: C_l for l = 0 to 3 nside - 1, and perhaps the level beyond.
        contaminant: noise model, realizations `[n p]`, levels, or None for none.
        noise: one of these for all channels, or a list of one for each; None for none. It is
            independent in every channel; only its mean spectrum counts.

    Returns:
        NESTED maps of signal and contaminant, in float64.

    Raises:
        ValueError: bad arguments, or channels whose covariance is singular.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    a = check_mixing(mixing)
    maps = check_channels(channels, a.size)
    nside = npix_to_nside(maps.shape[1])
    power = check_levels(signal, nside, "signal")
    common, own = _covariance_levels(a.size, contaminant, noise, nside)
    power[0], common[0], own[:, 0] = power[1], common[1], own[:, 1]
    total = _covariance(common, own) + power[:, None, None] * np.outer(a, a)
    empty = ~total.any(axis=(1, 2))
    total[empty] = np.eye(a.size)
    of_signal, of_contaminant = _inverse_products(total, np.stack([a, np.ones_like(a)], axis=1))
    # Weights without bias for the mean of the signal, and what they leave for the contaminant's.
    mean = of_signal[:, 0] / (a @ of_signal[:, 0])
    rest = common[0] * (of_contaminant[:, 0] - (of_contaminant[:, 0] @ a) * mean)
    of_signal, of_contaminant = power * of_signal, common * of_contaminant
    of_signal[:, 0], of_contaminant[:, 0] = mean, rest
    return combine_channels(maps, of_signal), combine_channels(maps, of_contaminant)


def combination_weights(
    mixing: ArrayLike, contaminant: Any, noise: Any, nside: int
) -> tuple[Float[np.ndarray, "c l"], Float[np.ndarray, " l"]]:
    """Return the weights of channels that keep the signal as it is, with the least variance.

    They are w = C^-1 a / (a^T C^-1 a), with the covariance C of contaminant and noise between
    channels. The means are weighted as the dipole; and where nothing has power beyond the last
    multipole, what is there is weighted as that.

    Args:
        mixing: strength a_c of the signal in every channel, `[c]`.
        contaminant: noise model, realizations `[n p]`, levels, or None for none.
        noise: one of these for all channels, or a list of one for each; None for none.
        nside: of the channels.

    Returns:
        Weights `[c, 3 nside + 1]` for `combine_channels`, and the levels of contaminant and noise
        in the combination, 1 / (a^T C^-1 a).

    Raises:
        ValueError: bad arguments, or a singular covariance.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    a = check_mixing(mixing)
    common, own = _covariance_levels(a.size, contaminant, noise, check_nside(nside))
    if a.size == 1:
        return np.full((1, common.size), 1 / a[0]), (common + own[0]) / a[0] ** 2
    common[0], own[:, 0] = common[1], own[:, 1]
    covariance = _covariance(common, own)
    nothing_beyond = not covariance[-1].any()
    if nothing_beyond:
        covariance[-1] = covariance[-2]
    (products,) = _inverse_products(covariance, a[:, None])
    levels = 1 / (a @ products)
    weights = levels * products
    if nothing_beyond:
        levels[-1] = 0.0
    return weights, levels


def combine_channels(
    channels: ArrayLike, weights: Float[np.ndarray, "c l"]
) -> Float[np.ndarray, " p"]:
    """Return the sum of channels, each filtered by its weights.

    Args:
        channels: real NESTED maps `[c p]`.
        weights: for l = 0 to 3 nside - 1, and last beyond, as `combination_weights` returns them.

    Returns:
        NESTED map, in float64.

    Raises:
        ValueError: bad channels, or weights of another number of channels or another nside.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    gains = to_real(weights, name="weights").astype(np.float64)
    if gains.ndim != 2:
        raise ValueError(f"weights: got shape {gains.shape}, expected (channels, 3 nside + 1)")
    maps = check_channels(channels, len(gains))
    expected = (len(maps), 3 * npix_to_nside(maps.shape[1]) + 1)
    if gains.shape != expected:
        raise ValueError(f"weights: got shape {gains.shape}, expected {expected}")
    return np.sum([filter_map(*pair) for pair in zip(maps, gains, strict=True)], axis=0)


def check_mixing(mixing: ArrayLike) -> Float[np.ndarray, " c"]:
    """Validate the strengths of a signal in channels, and return them in float64.

    Raises:
        ValueError: no numbers `[c]`, only zeros, or one that is not finite.
    """
    values = to_real(mixing, name="mixing").astype(np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"mixing: got shape {values.shape}, expected one number per channel (c,)")
    if not np.isfinite(values).all() or not values.any():
        what = "only zeros" if np.isfinite(values).all() else "numbers that are not finite"
        raise ValueError(f"mixing: got {what}, expected the strength of the signal per channel")
    return values


def check_channels(
    channels: ArrayLike, count: int, *, name: str = "channels"
) -> Float[np.ndarray, "c p"]:
    """Validate the maps of channels, and return them in float64.

    Raises:
        ValueError: another number of maps, or bad ones (see `check_map`).
    """
    values = to_real(channels, name=name)
    if values.ndim != 2 or len(values) != count:
        raise ValueError(f"{name}: got shape {values.shape}, expected ({count}, npix)")
    for map in values:
        check_map(map, name=name, allow_constant=True)
    return values.astype(np.float64)


def _covariance_levels(
    count: int, contaminant: Any, noise: Any, nside: int
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "c l"]]:
    """Return levels of what channels have in common, and of the noise of each."""
    each = list(noise) if isinstance(noise, list | tuple) else [noise] * count
    if len(each) != count:
        raise ValueError(f"noise: got a list of {len(each)}, expected one for each of {count}")
    common = _mean_levels(contaminant, nside, "contaminant")
    if not isinstance(noise, list | tuple):
        return common, np.tile(_mean_levels(noise, nside, "noise"), (count, 1))
    own = [_mean_levels(one, nside, f"noise[{index}]") for index, one in enumerate(each)]
    return common, np.stack(own)


def _mean_levels(noise: Any, nside: int, name: str) -> Float[np.ndarray, " l"]:
    if noise is None:
        return np.zeros(3 * nside + 1)
    return noise_levels(noise, 12 * nside**2, name=name).copy()


def _covariance(
    common: Float[np.ndarray, " l"], own: Float[np.ndarray, "c l"]
) -> Float[np.ndarray, "l c c"]:
    return common[:, None, None] + own.T[:, :, None] * np.eye(len(own))


def _inverse_products(
    covariance: Float[np.ndarray, "l c c"], vectors: Float[np.ndarray, "c v"]
) -> Float[np.ndarray, "v c l"]:
    """Multiply vectors by the inverse of a covariance at every multipole."""
    spread = np.sqrt(np.einsum("lcc->lc", covariance))
    spread[spread == 0] = 1.0
    scaled = covariance / spread[:, :, None] / spread[:, None, :]
    singular = np.flatnonzero(np.linalg.eigvalsh(scaled)[:, 0] < _LEAST_EIGENVALUE)
    if singular.size:
        raise ValueError(
            f"noise: got a singular covariance of the channels at {singular.size} of "
            f"{len(covariance)} levels (the first is l = {singular[0]}), expected noise in every "
            "channel at every multipole"
        )
    solved = np.linalg.solve(scaled, vectors / spread[:, :, None]) / spread[:, :, None]
    return solved.transpose(2, 1, 0)
