"""The gaps of a config: from files, from pixels without data, or cut into a whole map."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from jaxscat.io.agreement import check_same_frame
from jaxscat.io.formats import check_order
from jaxscat.io.maps import read_weights
from jaxscat.io.requests import Reading
from jaxscat.maps import npix_to_nside
from jaxscat.run.config import Config
from jaxscat.run.inputs import Inputs
from jaxscat.run.map_sources import Beside

# More discs are drawn until their part of the sky is reached, but not for ever.
_MOST_DISCS = 100_000


def is_simulated(config: Config) -> bool:
    """Say whether gaps are cut into a whole map."""
    return config.gaps.discs is not None or config.gaps.band is not None


def find_gaps(config: Config, inputs: Inputs, beside: Beside) -> np.ndarray:
    """Return the pixels to fill [p], boolean.

    Args:
        config: the settings.
        inputs: the map; pixels without data are those in which its mask is zero.
        beside: the same map, as others go with it.

    Raises:
        ValueError: a file that cannot be read or of another nside; gaps everywhere or nowhere.
    """
    nside = npix_to_nside(inputs.original.size)
    gaps = np.zeros(inputs.original.size, bool)
    if inputs.mask is not None:
        gaps |= inputs.mask == 0
    settings = config.gaps
    if settings.path is not None:
        given = _read_gaps(config, beside)
        if given.mean() > 0.5 and not given.all():
            warnings.warn(
                f"gaps.path: {settings.path!r} fills {given.mean():.0%} of the sky; it is one in "
                "the pixels to fill and zero in all others",
                stacklevel=2,
            )
        gaps |= given
    if settings.discs is not None:
        gaps |= draw_discs(nside, settings.discs, settings.radius, settings.seed)
    if settings.band is not None:
        gaps |= cut_band(nside, settings.band)
    if gaps.all() or not gaps.any():
        what = "every pixel" if gaps.all() else "no pixel"
        raise ValueError(f"gaps: got {what}, expected some to fill and others that are observed")
    return gaps


def draw_discs(nside: int, fraction: float, radius: float, seed: int) -> np.ndarray:
    """Return the pixels [p] of discs of a radius in degrees that together cover a fraction."""
    centres = np.random.default_rng(seed)
    vectors = _pixel_directions(nside)
    covered = np.zeros(len(vectors), bool)
    for _ in range(_MOST_DISCS):
        if covered.mean() >= fraction:
            break
        centre = centres.normal(size=3)
        centre /= np.linalg.norm(centre)
        covered |= vectors @ centre >= np.cos(np.radians(radius))
    return covered


def cut_band(nside: int, half_width: float) -> np.ndarray:
    """Return the pixels [p] within a distance in degrees of the equator of the map."""
    return np.abs(_pixel_directions(nside)[:, 2]) <= np.sin(np.radians(half_width))


def _pixel_directions(nside: int) -> np.ndarray:
    import healpy  # loads matplotlib, so not at import

    return np.stack(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True), axis=1)


def _read_gaps(config: Config, beside: Beside) -> np.ndarray:
    """Read gaps from a file: all pixels of which any part is one."""
    settings, data = config.gaps, config.data
    assert settings.path is not None
    order = check_order(settings.order or data.order)
    how = Reading(settings.hdu, order, bad_data=data.bad_data, header_first=True)
    try:
        unseen = "zero" if data.unseen == "mask" else "refuse"
        path = Path(settings.path)
        weights, frame = read_weights(path, data.nside, settings.field, how, unseen=unseen)
    except ValueError as error:
        raise ValueError(f"gaps.path: {error}") from None
    said = f"gaps.path: got {settings.path!r}"
    check_same_frame(beside.frame, frame, said)
    if weights.shape != (12 * beside.nside**2,):
        raise ValueError(
            f"{said} of shape {weights.shape}, expected ({12 * beside.nside**2},) as the map has"
        )
    return weights > 0
