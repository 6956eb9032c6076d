"""A signal from channels in which a contaminant and noise lie on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.fields.noise import Noise, as_noise
from jaxscat.fields.seeds import check_seeds
from jaxscat.maps import check_map
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import Batching
from jaxscat.operators.pyramid import Pyramid
from jaxscat.progress import Progress
from jaxscat.reconstruction.channels import check_channels, check_mixing, combination_weights
from jaxscat.reconstruction.combined_noise import ChannelFilter, CombinedNoise
from jaxscat.reconstruction.isotropic import filter_map
from jaxscat.reconstruction.observed import check_whole_sphere, observe
from jaxscat.reconstruction.options import Renewals, TermOptions, check_settings, check_terms
from jaxscat.reconstruction.result import Reconstruction
from jaxscat.reconstruction.solve import solve_noisy
from jaxscat.reconstruction.starts import Start
from jaxscat.reconstruction.terms import build_terms


def separate(
    channels: Float[ArrayLike, "c p"],
    pyramid: Pyramid,
    mixing: Float[ArrayLike, " c"],
    *,
    contaminant: Any = None,
    noise: Any = None,
    seeds: int | Sequence[int] | None = None,
    terms: Mapping[str, TermOptions] | Sequence[str] = ("scattering",),
    start: Start | Float[ArrayLike, "*seeds p"] | None = None,
    renewals: Renewals | None = None,
    batching: Batching | None = None,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Reconstruction:
    """Separate a signal from a contaminant that is the same in all channels, and from noise.

    A channel is d_c = a_c s + k + n_c. Channels are combined into one map, multipole by multipole,
    so that the signal is kept and the rest is least; that map is then denoised, with realizations
    of the rest.

    Args:
        channels: real NESTED maps of the whole sky, in one unit.
        pyramid: operators for their nside, of the whole sphere.
        mixing: strength a_c of the signal in every channel.
        contaminant: noise model, such as `GaussianNoise.of_spectrum(spectrum, nside)`, or at least
            8 realizations `[m, p]`; None for none.
        noise: the same for the noise of all channels, or a list with that of each (None for none).
        seeds, start, renewals, batching, checkpoints, callback: as for `denoise`.
        terms: as for `denoise`, but "fidelity". With "residual", what is left of the data has the
            statistics of the contaminant, for when that is wanted, too; it takes some of the
            agreement with the truth.

    Returns:
        map of the signal, and as `contaminant` the Wiener filter of what is left of the channels.

    Raises:
        ValueError: bad channels, mixing, contaminant or noise (none at all, or a singular
            covariance), terms or start, named; nothing is compiled.
        OSError: a checkpoint cannot be read or written.

    Examples:
        >>> import jaxscat, numpy as np
        >>> signal = np.exp(jaxscat.gaussian_noise(np.random.default_rng(0).normal(size=768), 1))
        >>> white = jaxscat.GaussianNoise.white(0.5, nside=8)
        >>> low, high = 0.5 * np.random.default_rng(1).normal(size=(2, 768))
        >>> channels = np.stack([signal + low, 3 * signal + high])
        >>> pyramid = jaxscat.build_pyramid(8)
        >>> result = jaxscat.separate(channels, pyramid, [1.0, 3.0], noise=white)
        >>> result.map.shape, result.contaminant is None
        ((768,), True)

    Source: `docs/reconstruction.md`, "Channels".
    """
    settings = check_settings(renewals, batching, checkpoints, callback, default=Renewals())
    listed = None if seeds is None else check_seeds(seeds)
    spec = check_whole_sphere(pyramid)
    strengths = check_mixing(mixing)
    maps = check_channels(channels, strengths.size)
    if maps.shape[1] != spec.npix:
        raise ValueError(
            f"channels: got maps of {maps.shape[1]} pixels, expected {spec.npix} as the pyramid's "
            f"nside {spec.nside}"
        )
    for place, map in enumerate(maps):
        check_map(map, name=f"channels[{place}]")
    chosen = check_terms(terms, ("scattering", "cross", "power", "residual"))
    common = None if contaminant is None else as_noise(contaminant, spec.npix, name="contaminant")
    own = _each_noise(noise, strengths.size, spec.npix)
    if common is None and not any(own):
        raise ValueError("contaminant, noise: got None for both, expected at least one")
    weights, levels = combination_weights(strengths, common, list(own), spec.nside)
    combine = ChannelFilter.of(weights, spec.nside, spec.dtype)
    means = maps.mean(axis=1)
    combined = np.asarray(combine(jnp.asarray(maps - means[:, None])), np.float64)
    observed = observe(combined + weights[:, 0] @ means, pyramid)
    rest = CombinedNoise(combine, common, own, levels, spec.npix)
    result = solve_noisy(
        observed,
        rest,
        chosen,
        build_terms(chosen, observed, pyramid, rest),
        seeds=listed,
        start=start,
        renewals=settings,
        batching=batching,
        checkpoints=checkpoints,
        callback=callback,
    )
    if common is None:
        return result
    found = [_contaminant(maps, strengths, map, common, own) for map in np.atleast_2d(result.map)]
    return replace(result, contaminant=np.stack(found) if result.seeds else found[0])


def _each_noise(noise: Any, count: int, npix: int) -> tuple[Noise | None, ...]:
    """Return the noise of every channel.

    Raises:
        ValueError: a list of another length, or what is no noise.
    """
    if not isinstance(noise, list | tuple):
        return (None if noise is None else as_noise(noise, npix),) * count
    if len(noise) != count:
        raise ValueError(f"noise: got a list of {len(noise)}, expected one for each of {count}")
    return tuple(
        None if one is None else as_noise(one, npix, name=f"noise[{place}]")
        for place, one in enumerate(noise)
    )


def _contaminant(
    channels: Float[np.ndarray, "c p"],
    mixing: Float[np.ndarray, " c"],
    signal: Float[np.ndarray, " p"],
    contaminant: Noise,
    noise: Sequence[Noise | None],
) -> Float[np.ndarray, " p"]:
    """Return the Wiener filter of what a signal leaves of the channels."""
    left = channels - mixing[:, None] * signal
    silent = [place for place, one in enumerate(noise) if one is None]
    if silent:  # without noise, what is left is the contaminant itself
        return left[silent].mean(axis=0)
    levels = np.stack([one.levels() for one in noise if one is not None])
    inverse = np.where(levels > 0, 1 / np.where(levels > 0, levels, 1), 0)
    inverse[:, 0] = inverse[:, 1]
    total = inverse.sum(axis=0)
    weights = inverse / np.where(total > 0, total, 1)
    power = contaminant.levels()
    gain = power * total / (1 + power * total)
    gain[0] = 1.0
    return np.sum([filter_map(*pair) for pair in zip(left, weights * gain, strict=True)], axis=0)
