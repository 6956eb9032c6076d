"""Synthesis of one map, or of many at once."""

import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.fields.noise import noise
from jaxscat.minimization.batch import Batch
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import Devices, local_devices
from jaxscat.minimization.result import SynthesisResult
from jaxscat.minimization.settings import Settings, check_count, check_seeds, checked_target
from jaxscat.minimization.state import joined
from jaxscat.objectives.target import Target, spread_of, unit_of
from jaxscat.operators.pyramid import Pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.parametrizations.form import Form, check_form, field_of, identity_of
from jaxscat.progress import Progress
from jaxscat.statistics.angular import Reduction
from jaxscat.statistics.checks import check_map_of

Start = Callable[[int], Float[np.ndarray, " p"]] | Float[Array, "*seeds p"]


def synthesize(
    target: Target,
    pyramid: Pyramid,
    start: Float[Array, " p"],
    *,
    max_steps: int = 300,
    memory: int = 50,
    gradient_tolerance: float = 1e-6,
    stagnation: float | None = None,
    max_evaluations: int | None = None,
    chunk_steps: int = 10,
    reduction: Reduction | None = None,
    form: Form | None = None,
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
        stagnation: "stagnated" once 25 steps, counted from the start without overlap, have
            lowered the loss by less than this fraction of what it was, such as 0.01; None is never.
        max_evaluations: number of values and gradients after which to stop, in the middle of a
            line search too; None means that they do not count.
        chunk_steps: evaluations on the device between two looks from the host.
        reduction: combination of orientations, short for `target.reduced(reduction)`.
        form: L-BFGS changes a field from which this makes the map (see `Form`), and begins with
            that of the start; None lets it change the map itself.
        callback: called after every chunk. A KeyboardInterrupt, in it or during the steps, ends
            the run with status "interrupted" and the best map so far; one during compilation
            is not caught, since there is no map yet.

    Returns:
        result whose arrays are NumPy's, in the type of the pyramid.

    Raises:
        ValueError: a bad start map, a target or a form that is not of this pyramid, a limit out of
            its range, or a map that the memory of the device cannot hold.

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Synthesis".
    """
    settings = Settings(
        max_steps,
        memory,
        gradient_tolerance,
        chunk_steps,
        stagnation=stagnation,
        max_evaluations=max_evaluations,
    )
    target = checked_target(target, pyramid, reduction, settings)
    check_form(form, pyramid.spec)
    spec, unit = pyramid.spec, _unit(target, pyramid, form)
    checked = _begun(start, spec, unit, form, "start")
    batch = Batch(target, pyramid, unit, lambda _: checked, 1, settings, Devices(), form)
    batch.run(callback)
    return joined(batch.state, (0,), spec.dtype).of_seed(0)


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
    max_steps: int = 300,
    memory: int = 50,
    gradient_tolerance: float = 1e-6,
    stagnation: float | None = None,
    max_evaluations: int | None = None,
    chunk_steps: int = 10,
    reduction: Reduction | None = None,
    form: Form | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> SynthesisResult:
    """Make many maps with the coefficients of a target, some of them at a time.

    Every seed has its own start, loss, L-BFGS and status. But for rounding, its map does not
    depend on which other seeds are asked for, in which order, or on the size of the batch.

    Args:
        target, pyramid, max_steps, memory, gradient_tolerance, reduction, form: as for
            `synthesize`.
        seeds: different numbers from 0 to 2^32 - 1, or how many: 3 is short for `[0, 1, 2]`.
        start: function from a seed to its start, such as
            `functools.partial(jaxscat.gaussian_noise, original)`; or one start for each seed. Where
            it is None, white noise with mean and standard deviation of the target's S0.
        coupled: lower one loss, of the mean coefficients of all maps (`mean_loss`), by one L-BFGS.
            That fixes the mean over the maps and not each of them; all of them are held in memory
            at once, and share loss, steps and status.
        batch_size: most maps that are changed at once on each device; None chooses, by the memory
            of the device (see `docs/performance.md`).
        devices: those among which the seeds are shared out; None takes all of this process.
        checkpoints: where to keep the state from time to time, and from which to go on: if they
            hold one, the synthesis begins there. They are the caller's to remove.
        stagnation, max_evaluations: as for `synthesize`, for every seed by itself.
        chunk_steps: evaluations of a batch on the device between two looks from the host.
        callback: as for `synthesize`.

    Returns:
        result with a leading axis of seeds, in their order. After an interrupt, of those begun.

    Raises:
        ValueError: as `synthesize`; no seeds, equal ones or one out of range; starts of another
            number than there are seeds; a target of two maps without `start`, since its S0 is not
            that of a map; a batch size below one or beyond the memory; checkpoints of another
            synthesis.
        OSError: a checkpoint cannot be read or written.

    Source: as `synthesize`; `docs/conventions.md`, "Ensembles".
    """
    listed = check_seeds(seeds)
    if batch_size is not None:
        check_count("batch_size", batch_size)
    width = 1 if coupled else len(listed)
    chosen = local_devices() if devices is None else devices
    used = Devices(None if chosen is None else chosen[:width])
    settings = Settings(
        max_steps,
        memory,
        gradient_tolerance,
        chunk_steps,
        batch_size,
        stagnation,
        max_evaluations,
    )
    target = checked_target(target, pyramid, reduction, settings)
    settings = settings.plain()
    check_form(form, pyramid.spec)
    spec, unit = pyramid.spec, _unit(target, pyramid, form)
    draw = drawing(start, listed, target, pyramid)

    def start_of(number: int) -> Float[np.ndarray, " p"]:
        return _begun(draw(number), spec, unit, form, f"start of seed {listed[number]}")

    starts = start_of
    if coupled:
        together = np.stack([start_of(number) for number in range(len(listed))])
        starts = lambda _: together  # noqa: E731
    if checkpoints is not None:
        checkpoints = checkpoints.of(
            {
                "version": importlib.metadata.version("jaxscat"),
                "pyramid": dataclasses.asdict(spec),
                "seeds": listed,
                "coupled": coupled,
                "devices": used.count,
                "starts": None if start is None or callable(start) else digest_of(start),
                "form": identity_of(form),
                **settings._asdict(),
            }
        )
    batch = Batch(target, pyramid, unit, starts, width, settings, used, form)
    batch.run(callback, checkpoints)
    return joined(batch.state, listed, spec.dtype, coupled)


def _unit(target: Target, pyramid: Pyramid, form: Form | None) -> np.floating:
    """Return what maps of the lanes are multiplied with; a form has the unit of the map."""
    return unit_of(target, pyramid) if form is None else np.dtype(pyramid.spec.dtype).type(1)


def _begun(
    start: ArrayLike, spec: PyramidSpec, unit: np.floating, form: Form | None, name: str
) -> Float[np.ndarray, " p"]:
    """Return what a lane begins with: a checked start in its unit, or its field."""
    checked = check_map_of(start, spec, name=name).astype(spec.dtype)
    return checked / unit if form is None else field_of(checked, form, name=name)


def digest_of(starts: Array | np.ndarray) -> str:
    """Return a checksum of starts that were given as maps."""
    return hashlib.sha256(np.ascontiguousarray(starts).tobytes()).hexdigest()


def drawing(
    start: Start | None, seeds: tuple[int, ...], target: Target, pyramid: Pyramid
) -> Callable[[int], Float[np.ndarray, " p"]]:
    """Return what gives the start of the seed of a number, in the order of the seeds.

    Raises:
        ValueError: starts of another number than there are seeds, or none for a target of two maps.
    """
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
    spread, spec = spread_of(target, pyramid), pyramid.spec
    return lambda number: mean + spread * noise(seeds[number], spec.npix).astype(spec.dtype)
