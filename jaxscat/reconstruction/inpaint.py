"""Gaps of a map filled with the statistics of what is observed around them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from jaxscat.fields.seeds import check_seeds
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import Batching
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.pixels import FreePixels
from jaxscat.progress import Progress
from jaxscat.reconstruction.checkpoints import RenewalFiles, digest_of
from jaxscat.reconstruction.defaults import GAP_RENEWALS
from jaxscat.reconstruction.fills import (
    check_gaps,
    diffusive_fill,
    gaussian_mean_fill,
    gaussian_realization_fill,
)
from jaxscat.reconstruction.gap_targets import build_gap_terms, gap_targets, surroundings
from jaxscat.reconstruction.observed import Observed, observe
from jaxscat.reconstruction.options import Renewals, TermOptions, check_settings, check_terms
from jaxscat.reconstruction.renewal import RenewedProblem, renew
from jaxscat.reconstruction.result import Reconstruction, collect
from jaxscat.reconstruction.starts import given_starts

GapStart = Literal["gaussian realization", "gaussian mean", "diffusive"]
GAP_START: GapStart = "gaussian realization"


def inpaint(
    data: Float[ArrayLike, " p"],
    pyramid: Pyramid,
    gaps: Bool[ArrayLike, " p"],
    *,
    seeds: int | Sequence[int] | None = None,
    terms: Mapping[str, TermOptions] | Sequence[str] = ("scattering",),
    reach: float | None = 60.0,
    start: GapStart | Float[ArrayLike, "*seeds p"] = GAP_START,
    renewals: Renewals | None = None,
    batching: Batching | None = None,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Reconstruction:
    """Fill gaps with structures whose statistics are those of the observed part of the map.

    What was in the gaps is not known: away from their borders the structures are new, one
    possibility of many, and every seed gives another. Observed pixels do not change.

    Args:
        data: real NESTED map; what it holds in the gaps does not matter.
        pyramid: operators for its nside, of the whole sphere.
        gaps: True in the pixels to fill.
        seeds: numbers of solutions, or how many; None is a single solution.
        terms: names of "scattering" and "cross" (with a template that is known in the gaps, too),
            or a dictionary with the `TermOptions` of each, whose levels do not count.
        reach: distance in degrees within which observed pixels count most (the full width at half
            maximum of a beam); None lets all count alike.
        start: "gaussian realization" (of each seed another), "gaussian mean" or "diffusive", or
            maps.
        renewals: how often targets are measured anew, since the fill disturbs the statistics
            next to it; None for `Renewals(number=3)`.
        batching, checkpoints, callback: as for `minimize`. The checkpoints are the caller's to
            remove.

    Returns:
        map whose observed pixels are those of the data bit for bit, with Gaussian and smooth fills
        as baselines.

    Raises:
        ValueError: bad data, gaps, terms or start, named; nothing is compiled.
        OSError: a checkpoint cannot be read or written.

    Examples:
        >>> import jaxscat, numpy as np
        >>> map = np.exp(jaxscat.gaussian_noise(np.random.default_rng(0).normal(size=768), seed=1))
        >>> gaps = np.zeros(768, bool)
        >>> gaps[200:300] = True
        >>> result = jaxscat.inpaint(map, jaxscat.build_pyramid(8), gaps)
        >>> bool((result.map[~gaps] == map[~gaps]).all()), bool((result.map[gaps] > 0).any())
        (True, True)

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/reconstruction.md`, "Gaps".
    """
    settings = check_settings(renewals, batching, checkpoints, callback, default=GAP_RENEWALS)
    chosen = check_terms(terms, ("scattering", "cross"))
    checked, hidden = check_gaps(data, gaps)
    observed = observe(checked, pyramid, ~hidden)
    listed = None if seeds is None else check_seeds(seeds)
    near = surroundings(hidden, reach)
    fills = {
        "diffusive": diffusive_fill(checked, hidden),
        "gaussian mean": gaussian_mean_fill(checked, hidden),
        "gaussian realization": gaussian_realization_fill(
            checked, hidden, None, (listed or (0,))[0]
        ),
    }
    starts = _build_starts(start, observed, checked, hidden, listed, fills)
    built = build_gap_terms(chosen, observed, pyramid, hidden)
    dtype = observed.values.dtype
    unit = np.std(observed.values[~hidden])
    problem = RenewedProblem(
        terms=built,
        weights={name: options.weight for name, options in chosen.items()},
        levels=dict.fromkeys(chosen, 0.0),
        targets=gap_targets(built, hidden, near),
        parametrization=FreePixels(observed.values, hidden, dtype.type(unit)),
        settings=settings,
    )
    files = None
    if checkpoints is not None:
        identity = {
            "data": digest_of(observed.values),
            "gaps": digest_of(hidden),
            "weights of what is observed": digest_of(near),
            "seeds": listed or (0,),
            "starts of seeds": digest_of(starts),
            **problem.identity(),
        }
        files = RenewalFiles(checkpoints, identity)
    state, last = renew(
        problem, starts, listed or (0,), batching=batching, files=files, callback=callback
    )
    result = collect(state, last, observed.restore(state.maps), fills, listed)
    return result.with_map(np.where(hidden, result.map, np.asarray(data)))


def _build_starts(
    start: Any,
    observed: Observed,
    data: Float[np.ndarray, " p"],
    hidden: Bool[np.ndarray, " p"],
    seeds: tuple[int, ...] | None,
    fills: Mapping[str, Float[np.ndarray, " p"]],
) -> Float[np.ndarray, "B p"]:
    """Return the start of every seed, without the mean, in the type of the pyramid.

    Raises:
        ValueError: an unknown name, or maps of another shape or with bad values.
    """
    count = 1 if seeds is None else len(seeds)
    if not isinstance(start, str):
        maps = given_starts(start, observed, count, seeds is not None)
        return np.where(hidden, maps, observed.values)
    if start not in get_args(GapStart):
        raise ValueError(
            f"start: got {start!r}, expected a map or one of {list(get_args(GapStart))}"
        )
    maps = np.tile(fills[start], (count, 1))
    if start == "gaussian realization" and seeds is not None:
        others = [gaussian_realization_fill(data, hidden, None, seed) for seed in seeds[1:]]
        maps = np.stack([fills[start], *others])
    return (maps - observed.mean).astype(observed.values.dtype)
