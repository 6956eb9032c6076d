"""Syntheses at one resolution after the other, from the coarsest to the finest."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float

from jaxscat.fields.seeds import check_seeds
from jaxscat.maps import check_kind, check_map, to_real
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import starts_digest
from jaxscat.minimization.result import Result
from jaxscat.objectives.target import Target, check_target
from jaxscat.operators.apply import downsample_to, upsample_from
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.progress import Progress
from jaxscat.statistics.checks import check_map_of
from jaxscat.statistics.reduction import Reduction
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
    coarse = to_real(coarse, name="coarse")
    coarse = check_map(coarse, name="coarse", cells=coarse.size, allow_constant=True)
    nsides = {level.npix: level.nside for level in pyramid.levels[pyramid.spec.own_scale + 1 :]}
    if coarse.size not in nsides:
        raise ValueError(
            f"coarse: got {coarse.size} pixels, expected those of a coarser scale of the pyramid, "
            f"which have {list(nsides)}"
        )
    nside = nsides[coarse.size]
    # U is linear: upsampled together, what is equal in both maps is not even rounded.
    difference: Any = coarse.astype(pyramid.spec.dtype) - _downsample(start, pyramid, nside)
    return start + np.asarray(upsample_from(difference, pyramid, nside), start.dtype)


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
    check_kind(checkpoints, Checkpoints | None, "checkpoints", "Checkpoints, or None")
    _check_levels(targets, pyramids)
    check_form(form, pyramids[-1].spec)
    draw = draw_starts(start, listed, targets[-1], pyramids[-1])

    def start_of(level: int, made: Result | None, seed: int) -> np.ndarray:
        map = draw(seed)
        for finer in range(len(pyramids) - 1, level, -1):
            map = _downsample(map, pyramids[finer], pyramids[finer - 1].spec.nside)
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


def _check_levels(targets: Sequence[Target], pyramids: Sequence[Pyramid]) -> None:
    """Refuse levels that do not follow one another with a `ValueError`."""
    for name, each in (("targets", targets), ("pyramids", pyramids)):
        check_kind(each, list | tuple, name, f"a list of {name}, one for each level")
    if len(targets) != len(pyramids) or not targets:
        raise ValueError(
            f"targets, pyramids: got {len(targets)} and {len(pyramids)}, expected as many of both, "
            "and at least one"
        )
    for target, pyramid in zip(targets, pyramids, strict=True):
        check_target(target, pyramid)
    for coarse, fine in itertools.pairwise(pyramids):
        if not _follows(fine, coarse):
            raise ValueError(
                f"pyramids: got nside {coarse.spec.nside} before {fine.spec.nside}, expected from "
                "coarse to fine, each with the pixels of a coarser scale of the next"
            )


def _follows(fine: Pyramid, coarse: Pyramid) -> bool:
    """Say whether maps of one pyramid, taken down, are maps of another."""
    scales = range(fine.spec.own_scale + 1, len(fine.levels))
    known = [scale for scale in scales if fine.levels[scale].nside == coarse.spec.nside]
    if not known or fine.levels[known[0]].npix != coarse.spec.npix:
        return False
    own = coarse.spec.own_scale
    if coarse.spec.cell_count is None or own == len(coarse.levels):  # then they are not known
        return True
    return np.array_equal(fine.pixels(known[0]), coarse.pixels(own))


def _downsample(
    map: Float[np.ndarray, " p"], pyramid: Pyramid, nside: int
) -> Float[np.ndarray, " q"]:
    converted: Any = map.astype(pyramid.spec.dtype)
    return np.asarray(downsample_to(converted, pyramid, nside))
