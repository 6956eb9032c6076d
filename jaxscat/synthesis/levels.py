"""Syntheses at one resolution after the other, from the coarsest to the finest."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float

from jaxscat.fields.seeds import check_seeds
from jaxscat.maps import check_map
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import starts_digest
from jaxscat.minimization.result import Result
from jaxscat.objectives.target import Target, check_target
from jaxscat.operators.apply import downsample_map, upsample_map
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.progress import Progress
from jaxscat.statistics.angular import Reduction
from jaxscat.statistics.checks import check_map_of
from jaxscat.synthesis.options import EnsembleOptions
from jaxscat.synthesis.synthesize import (
    Start,
    check_form,
    draw_starts,
    synthesize_many,
)


def prolong(
    start: Float[np.ndarray, " p_fine"], coarse: Float[np.ndarray, " p_coarse"], pyramid: Pyramid
) -> Float[np.ndarray, " p_fine"]:
    """Return a map with the large scales of a coarse map and the small ones of a start.

    That is `U coarse + (start - U D start)`. A coarse map that is only upsampled leaves the small
    scales empty, and the kurtosis of what is made from there ends off by 0.28.

    Args:
        start: real map of the pixels of the pyramid, usually Gaussian noise.
        coarse: real map of the pixels of one of its coarser scales (`Pyramid.pixels`).
        pyramid: operators for the start, whose down- and upsampling are D and U, as often as it
            takes to the nside of the coarse map.

    Returns:
        map in the type of the start.

    Raises:
        ValueError: a bad map, or a coarse map of no coarser scale of the pyramid.

    Source: `docs/conventions.md`, "Downsampling" and "Upsampling".
    """
    start = check_map_of(start, pyramid.spec, name="start")
    coarse = check_map(coarse, name="coarse", cells=np.size(coarse), allow_constant=True)
    scales = _scales_down_to(coarse.size, pyramid)
    if scales is None:
        raise ValueError(
            f"coarse: got {coarse.size} pixels, expected those of a coarser scale of the pyramid, "
            f"which have {_sizes(pyramid)[1:]}"
        )
    # U is linear: upsampled together, what is equal in both maps is not even rounded.
    difference: Any = coarse.astype(pyramid.spec.dtype) - _downsample_by(start, pyramid, scales)
    for scale in reversed(scales):
        difference = upsample_map(difference, pyramid, scale)
    return start + np.asarray(difference, start.dtype)


def synthesize_levels(
    targets: Sequence[Target],
    pyramids: Sequence[Pyramid],
    seeds: int | Sequence[int],
    *,
    start: Start | None = None,
    form: Parametrization | None = None,
    reduction: Reduction | None = None,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
    **options: Unpack[EnsembleOptions],
) -> Result:
    """Make many maps at a coarse resolution first, and refine them from one to the next.

    The coarsest level begins with the starts, taken down by the downsampling of the pyramids. The
    others begin with what the level before has made, `prolong` with the start of the same seed.

    Args:
        targets: one for each level, the coarsest first.
        pyramids: operators of each, with the same pixels at coarser and coarser nside; each has
            the nside of the one before among its scales.
        seeds: as for `synthesize_many`.
        start: as for `synthesize_many`, at the finest level.
        form: as for `synthesize_many`, at the finest level; the others change the pixels.
        checkpoints: as for `synthesize_many`, of the finest level. Where they hold a state, the
            other levels are made again, which gives the same maps.
        callback: called after every chunk of every level, with the progress of that level. A
            KeyboardInterrupt before the finest level is not caught: there is no map of that nside.
        reduction, options: as for `synthesize_many`, of every level; limits hold for each.

    Returns:
        result of the finest level, whose losses, steps and times are of that level alone.

    Raises:
        ValueError: as `synthesize_many`; another number of targets than of pyramids, none, or
            pyramids that do not follow one another.
        OSError: as `synthesize_many`.

    Source: as `synthesize_many`.
    """
    listed = check_seeds(seeds)
    ways = _downsampling_steps(targets, pyramids)
    check_form(form, pyramids[-1].spec)
    draw = draw_starts(start, listed, targets[-1], pyramids[-1])

    def start_of(level: int, made: Result | None, seed: int) -> np.ndarray:
        map = draw(seed)
        for finer in range(len(pyramids) - 1, level, -1):
            map = _downsample_by(map, pyramids[finer], ways[finer])
        if made is None:
            return map
        return prolong(map, made.map[listed.index(seed)], pyramids[level])

    made = None
    for level, (target, pyramid) in enumerate(zip(targets[:-1], pyramids[:-1], strict=True)):
        begin = partial(start_of, level, made)
        made = synthesize_many(
            target, pyramid, listed, start=begin, reduction=reduction, callback=callback, **options
        )
        if made.interrupted or made.seeds != listed:
            raise KeyboardInterrupt
    if checkpoints is not None:
        checkpoints = checkpoints.of(
            {
                "levels": [dataclasses.asdict(pyramid.spec) for pyramid in pyramids[:-1]],
                "starts of levels": starts_digest(start),
            }
        )
    return synthesize_many(
        targets[-1],
        pyramids[-1],
        listed,
        start=partial(start_of, len(pyramids) - 1, made),
        form=form,
        reduction=reduction,
        checkpoints=checkpoints,
        callback=callback,
        **options,
    )


def _downsampling_steps(targets: Sequence[Target], pyramids: Sequence[Pyramid]) -> list[range]:
    """Return for every level the scales from whose nside it takes maps down to the level before."""
    if len(targets) != len(pyramids) or not targets:
        raise ValueError(
            f"targets, pyramids: got {len(targets)} and {len(pyramids)}, expected as many of both, "
            "and at least one"
        )
    ways = [range(0)]
    for target, pyramid in zip(targets, pyramids, strict=True):
        check_target(target, pyramid)
    for coarse, fine in itertools.pairwise(pyramids):
        way = _scales_down_to(coarse.spec.npix, fine)
        if way is None or not _same_pixels(coarse, fine, way):
            raise ValueError(
                f"pyramids: got nside {coarse.spec.nside} before {fine.spec.nside}, expected from "
                "coarse to fine, each with the pixels of a coarser scale of the next"
            )
        ways.append(way)
    return ways


def _same_pixels(coarse: Pyramid, fine: Pyramid, way: range) -> bool:
    """Say whether maps taken down the way are maps of the coarse pyramid."""
    own = int(coarse.spec.upsampled)
    if coarse.spec.nside != fine.levels[way.stop].nside:
        return False
    if coarse.spec.cell_count is None or own == len(coarse.levels):  # then they are not known
        return True
    return np.array_equal(fine.pixels(way.stop), coarse.pixels(own))


def _sizes(pyramid: Pyramid) -> list[int]:
    """Return how many pixels maps have at the nside of the pyramid and at its coarser scales."""
    return [level.npix for level in pyramid.levels[int(pyramid.spec.upsampled) :]]


def _scales_down_to(size: int, pyramid: Pyramid) -> range | None:
    """Return the scales from whose nside maps are taken down to so many pixels, or None."""
    coarser, own = _sizes(pyramid)[1:], int(pyramid.spec.upsampled)
    return range(own, own + coarser.index(size) + 1) if size in coarser else None


def _downsample_by(
    map: Float[np.ndarray, " p"], pyramid: Pyramid, scales: range
) -> Float[np.ndarray, " q"]:
    """Take a map from the nside of one scale after the other to half of it."""
    lowered: Any = map.astype(pyramid.spec.dtype)
    for scale in scales:
        lowered = downsample_map(lowered, pyramid, scale)
    return np.asarray(lowered)
