"""Synthesis of one map, or of many at once: callers of `minimize` with the loss of a target."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.fields.seeds import check_draw, check_seeds
from jaxscat.fields.starts import noise
from jaxscat.maps import check_flag, check_kind, to_numpy
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import minimize, starts_digest
from jaxscat.minimization.result import Result
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import MeanScattering, Scattering
from jaxscat.objectives.target import Target, check_target, spread_of, unit_of
from jaxscat.operators.pyramid import Pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.parametrizations.components import Stacked
from jaxscat.parametrizations.parametrization import Parametrization, check_parametrization
from jaxscat.parametrizations.pixels import Pixels
from jaxscat.progress import Progress
from jaxscat.statistics.checks import check_map_of
from jaxscat.statistics.reduction import Reduction
from jaxscat.synthesis.options import SynthesisOptions, minimizer_options

Start = Callable[[int], Float[np.ndarray, " p"]] | Float[Array, "*seeds p"]

# Name of the only term of the loss of a synthesis.
TERM = "scattering"


def synthesize(
    target: Target,
    pyramid: Pyramid,
    start: Float[ArrayLike, " p"],
    *,
    reduction: Reduction | None = None,
    form: Parametrization | None = None,
    callback: Callable[[Progress], None] | None = None,
    **options: Unpack[SynthesisOptions],
) -> Result:
    """Change a map by L-BFGS until its coefficients are those of the target.

    Args:
        target: coefficients, their sigma and the mask under which maps are measured.
        pyramid: operators of the target.
        start: real NESTED map to start from, usually noise; may be constant.
        reduction: combination of orientations, short for `target.reduced(reduction)`.
        form: parametrization of the map, such as `harmonic_form(original)`; None for its pixels.
        callback: called after every chunk of evaluations. A KeyboardInterrupt, in it or during the
            steps, ends the run with status "interrupted" and the best map so far; one during
            compilation is not caught, since there is no map yet.
        options: `max_steps` (default 300), `memory` (50), `gradient_tolerance` (1e-6),
            `stagnation` (None), `max_evaluations` (None) and `chunk_steps` (10), as
            `jaxscat.SynthesisOptions` says.

    Returns:
        result whose arrays are NumPy's, in the type of the pyramid.

    Raises:
        ValueError: a bad start map, a target or a form that is not of this pyramid, a limit out of
            its range, or a map that the memory of the device cannot hold.

    Examples:
        >>> import jaxscat, numpy as np
        >>> original = np.random.default_rng(0).gamma(2.0, size=192)  # any NESTED map
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> target = jaxscat.make_target(original, pyramid)
        >>> start = jaxscat.gaussian_noise(original, seed=0)
        >>> result = jaxscat.synthesize(target, pyramid, start, max_steps=20)
        >>> result.map.shape, result.status, bool(result.loss < 0.1 * result.losses[0])
        ((192,), 'step limit', True)

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Synthesis".
    """
    arguments = minimizer_options(options, "synthesize")
    target = _check_target(target, pyramid, reduction)
    unknowns = _build_unknowns(form, target, pyramid)
    return minimize(
        Objective({TERM: Scattering.of(target, pyramid)}),
        _check_start(start, pyramid.spec, "start"),
        parametrization=unknowns,
        callback=callback,
        **arguments,
    )


def synthesize_many(
    target: Target,
    pyramid: Pyramid,
    seeds: int | Sequence[int],
    *,
    start: Start | None = None,
    coupled: bool = False,
    batch_size: int | None = None,
    devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]
    checkpoints: Checkpoints | None = None,
    reduction: Reduction | None = None,
    form: Parametrization | None = None,
    callback: Callable[[Progress], None] | None = None,
    **options: Unpack[SynthesisOptions],
) -> Result:
    """Make many maps with the coefficients of a target, some of them at a time.

    Every seed has its own start, loss, L-BFGS and status. But for rounding, its map does not
    depend on the other seeds, on their order, or on the size of the batch.

    Args:
        target, pyramid, reduction, form, callback, options: as for `synthesize`; limits hold
            for every seed by itself.
        seeds: different numbers from 0 to 2^32 - 1, or the number of seeds: 3 is short for
            `[0, 1, 2]`.
        start: function from a seed to its start, such as
            `functools.partial(jaxscat.gaussian_noise, original)`; or one start for each seed; None
            for white noise with mean and standard deviation of the target's S0.
        coupled: lower one loss, of the mean coefficients of all maps (`mean_loss`), by one L-BFGS.
            That fixes the mean over the maps and not each of them; all of them are held in memory
            at once, and share loss, steps and status.
        batch_size: maximum number of maps that are changed at once on each device; None chooses by
            the memory of the device (see `docs/performance.md`).
        devices: devices over which the seeds are sharded; None takes all of this process.
        checkpoints: where to keep the state from time to time, and from which to go on: if they
            hold one, the synthesis begins there. They are the caller's to remove.

    Returns:
        result with a leading axis of seeds, in their order. After an interrupt, of those begun.

    Raises:
        ValueError: as `synthesize`; no seeds, equal ones or one out of range; starts of another
            number than there are seeds; a target of two maps without `start`, since its S0 is not
            that of a map; a batch size below one or beyond the memory; checkpoints of another
            synthesis.
        OSError: a checkpoint cannot be read or written.

    Examples:
        >>> import functools, jaxscat, numpy as np
        >>> original = np.random.default_rng(0).gamma(2.0, size=192)  # any NESTED map
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> target = jaxscat.make_target(original, pyramid)
        >>> draw = functools.partial(jaxscat.gaussian_noise, original)
        >>> many = jaxscat.synthesize_many(target, pyramid, [0, 7], start=draw, max_steps=5)
        >>> many.map.shape, many.seeds, many.of_seed(7).steps
        ((2, 192), (0, 7), 5)

    Source: as `synthesize`; `docs/conventions.md`, "Ensembles".
    """
    listed = check_seeds(seeds)
    check_flag(coupled, "coupled")
    check_kind(checkpoints, Checkpoints | None, "checkpoints", "Checkpoints, or None")
    arguments = minimizer_options(
        options, "synthesize_many", batch_size=batch_size, devices=devices
    )
    target = _check_target(target, pyramid, reduction)
    unknowns = _build_unknowns(form, target, pyramid)
    draw = draw_starts(start, listed, target, pyramid)
    if checkpoints is not None:
        identity = {"pyramid": dataclasses.asdict(pyramid.spec), "coupled": coupled}
        checkpoints = checkpoints.of({**identity, "starts of seeds": starts_digest(start)})
    if not coupled:
        return minimize(
            Objective({TERM: Scattering.of(target, pyramid)}),
            draw,
            parametrization=unknowns,
            seeds=listed,
            checkpoints=checkpoints,
            callback=callback,
            **arguments,
        )
    if checkpoints is not None:
        checkpoints = checkpoints.of({"coupled seeds": listed})
    together = minimize(
        Objective({TERM: MeanScattering.of(target, pyramid)}),
        lambda _: np.stack([draw(seed) for seed in listed]),
        parametrization=Stacked(unknowns, len(listed)),
        seeds=[0],
        checkpoints=checkpoints,
        callback=callback,
        **arguments,
    )
    return _share_among_seeds(together, listed)


def _check_target(target: Target, pyramid: Pyramid, reduction: Reduction | None) -> Target:
    check_target(target, pyramid)
    return target if reduction is None else target.reduced(reduction)


def _build_unknowns(
    form: Parametrization | None, target: Target, pyramid: Pyramid
) -> Parametrization:
    """Return the parametrization of a map: its pixels in the unit of the target, or the given one.

    Raises:
        ValueError: the form does not make a map of the pixels of the pyramid.
    """
    spec = pyramid.spec
    if form is None:
        return Pixels(spec.npix, unit_of(target, pyramid))
    check_form(form, spec)
    return form


def check_form(form: Parametrization | None, spec: PyramidSpec) -> None:
    """Refuse a parametrization that makes no map of the pixels of a pyramid; None passes.

    Raises:
        ValueError: it makes something else.
    """
    if form is None:
        return
    found = check_parametrization(form, spec.dtype, "form")
    if getattr(found, "shape", None) != (spec.npix,):
        shapes = jax.tree.map(lambda leaf: leaf.shape, found)
        raise ValueError(
            f"form: got maps of shape {shapes}, expected one of shape ({spec.npix},) as in the "
            "pyramid"
        )


def _check_start(start: ArrayLike, spec: PyramidSpec, name: str) -> Float[np.ndarray, " p"]:
    return check_map_of(start, spec, name=name).astype(spec.dtype)


def draw_starts(
    start: Start | None, seeds: tuple[int, ...], target: Target, pyramid: Pyramid
) -> Callable[[int], Float[np.ndarray, " p"]]:
    """Return the function from a seed to its checked start, in the type of the pyramid.

    Raises:
        ValueError: starts of another number than there are seeds, a function of other arguments
            than a seed, or none for a target of two maps; when it is called, a bad start.
    """
    spec = pyramid.spec
    draw: Callable[[int], Any]
    if callable(start):
        check_draw(start)
        draw = start
    elif start is not None:
        starts = to_numpy(start, name="start")
        if starts.ndim != 2 or len(starts) != len(seeds):
            raise ValueError(
                f"start: got shape {starts.shape}, expected ({len(seeds)}, {spec.npix}): a "
                "map for each seed"
            )
        draw = dict(zip(seeds, starts, strict=True)).__getitem__
    elif target.second is not None:
        raise ValueError(
            "start: got None for a target of two maps, expected a function such as "
            "functools.partial(jaxscat.white_noise, original)"
        )
    else:
        mean = float(np.mean(np.asarray(target.mean.s0)[..., 0]))
        spread = spread_of(target, pyramid)
        draw = lambda seed: mean + spread * noise(seed, spec.npix).astype(spec.dtype)  # noqa: E731
    return lambda seed: _check_start(draw(seed), spec, f"start of seed {seed}")


def _share_among_seeds(together: Result, seeds: tuple[int, ...]) -> Result:
    """Return the result of coupled maps seed by seed: they share all but their maps."""
    count = len(seeds)

    def repeat(values: Any) -> np.ndarray:
        return np.repeat(np.asarray(values), count, axis=0)

    return together._replace(
        map=together.map[0],
        loss=repeat(together.loss),
        losses=repeat(together.losses),
        evaluations=repeat(together.evaluations),
        status=tuple(together.status) * count,
        steps=repeat(together.steps),
        seeds=seeds,
        terms={name: repeat(values) for name, values in together.terms.items()},
    )
