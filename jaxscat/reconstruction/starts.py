"""Where a reconstruction begins: linear estimates, which are its baselines as well."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from jaxscat.fields.noise import Noise
from jaxscat.maps import check_finite, to_real
from jaxscat.reconstruction.observed import Observed
from jaxscat.reconstruction.wiener import (
    constrained_realization,
    square_root_wiener_filter,
    wiener_filter,
)

Start = Literal["square-root wiener", "constrained", "wiener", "data"]


def build_baselines(
    observed: Observed, signal: Float[np.ndarray, " l"], noise: Noise | Float[np.ndarray, " l"]
) -> dict[str, Float[np.ndarray, " p"]]:
    """Return the data and their linear filters, without the mean, by the names of starts.

    Where there are no data, Wiener's estimate stands in for them.

    Args:
        observed: the data.
        signal: levels of the signal.
        noise: of the data, or its levels.
    """
    data = observed.values.astype(np.float64)
    wiener = wiener_filter(data, signal, noise, mask=observed.weights)
    if observed.weights is not None:
        data = np.where(observed.weights > 0, data, wiener)
    root = square_root_wiener_filter(data, signal, noise)
    return {"data": data, "wiener": wiener, "square-root wiener": root}


def build_starts(
    start: Any,
    observed: Observed,
    signal: Float[np.ndarray, " l"],
    noise: Noise | Float[np.ndarray, " l"],
    seeds: Sequence[int] | None,
) -> Float[np.ndarray, "B p"]:
    """Return the start of every seed, without the mean, in the type of the data.

    Args:
        start: a name, or maps `[p]` or `[B, p]` in the unit of the data.
        observed, signal, noise: as for `build_baselines`.
        seeds: as given, or None.

    Raises:
        ValueError: an unknown name, or maps of another shape or with bad values.
    """
    listed = (0,) if seeds is None else seeds
    dtype = observed.values.dtype
    if not isinstance(start, str):
        return given_starts(start, observed, len(listed), seeds is not None)
    if start not in get_args(Start):
        raise ValueError(f"start: got {start!r}, expected a map or one of {list(get_args(Start))}")
    if start == "constrained":
        drawn = [
            constrained_realization(observed.values, signal, noise, seed, mask=observed.weights)
            for seed in listed
        ]
        return np.stack(drawn).astype(dtype)
    map = build_baselines(observed, signal, noise)[start]
    return np.tile(map.astype(dtype), (len(listed), 1))


def given_starts(
    start: Any, observed: Observed, count: int, several: bool, *, name: str = "start"
) -> Float[np.ndarray, "B p"]:
    """Return maps that were given as the starts of seeds, without the mean.

    Args:
        start: one map `[p]`, or one for each seed `[count, p]`.
        observed: the data.
        count: number of seeds.
        several: whether there are seeds.
        name: of the start, for messages.

    Raises:
        ValueError: maps of another shape, or with bad values.
    """
    values = to_real(start, name=name)
    npix = observed.values.size
    if values.shape not in ((npix,), (count, npix)) or (values.ndim == 2 and not several):
        raise ValueError(
            f"{name}: got shape {values.shape}, expected a map ({npix},)"
            + (f", or one for each seed ({count}, {npix})" if several else "")
        )
    check_finite(values, name=name)
    maps = np.broadcast_to(values, (count, npix)).astype(np.float64) - observed.mean
    return maps.astype(observed.values.dtype)
