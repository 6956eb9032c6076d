"""Synthesis of one map, or of many at once."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Array, Float

from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.starts import check_seed, noise
from jaxscat.statistics.angular import Reduction
from jaxscat.statistics.inputs import check_map_of
from jaxscat.synthesis.batch import Batch, Settings
from jaxscat.synthesis.results import Progress, SynthesisResult

Start = Callable[[int], Float[np.ndarray, " p"]] | Float[Array, "*seeds p"]

# Lanes of a batch where nobody says: more are hardly faster per map on a CPU.
_LANES = 8


def synthesize(
    target: Target,
    pyramid: Pyramid,
    start: Float[Array, " p"],
    *,
    max_steps: int = 300,
    memory: int = 50,
    gradient_tolerance: float = 1e-6,
    chunk_steps: int = 10,
    reduction: Reduction | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> SynthesisResult:
    """Change a map by L-BFGS until its coefficients are those of the target.

    Args:
        target: coefficients, their sigma and the mask under which maps are measured.
        pyramid: operators of the target.
        start: real NESTED map to start from, usually noise; may be constant.
        max_steps: number of steps after which to stop.
        memory: number of corrections that L-BFGS keeps, `2 * memory * npix` numbers.
        gradient_tolerance: "converged" once the norm of the gradient has fallen to this fraction
            of its first value.
        chunk_steps: evaluations on the device between two looks from the host.
        reduction: combination of orientations, short for `target.reduced(reduction)`.
        callback: called after every chunk. A KeyboardInterrupt, in it or during the steps, ends
            the run with status "interrupted" and the best map so far; one during compilation
            is not caught, since there is no map yet.

    Returns:
        result whose arrays are NumPy's, in the type of the pyramid.

    Raises:
        ValueError: a bad start map, a target that is not of this pyramid, or a limit below one.

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Synthesis".
    """
    settings = Settings(max_steps, memory, gradient_tolerance, chunk_steps)
    target = _checked(target, pyramid, reduction, settings)
    spec, unit = pyramid.spec, _unit(target, pyramid)
    checked = check_map_of(start, spec, name="start").astype(spec.dtype) / unit
    batch = Batch(target, pyramid, unit, lambda _: checked, 1, settings)
    batch.run(callback)
    return _joined(batch, (0,), spec.dtype).of_seed(0)


def synthesize_many(
    target: Target,
    pyramid: Pyramid,
    seeds: int | Sequence[int],
    *,
    start: Start | None = None,
    coupled: bool = False,
    batch_size: int | None = None,
    max_steps: int = 300,
    memory: int = 50,
    gradient_tolerance: float = 1e-6,
    chunk_steps: int = 10,
    reduction: Reduction | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> SynthesisResult:
    """Make many maps with the coefficients of a target, some of them at a time.

    Every seed has its own start, loss, L-BFGS and status. But for rounding, its map does not
    depend on which other seeds are asked for, in which order, or on the size of the batch.

    Args:
        target, pyramid, max_steps, memory, gradient_tolerance, reduction: as for `synthesize`.
        seeds: different numbers from 0 to 2^32 - 1, or how many: 3 is short for `[0, 1, 2]`.
        start: function from a seed to its start, such as
            `functools.partial(jaxscat.gaussian_noise, original)`; or one start for each seed. Where
            it is None, white noise with mean and standard deviation of the target's S0.
        coupled: lower one loss, of the mean coefficients of all maps (`mean_loss`), by one L-BFGS.
            That fixes the mean over the maps and not each of them; all of them are held in memory
            at once, and share loss, steps and status.
        batch_size: number of maps that are changed at once; None chooses.
        chunk_steps: evaluations of a batch on the device between two looks from the host.
        callback: as for `synthesize`.

    Returns:
        result with a leading axis of seeds, in their order. After an interrupt, of those begun.

    Raises:
        ValueError: as `synthesize`; no seeds, equal ones or one out of range; starts of another
            number than there are seeds; a target of two maps without `start`, since its S0 is not
            that of a map; a batch size below one.

    Source: as `synthesize`; `docs/conventions.md`, "Ensembles".
    """
    listed = check_seeds(seeds)
    size = min(len(listed), _LANES if batch_size is None else batch_size)
    settings = Settings(max_steps, memory, gradient_tolerance, chunk_steps, size)
    if batch_size is not None:
        _check_count("batch_size", batch_size)
    target = _checked(target, pyramid, reduction, settings)
    spec, unit = pyramid.spec, _unit(target, pyramid)
    draw = _drawing(start, listed, target, pyramid)

    def start_of(number: int) -> Float[np.ndarray, " p"]:
        seed = listed[number]
        found = check_map_of(draw(number), spec, name=f"start of seed {seed}")
        return found.astype(spec.dtype) / unit

    if coupled:
        together = np.stack([start_of(number) for number in range(len(listed))])
        batch = Batch(target, pyramid, unit, lambda _: together, 1, settings._replace(batch_size=1))
    else:
        batch = Batch(target, pyramid, unit, start_of, len(listed), settings)
    batch.run(callback)
    return _joined(batch, listed, spec.dtype, coupled)


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds that are meant; a number N means 0 to N - 1.

    Raises:
        ValueError: none, equal ones, or one that is no integer from 0 to 2^32 - 1.
    """
    if type(seeds) is int:
        if seeds < 1:
            raise ValueError(f"seeds: got {seeds}, expected at least one")
        return tuple(range(seeds))
    listed = tuple(seeds)  # pyright: ignore
    if not listed:
        raise ValueError("seeds: got none, expected at least one")
    for seed in listed:
        check_seed(seed, name="seeds")
    twice = sorted({seed for seed in listed if listed.count(seed) > 1})
    if twice:
        raise ValueError(f"seeds: got {', '.join(map(str, twice))} twice, expected different ones")
    return tuple(int(seed) for seed in listed)


def _drawing(
    start: Start | None, seeds: tuple[int, ...], target: Target, pyramid: Pyramid
) -> Callable[[int], Float[np.ndarray, " p"]]:
    """Return what gives the start of the seed of a number, in the order of the seeds."""
    if callable(start):
        draw = start
        return lambda number: draw(seeds[number])
    if start is not None:
        starts = np.asarray(start)
        if starts.ndim != 2 or len(starts) != len(seeds):
            raise ValueError(
                f"start: got shape {starts.shape}, expected ({len(seeds)}, {pyramid.spec.npix}): a "
                "map for each seed"
            )
        return lambda number: starts[number]
    if target.second is not None:
        raise ValueError(
            "start: got None for a target of two maps, expected a function such as "
            "functools.partial(jaxscat.white_noise, original)"
        )
    mean = float(np.mean(np.asarray(target.mean.s0)[..., 0]))
    spread, spec = _spread(target, pyramid), pyramid.spec
    return lambda number: mean + spread * noise(seeds[number], spec.npix).astype(spec.dtype)


def _joined(
    batch: Batch, seeds: tuple[int, ...], dtype: np.typing.DTypeLike, coupled: bool = False
) -> SynthesisResult:
    """Return one result of all that were begun."""
    records = [batch.records[number] for number in sorted(batch.records)]
    maps = [record.map for record in records]
    if coupled:
        maps, records = list(records[0].map), records * len(seeds)
    steps = np.asarray([len(record.losses) - 1 for record in records])
    losses = np.full((len(records), steps.max() + 1), np.nan, dtype)
    evaluations = np.zeros(losses.shape, np.int64)
    for row, record in enumerate(records):
        losses[row, : steps[row] + 1] = record.losses
        evaluations[row] = record.evaluations[-1]
        evaluations[row, : steps[row] + 1] = record.evaluations
    return SynthesisResult(
        map=np.stack(maps),
        loss=np.asarray([record.loss for record in records], dtype),
        losses=losses,
        evaluations=evaluations,
        status=tuple(record.status for record in records),
        steps=steps,
        compile_seconds=batch.compile_seconds,
        run_seconds=batch.run_seconds,
        seeds=tuple(seeds[number] for number in sorted(batch.records)) if not coupled else seeds,
    )


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: got {value!r}, expected an integer of at least 1")


def _checked(
    target: Target, pyramid: Pyramid, reduction: Reduction | None, settings: Settings
) -> Target:
    """Check settings and target, and reduce the target if asked for."""
    for name in ("max_steps", "memory", "chunk_steps"):
        _check_count(name, getattr(settings, name))
    tolerance = settings.gradient_tolerance
    if not 0 <= tolerance < 1:
        raise ValueError(f"gradient_tolerance: got {tolerance!r}, expected 0 up to 1")
    _check_target(target, pyramid)
    return target if reduction is None else target.reduced(reduction)


def _spread(target: Target, pyramid: Pyramid) -> float:
    """Return the standard deviation of the map that the target is of, from the error in S0."""
    weight = pyramid.spec.npix if target.mask is None else np.sum(np.asarray(target.mask), axis=-1)
    spread = float(np.max(np.asarray(target.mean.s0)[..., 1] * np.sqrt(weight)))
    if target.second is not None:  # S0 has the unit of the root of the product of both maps
        spread = spread**2 / float(np.std(np.asarray(target.second)))
    return spread


def _unit(target: Target, pyramid: Pyramid) -> np.floating:
    """Return the power of two next to the standard deviation of the map that the target is of."""
    spread = _spread(target, pyramid)
    usable = np.isfinite(spread) and spread > 0
    return np.dtype(pyramid.spec.dtype).type(2.0 ** round(np.log2(spread)) if usable else 1.0)


def _check_target(target: Target, pyramid: Pyramid) -> None:
    spec = pyramid.spec
    found = (target.mean.scales, target.mean.orientations)
    if found != (spec.scales, spec.orientations):
        raise ValueError(
            f"target: got {found[0]} scales and {found[1]} orientations, expected "
            f"{spec.scales} and {spec.orientations} as in the pyramid"
        )
    for name, pixels in (("mask", target.mask), ("second map", target.second)):
        if pixels is not None and pixels.shape[-1] != spec.npix:
            raise ValueError(
                f"target: got a {name} of {pixels.shape[-1]} pixels, expected {spec.npix} as in "
                "the pyramid"
            )
    if target.mean.s1.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"target: got {target.mean.s1.dtype} coefficients, expected {spec.dtype} as in the "
            "pyramid"
        )
