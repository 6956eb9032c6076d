"""Minimize a loss over maps, from one start or from many."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxscat.fields.seeds import check_draw, check_seeds
from jaxscat.maps import check_callable, check_kind, describe, to_numpy
from jaxscat.minimization.batch import Batch
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import choose_devices
from jaxscat.minimization.lane import Minimizer, build_limits, check_count
from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.problem import (
    Problem,
    build_problem,
    check_maps,
    describe_problem,
    find_failing_terms,
    objective_of,
    split_objective,
)
from jaxscat.minimization.result import Result
from jaxscat.minimization.state import BatchState, join_records
from jaxscat.objectives.objective import Objective, as_objective
from jaxscat.objectives.term import Term
from jaxscat.parametrizations.components import build_pixels
from jaxscat.parametrizations.parametrization import Maps, Parametrization, check_parameters
from jaxscat.progress import Progress

Start = Callable[[int], Maps] | Maps


@dataclass(frozen=True)
class Batching:
    """How many minimizations run side by side, and where.

    Attributes:
        batch_size: maximum number of lanes on each device; None chooses by the memory of the
            device.
        devices: devices over which the seeds are sharded; None takes all of this process.
        chunk_steps: number of evaluations on the device between two looks from the host.

    Raises:
        ValueError: a number below one, or devices that are none.
    """

    batch_size: int | None = None
    devices: Sequence[Any] | None = None
    chunk_steps: int = 10

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            check_count("batch_size", self.batch_size)
        check_count("chunk_steps", self.chunk_steps)
        devices = self.devices
        if devices is not None and not (
            isinstance(devices, Sequence)
            and devices
            and all(isinstance(device, jax.Device) for device in devices)
        ):
            raise ValueError(
                f"devices: got {devices!r}, expected a list of JAX devices such as "
                "jax.local_devices(), or None"
            )


def minimize(
    objective: Objective | Term,
    start: Start,
    *,
    parametrization: Parametrization | None = None,
    seeds: int | Sequence[int] | None = None,
    per_seed: Callable[[Objective], Any] | None = None,
    minimizer: Minimizer | None = None,
    max_steps: int = 300,
    max_evaluations: int | None = None,
    batching: Batching | None = None,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Result:
    """Minimize a loss over one map, over a pytree of maps, or over those of many seeds.

    Every seed has its own start, loss, minimizer and status. But for rounding, its maps do not
    depend on the other seeds, on their order, or on the size of the batch.

    Args:
        objective: the loss of the maps, or its only term.
        start: maps to start from, in the structure that the parametrization makes. With `seeds` a
            function from a seed to its start, or starts with a leading axis of seeds.
        parametrization: the unknowns; None takes all pixels of the start, each map in the unit of
            its standard deviation.
        seeds: different numbers from 0 to 2^32 - 1, or the number of seeds: 3 is short for
            `[0, 1, 2]`. None is a single minimization.
        per_seed: function that selects arrays of the objective (or parts of it, with all their
            arrays), as `equinox.tree_at` does: they have a leading axis of seeds, and every seed
            has a loss of its own; None for one loss of all.
        minimizer: how parameters are changed; None for `LBFGS()`.
        max_steps: maximum number of steps.
        max_evaluations: maximum number of values and gradients, which may end a line search too;
            None for no limit.
        batching: how many seeds run side by side, and where; None for `Batching()`.
        checkpoints: where to keep the state from time to time; the minimization goes on from the
            newest one. They are the caller's to remove.
        callback: called after every chunk of evaluations. A KeyboardInterrupt, in it or during the
            steps, ends the minimization with status "interrupted" and the best maps so far; one
            during compilation is not caught, since there is no map yet.

    Returns:
        result whose arrays are NumPy's, in the type of the parameters; with `seeds`, with a leading
        axis of seeds, after an interrupt of those begun.

    Raises:
        ValueError: no objective, a term that returns no real scalar, a start or a parametrization
            that do not fit, a limit out of its range, bad seeds, a batch that the memory of the
            device cannot hold, or checkpoints of another minimization.
        OSError: a checkpoint cannot be read or written.

    Examples:
        >>> import jax.numpy as jnp, jaxscat
        >>> class Distance(jaxscat.Term):
        ...     to: float
        ...     def __call__(self, map):
        ...         return jnp.mean((map - self.to) ** 2)
        >>> result = jaxscat.minimize(Distance(to=2.0), jnp.arange(12.0), max_steps=20)
        >>> result.status, bool(abs(result.map - 2.0).max() < 1e-3), list(result.terms)
        ('converged', True, ['distance'])

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Synthesis".
    """
    limits = build_limits(max_steps, max_evaluations)
    check_kind(batching, Batching | None, "batching", "a Batching, or None")
    check_kind(checkpoints, Checkpoints | None, "checkpoints", "Checkpoints, or None")
    if callback is not None:
        check_callable(callback, 1, "callback", "a function of a Progress")
    objective, batching = as_objective(objective), batching or Batching()
    minimizer = LBFGS() if minimizer is None else minimizer
    if not isinstance(minimizer, Minimizer):
        raise ValueError(f"minimizer: got {minimizer!r}, expected a Minimizer such as LBFGS()")
    listed = (0,) if seeds is None else check_seeds(seeds)
    draw = (lambda seed: start) if seeds is None else _drawing(start, listed)
    names = ["start"] if seeds is None else [f"start of seed {seed}" for seed in listed]
    first: Any = draw(listed[0])
    if parametrization is None:
        parametrization = build_pixels(_check_leaves(first, names[0]))
    dtype = _parameter_type(first, names[0])
    check_maps(first, parametrization, dtype, names[0])
    own = None
    if per_seed is not None:
        if seeds is None:
            raise ValueError("per_seed: got a function without seeds, expected None")
        objective, own = split_objective(objective, per_seed, len(listed))
    problem = build_problem(objective, parametrization, minimizer, limits, dtype, own)

    def parameters_of(number: int) -> Float[np.ndarray, " n"]:
        maps = draw(listed[number]) if number else first
        checked = check_maps(maps, parametrization, dtype, names[number])
        return check_parameters(parametrization, checked, names[number]).astype(dtype)

    devices = choose_devices(batching.devices, problem, len(listed))
    if checkpoints is not None:
        checkpoints = checkpoints.of(
            {
                "version": importlib.metadata.version("jaxscat"),
                "seeds": listed,
                "devices": devices.count,
                "starts": starts_digest(start),
                "max_steps": int(max_steps),
                "max_evaluations": None if max_evaluations is None else int(max_evaluations),
                "batch_size": batching.batch_size and int(batching.batch_size),
                "chunk_steps": int(batching.chunk_steps),
                **_describe_minimizer(minimizer),
                **describe_problem(problem, own),
            }
        )
    batch = Batch(
        problem,
        parameters_of,
        len(listed),
        devices,
        batching.batch_size,
        batching.chunk_steps,
        own,
    )
    batch.run(callback, checkpoints)
    state = _name_failures(batch.state, problem, own, parameters_of)
    result = join_records(
        state, listed, dtype, partial(_maps_on_host, problem.parametrization), batch.interrupted
    )
    return result if seeds is not None else result.of_seed(0)


def _drawing(start: Start, seeds: tuple[int, ...]) -> Callable[[int], Maps]:
    """Return the function from a seed to its start.

    Raises:
        ValueError: a function of other arguments, or another number of starts than of seeds.
    """
    if callable(start):
        check_draw(start)
        return start
    for leaf in jax.tree.leaves(start):
        if np.ndim(leaf) < 1 or len(leaf) != len(seeds):
            raise ValueError(
                f"start: got shape {np.shape(leaf)}, expected a leading axis of {len(seeds)}: a "
                "map for each seed"
            )
    places = {seed: number for number, seed in enumerate(seeds)}
    return lambda seed: jax.tree.map(lambda leaf: leaf[places[seed]], start)


def _check_leaves(maps: Any, name: str) -> Any:
    """Refuse a start that is no pytree of real maps."""
    leaves = jax.tree_util.tree_leaves_with_path(maps)
    for path, leaf in leaves:
        values = to_numpy(leaf, name=f"{name}{jax.tree_util.keystr(path)}")
        if values.dtype.kind != "f" or values.ndim != 1 or not values.size:
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)}: got {values.dtype} of shape {values.shape}, "
                "expected a real map (npix,)"
            )
    if not leaves:
        raise ValueError(f"{name}: got {describe(maps)}, expected a map or a pytree of maps")
    return maps


def _parameter_type(maps: Any, name: str) -> np.dtype:
    """Return the type of the parameters: that of the maps, as far as JAX's precision goes."""
    kinds = [
        to_numpy(leaf, name=f"{name}{jax.tree_util.keystr(path)}").dtype
        for path, leaf in jax.tree_util.tree_leaves_with_path(maps)
    ]
    real = [kind for kind in kinds if kind.kind == "f"] or [np.dtype(np.float32)]
    return np.dtype(jax.dtypes.canonicalize_dtype(np.result_type(*real)))


def _name_failures(
    state: BatchState,
    problem: Problem,
    own: Objective | None,
    parameters_of: Callable[[int], np.ndarray],
) -> BatchState:
    """Name the terms that are not finite at the start, if the loss has several."""
    names = list(problem.objective.terms)
    records = dict(state.records)
    for number, record in records.items():
        if record.status == "not finite" and len(record.losses) == 1 and len(names) > 1:
            objective = objective_of(problem.objective, own, number)
            failing = find_failing_terms(problem, parameters_of(number), objective)
            if failing:
                status = f"{record.status}: {', '.join(failing)}"
                records[number] = record._replace(status=status)
    return state._replace(records=records)


@jax.jit
def _maps(parametrization: Parametrization, parameters: Any) -> Maps:
    return parametrization.maps(parameters)


def _maps_on_host(parametrization: Parametrization, parameters: np.ndarray) -> Any:
    return jax.tree.map(np.asarray, _maps(parametrization, parameters))


def starts_digest(start: Any) -> str | None:
    """Return a checksum of starts that were given as maps; None for those drawn by a function."""
    if start is None or callable(start):
        return None
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(start):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _describe_minimizer(minimizer: Minimizer) -> dict[str, Any]:
    """Return the kind and the fields of a minimizer, as JSON can hold them."""
    fields = {
        name: value if value is None else np.asarray(value).tolist()
        for name, value in vars(minimizer).items()
    }
    return {"minimizer": type(minimizer).__name__, **fields}
