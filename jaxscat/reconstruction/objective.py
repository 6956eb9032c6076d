"""The loss of a reconstruction: terms with the targets that every seed has for itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jaxscat.objectives.calibrated import CalibratedTerm, Hinge, Residual
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.term import Term
from jaxscat.reconstruction.calibration import Calibration

# Of seeds that have ended: no value is above it, so that their maps stay.
_ENDED = float(np.finfo(np.float32).max)


def calibrated_terms(terms: Mapping[str, Any]) -> dict[str, CalibratedTerm]:
    """Return the terms that have a target of quantities of the map."""
    return {name: term for name, term in terms.items() if isinstance(term, CalibratedTerm)}


def residual_terms(terms: Mapping[str, Any]) -> dict[str, CalibratedTerm]:
    """Return the terms that have a target of quantities of the residual."""
    return {name: term.term for name, term in terms.items() if isinstance(term, Residual)}


def measure_distances(terms: Mapping[str, CalibratedTerm], target: Calibration) -> dict[str, float]:
    """Return the distance of the quantities of a map from their targets, by the names of terms."""
    placed = _with_targets(terms, target)
    return {name: float(_distance(term, target.map[name])) for name, term in placed.items()}


def measure_values(
    terms: Mapping[str, Any], target: Calibration, map: Float[np.ndarray, "*f p"]
) -> dict[str, float]:
    """Return the value of every term for a map that its targets were measured at.

    Args:
        terms: by their names.
        target: has the quantities of the map (of terms of the residual, of that).
        map: the map, for terms that have no quantities.
    """
    found = {}
    for name, term in _with_targets(terms, target).items():
        inner = term.term if isinstance(term, Residual) else term
        if isinstance(inner, CalibratedTerm):
            found[name] = float(_distance(inner, target.map[name]))
        else:
            found[name] = float(_value(term, map))
    return found


def build_objective(
    terms: Mapping[str, Any],
    weights: Mapping[str, float],
    levels: Mapping[str, float],
    targets: Sequence[Calibration],
    going: Bool[np.ndarray, " B"],
    dtype: DTypeLike,
) -> Objective:
    """Return the loss of several seeds, with a leading axis of seeds on what each has for itself.

    Args:
        terms, weights, levels: by the names of the terms.
        targets: of every seed.
        going: seeds whose maps are changed; the loss of the others is zero.
        dtype: of the maps.
    """
    mean, sigma = (
        jax.tree.map(lambda *leaves: np.stack(leaves), *[target[field] for target in targets])
        for field in (0, 1)
    )
    together = Calibration(mean, sigma, {}, {})
    hinged = {
        name: Hinge(term, np.where(going, levels[name], _ENDED).astype(dtype))
        for name, term in _with_targets(terms, together).items()
    }
    return Objective(hinged, {name: weight for name, weight in weights.items() if weight != 1})


def own_arrays(objective: Objective) -> list[Any]:
    """Return what every seed has for itself: levels, means and sigmas (see `minimize`)."""
    own = []
    for hinge in objective.terms.values():
        assert isinstance(hinge, Hinge)
        own.append(hinge.level)
        inner = hinge.term.term if isinstance(hinge.term, Residual) else hinge.term
        if isinstance(inner, CalibratedTerm):
            own += list(inner.calibration)
    return own


def _with_targets(terms: Mapping[str, Any], target: Calibration) -> dict[str, Any]:
    """Return terms with their targets, which may have an axis of seeds."""
    placed = dict(terms)
    for name, mean in target.mean.items():
        term = terms[name]
        inner = term.term if isinstance(term, Residual) else term
        inner = inner.calibrated(mean, target.sigma[name])
        if isinstance(term, Residual):
            inner = eqx.tree_at(lambda residual: residual.term, term, inner)
        placed[name] = inner
    return placed


@jax.jit
def _distance(term: CalibratedTerm, quantities: Any) -> Float[Array, ""]:
    return term.distance(quantities)


@jax.jit
def _value(term: Term, map: Float[Array, "*f p"]) -> Float[Array, ""]:
    return term(map)
