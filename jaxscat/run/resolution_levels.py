"""Targets and pyramids of a run that goes from one nside to the next."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxscat.io.precision import large_mean
from jaxscat.maps import seen_pixels
from jaxscat.objectives.target import Target
from jaxscat.operators.apply import downsample_map
from jaxscat.operators.pyramid import Pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.progress import Observer
from jaxscat.run.config import Config
from jaxscat.run.targets import build_run_pyramid, build_run_target, treat_hidden


def build_coarser_levels(
    config: Config,
    original: np.ndarray,
    pyramid: Pyramid,
    *,
    mask: np.ndarray | None = None,
    second: np.ndarray | None = None,
    observer: Observer | None = None,
) -> tuple[list[Target], list[Pyramid]]:
    """Build targets and pyramids from `synthesis.first_nside` to half the nside of the run.

    Original, mask and second map ([p], masks [M p]) are downsampled by the pyramid of the run,
    with hidden pixels left out of the averages unless the config includes them.
    Without `first_nside` both lists are empty. `observer` receives the stages and the progress of
    the wavelets.

    Raises `ValueError` for a `first_nside` that is not below the nside of the run or is not among
    the scales of its pyramid, and as `build_pyramid` and `make_target`.
    """
    observer = observer or Observer()
    first, nside = config.synthesis.first_nside, pyramid.spec.nside
    if first is None:
        return [], []
    if first >= nside:
        raise ValueError(
            f"synthesis.first_nside: got {first}, expected less than the nside of the map, {nside}"
        )
    targets: list[Target] = []
    pyramids: list[Pyramid] = []
    own = pyramid.spec.own_scale
    halvings = (nside // first).bit_length() - 1
    if own + halvings > len(pyramid.levels) - 1:
        raise ValueError(
            f"synthesis.first_nside: got {first}, expected a scale of the pyramid, whose coarsest "
            f"grid has nside {pyramid.levels[-1].nside}"
        )
    maps = [original] if second is None else [original, second]
    patch = pyramid.spec.cell_count is not None
    for step in range(halvings):
        seen = None
        if mask is not None and treat_hidden(config) != "include":
            seen = seen_pixels(mask)
        maps = [_downsample_seen(map, seen, pyramid, own + step) for map in maps]
        mask = None if mask is None else _downsample(mask, pyramid, own + step)
        level = _shift_scales(config, step + 1, pyramid.spec)
        cells = pyramid.pixels(own + step + 1) if patch else None
        coarser = nside >> (step + 1)
        observer.stage(f"building the wavelets of nside {coarser}")
        coarse = build_run_pyramid(level, coarser, cells=cells, progress=observer.building)
        observer.stage(f"measuring the map at nside {coarser}")
        other = maps[1] if len(maps) > 1 else None
        target = build_run_target(level, maps[0], coarse, mask=mask, second=other)
        targets.insert(0, target)
        pyramids.insert(0, coarse)
    return targets, pyramids


def _downsample_seen(
    map: np.ndarray, seen: np.ndarray | None, pyramid: Pyramid, scale: int
) -> np.ndarray:
    """Downsample a map [p] with the weight of the pixels that are seen; where none is, its mean."""
    if seen is None or seen.all():
        return _downsample(map, pyramid, scale)
    mean = map[seen].mean(dtype=np.float64).astype(map.dtype)
    weight = _downsample(seen.astype(map.dtype), pyramid, scale)
    values = _downsample(np.where(seen, map - mean, 0), pyramid, scale)
    return mean + values / np.where(weight > 0, weight, 1)


def _downsample(map: np.ndarray, pyramid: Pyramid, scale: int) -> np.ndarray:
    offset = large_mean(map)
    if offset and map.dtype == np.float64 and pyramid.spec.dtype == "float32":
        return _downsample(map - offset, pyramid, scale).astype(np.float64) + offset
    return np.asarray(downsample_map(jnp.asarray(map), pyramid, scale))


def _shift_scales(config: Config, halvings: int, spec: PyramidSpec) -> Config:
    """Shift the settings of single scales in a config: a coarse level lacks the finest scales."""
    pyramid, target = config.pyramid, config.target
    if pyramid.scales is not None:
        left = max(1, pyramid.scales - halvings)
        pyramid = pyramid.model_copy(update={"scales": left})
    if isinstance(target.mask_threshold, tuple) and len(target.mask_threshold) == spec.scales:
        target = target.model_copy(update={"mask_threshold": target.mask_threshold[halvings:]})
    if target.coarsest_nside is not None:
        finest = spec.finest_nside >> halvings
        coarsest = min(target.coarsest_nside, finest)
        target = target.model_copy(update={"coarsest_nside": coarsest})
    return config.model_copy(update={"pyramid": pyramid, "target": target})
