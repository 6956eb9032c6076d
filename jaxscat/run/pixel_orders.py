"""The order of the pixels in files that do not state it, settled before a command reads them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxscat.datasets.registry import dataset_names
from jaxscat.io.formats import read_npy
from jaxscat.io.pixel_order import compare_orders
from jaxscat.maps import npix_to_nside, unseen_pixels
from jaxscat.run.config import Config
from jaxscat.run.inputs import find_sources
from jaxscat.run.map_sources import MapSources


class UnknownOrder(ValueError):
    """The order of the pixels of a file is not known; `option` is the setting that says it."""

    def __init__(self, message: str, option: str) -> None:
        super().__init__(message)
        self.option = option


def settle_orders(sources: MapSources) -> tuple[MapSources, list[str]]:
    """Find the orders of `.npy` files of which nothing says it, where maps are clear about it.

    What is found of the map holds for the others as well, as an order that is given does.

    Args:
        sources: files and orders, as they are given.

    Returns:
        the same with orders, and sentences that say what was found and why.

    Raises:
        UnknownOrder: a file might be in either order.
        ValueError: a file cannot be read.
    """
    found: dict[str, str] = {}
    said: list[str] = []

    def settle(source: str | Path | None, option: str) -> None:
        stated = getattr(sources, option) or sources.order or found.get("order")
        if source is None or source in dataset_names() or stated is not None:
            return
        told = tell_order(source, option, bad_data=sources.bad_data)
        if told is not None:
            found[option] = told[0]
            said.extend(told[1:])

    settle(sources.map, "order")
    settle(sources.second, "second_order")
    settle(sources.mask, "mask_order")
    return replace(sources, **found), said


def settle_config(config: Config) -> tuple[Config, list[str]]:
    """Find the orders of a config likewise: of its map, a second one, its mask and its gaps.

    Returns the config with orders, and sentences; raises as `settle_orders`.
    """
    sources, said = settle_orders(find_sources(config))
    data = config.data.model_copy(update={"order": sources.order})
    own = {"second_order": sources.second_order, "mask_order": sources.mask_order}
    target, gaps = config.target.model_copy(update=own), config.gaps
    if gaps.path is not None and (gaps.order or data.order) is None:
        told = tell_order(gaps.path, "gaps.order", bad_data=data.bad_data)
        if told is not None:
            gaps = gaps.model_copy(update={"order": told[0]})
            said.extend(told[1:])
    if data.order is not None and config.data.order is None:
        others = [str(path) for path in _beside_the_map(config, sources.map)]
        if others:
            said.append(
                f"{', '.join(others)}: read as {data.order} as the map, since a .npy file does not "
                "state its order (--order settles that of all)"
            )
    return config.model_copy(update={"data": data, "target": target, "gaps": gaps}), said


def _beside_the_map(config: Config, map: str | Path) -> list[str]:
    """List the `.npy` files of a task that are read in the order of its map."""
    paths: list[str | None] = list((config.channels.paths or ())[1:])
    for noise in (config.noise, config.contaminant):
        paths += [noise.deviation_map, noise.first, noise.second, *(noise.paths or ())]
    paths += [config.truth.path, config.reconstruction.template]
    named = [path for path in paths if path is not None and path.lower().endswith(".npy")]
    return [path for path in dict.fromkeys(named) if path != str(map)]


def tell_order(
    source: str | Path, option: str, *, bad_data: float | None = None
) -> tuple[str, ...] | None:
    """Tell the order of a `.npy` file by its values, and say why in a sentence.

    Returns None for files of other formats and for those that no map can be read from, which
    reading them says better; and no sentence where both orders come to the same.

    Raises:
        UnknownOrder: it might be in either order.
        ValueError: it cannot be read.
    """
    path = Path(source)
    if not path.name.lower().endswith(".npy") or not path.is_file() or path.stat().st_size == 0:
        return None
    array = read_npy(path, f"map {str(path)!r}")
    rows = array.reshape(-1, array.shape[-1]) if array.ndim in (1, 2) and array.size else None
    if rows is None or array.dtype.kind not in "fiub":
        return None
    values = rows[0].astype(np.float64)
    try:
        nside = npix_to_nside(values.size)
    except ValueError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = np.isfinite(values) & ~unseen_pixels(values)
    seen &= True if bad_data is None else values != bad_data
    if nside == 1 or not seen.any() or (seen.all() and np.ptp(values) == 0):
        return ("NESTED",)
    smoothness = compare_orders(values, seen)
    if smoothness is None or smoothness.clearly is None:
        raise UnknownOrder(
            f"{path}: a .npy file does not state the order of its pixels, and its neighbouring "
            "pixels are not clearly more alike in one of them; state RING (as healpy has maps, "
            "unless told otherwise) or NESTED",
            option,
        )
    order = smoothness.clearly
    flag = option if "." in option else option.replace("_", "-")
    return order, (
        f"{path} is read as {order}, because {smoothness.describe()} (a .npy file does not state "
        f"its order; --{flag} settles it)"
    )
