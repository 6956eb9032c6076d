"""A minimization as one operand: the loss, the unknowns, the minimizer, and its limits."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxscat.maps import to_numpy
from jaxscat.minimization.lane import Limits, Minimizer
from jaxscat.objectives.objective import Objective, check_objective, describe_maps
from jaxscat.operators.batching import map_in_groups
from jaxscat.parametrizations.parametrization import Maps, Parametrization, check_parametrization
from jaxscat.reasons import reason_of


class Problem(eqx.Module):
    """All that a step on the device needs beside the lanes; one pytree of arrays.

    Attributes:
        objective: the loss of maps.
        parametrization: maps of parameters.
        minimizer: how parameters are changed.
        limits: when every lane ends at the latest.
        own: the arrays of the objective that every lane has for itself, with a leading axis of
            lanes, and None elsewhere (see `split_objective`); None if lanes share all of them.
    """

    objective: Objective
    parametrization: Parametrization
    minimizer: Minimizer
    limits: Limits
    own: Objective | None = None

    def loss(
        self, parameters: Float[Array, " n"], own: Objective | None = None
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Return the loss of parameters, and the value of every term.

        Args:
            parameters: of one lane.
            own: the arrays of the objective that every lane has for itself, None elsewhere.
        """
        objective = self.objective if own is None else eqx.combine(own, self.objective)
        values = objective.values(self.parametrization.maps(parameters))
        real = parameters.dtype
        values = {name: value.astype(real) for name, value in values.items()}
        return objective.total(values).astype(real), values

    def losses_and_gradients(
        self, parameters: Float[Array, "B n"]
    ) -> tuple[tuple[Float[Array, " B"], dict[str, Float[Array, " B"]]], Float[Array, "B n"]]:
        """Return the loss, the values of the terms and the gradient of every lane."""
        if self.own is None:
            return map_in_groups(_loss_and_gradient, parameters, self)
        shared = replace(self, own=None)
        together = (parameters, self.own)
        return map_in_groups(_own_loss_and_gradient, together, shared, npix=parameters.shape[1])


def _loss_and_gradient(parameters: Float[Array, " n"], problem: Problem) -> Any:
    return jax.value_and_grad(problem.loss, has_aux=True)(parameters)


def _own_loss_and_gradient(together: tuple[Float[Array, " n"], Objective], problem: Problem) -> Any:
    return jax.value_and_grad(problem.loss, has_aux=True)(*together)


def split_objective(
    objective: Objective, per_seed: Callable[[Objective], Any], count: int
) -> tuple[Objective, Objective]:
    """Split an objective into what all seeds share, and what each of them has for itself.

    Args:
        objective: some of its arrays have a leading axis of seeds.
        per_seed: selects these arrays, as for `minimize`.
        count: number of seeds.

    Returns:
        both have the structure of the objective, and None where the other has an array.

    Raises:
        ValueError: nothing is selected, or arrays without a leading axis of `count`.
    """
    chosen = jax.tree.map(lambda _: False, objective)
    try:
        chosen = eqx.tree_at(per_seed, chosen, replace_fn=lambda _: True)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            "per_seed: expected a function that returns arrays of the objective, such as "
            f"lambda objective: [objective.terms['scattering'].target.mean], got {reason_of(error)}"
        ) from error
    own, shared = eqx.partition(objective, chosen)
    for path, leaf in jax.tree_util.tree_leaves_with_path(own):
        if np.ndim(leaf) < 1 or len(leaf) != count:
            raise ValueError(
                f"per_seed: got {jax.tree_util.keystr(path).lstrip('.')} of shape "
                f"{np.shape(leaf)}, expected a leading axis of {count} seeds"
            )
    if not jax.tree.leaves(own):
        raise ValueError("per_seed: got no array of the objective, expected at least one")
    return shared, own


def objective_of(shared: Objective, own: Objective | None, number: int) -> Objective:
    """Return the objective of one of several seeds (see `split_objective`)."""
    if own is None:
        return shared
    return eqx.combine(jax.tree.map(lambda leaf: leaf[number], own), shared)


def build_problem(
    objective: Objective,
    parametrization: Parametrization,
    minimizer: Minimizer,
    limits: Limits,
    dtype: DTypeLike,
    own: Objective | None = None,
) -> Problem:
    """Check that the parts of a problem fit, and make their numbers arrays.

    Args:
        objective, parametrization, minimizer: as for `minimize`.
        limits: from `build_limits`.
        dtype: type of the parameters.
        own: arrays of the objective that every seed has for itself, from `split_objective`.

    Raises:
        ValueError: parts that do not fit, named; nothing is compiled.
    """
    maps = check_parametrization(parametrization, dtype)
    problem = Problem(objective_of(objective, own, 0), parametrization, minimizer, limits)
    for path, leaf in jax.tree_util.tree_leaves_with_path(problem):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float):
            raise ValueError(
                f"{jax.tree_util.keystr(path).lstrip('.')}: got {type(leaf).__name__}, expected an "
                "array (or a static field)"
            )
    check_objective(problem.objective, maps)
    problem = Problem(objective, parametrization, minimizer, limits)
    return jax.tree.map(lambda leaf: _as_array(leaf, np.dtype(dtype)), problem)


def check_maps(maps: Any, parametrization: Parametrization, dtype: DTypeLike, name: str) -> Maps:
    """Return maps as NumPy arrays, if they are such as a parametrization makes.

    Args:
        maps: one map, or a pytree of them.
        parametrization: makes maps of the same structure and shapes.
        dtype: type of the parameters.
        name: of the maps, for messages.

    Raises:
        ValueError: another structure or shape, or numbers that are not real and finite.
    """
    expected = check_parametrization(parametrization, dtype)
    # A callable or an object of another library is a leaf without shape.
    if jax.tree.structure(maps) != jax.tree.structure(expected):
        raise ValueError(
            f"{name}: got the structure {describe_maps(maps)}, expected "
            f"{describe_maps(expected)} as the parametrization makes them"
        )

    def check(path: Any, leaf: Any, like: Any) -> np.ndarray:
        where = f"{name}{jax.tree_util.keystr(path)}"
        values = to_numpy(leaf, name=where)
        if values.dtype.kind != "f" or values.shape != like.shape:
            raise ValueError(
                f"{where}: got {values.dtype} of shape {values.shape}, expected real floats of "
                f"shape {like.shape}"
            )
        bad = int(np.sum(~np.isfinite(values)))
        if bad:
            raise ValueError(f"{where}: got {bad} values that are not finite, expected none")
        return values

    return jax.tree_util.tree_map_with_path(check, maps, expected)


def describe_problem(problem: Problem, own: Objective | None = None) -> dict[str, str]:
    """Return checksums that tell a problem from others: its structure, and its parametrization.

    Args:
        problem: from `build_problem`.
        own: arrays of the objective that every seed has for itself, which count too.
    """
    leaves = jax.tree_util.tree_leaves_with_path(problem)
    structure = [
        f"{jax.tree_util.keystr(path)} {np.dtype(leaf.dtype).str} {leaf.shape}"
        for path, leaf in leaves
    ]
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(problem.parametrization):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    for leaf in jax.tree.leaves(own):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    kind = type(problem.parametrization)
    return {
        "structure of the problem": hashlib.sha256("\n".join(structure).encode()).hexdigest(),
        "parametrization": f"{kind.__module__}.{kind.__qualname__} {digest.hexdigest()}",
    }


def _as_array(leaf: Any, real: np.dtype) -> Any:
    """Give Python's numbers a type; on the host, where no small program is compiled for it."""
    if isinstance(leaf, bool | np.bool_):
        return np.asarray(leaf)
    if isinstance(leaf, float):
        return np.asarray(leaf, real)
    if isinstance(leaf, int):
        return np.asarray(leaf, np.int32)
    return leaf


def find_failing_terms(
    problem: Problem, parameters: Float[np.ndarray, " n"], objective: Objective
) -> list[str]:
    """Return the names of the terms whose value or gradient is not finite at some parameters.

    Args:
        problem: has the parametrization.
        parameters: of one seed.
        objective: the loss of this seed.
    """

    def term_and_gradient(parameters: Array, name: str) -> tuple[Array, Array]:
        def term(parameters: Array) -> Array:
            return objective.terms[name](problem.parametrization.maps(parameters))

        return jax.value_and_grad(term)(parameters)

    failing = []
    for name in objective.terms:
        found = term_and_gradient(jnp.asarray(parameters), name)
        if not all(bool(jnp.isfinite(part).all()) for part in found):
            failing.append(name)
    return failing
