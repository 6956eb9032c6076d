"""Minimization with targets that depend on the map: measured anew, several times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.lane import check_count
from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.minimize import Batching, minimize
from jaxscat.objectives.calibrated import CalibratedTerm, Hinge, Residual
from jaxscat.objectives.objective import Objective
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.progress import Progress
from jaxscat.reconstruction.calibration import Calibration, distances

# Of seeds that have ended: no value is above it, so that their maps stay.
_ENDED = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Renewals:
    """How often targets are measured anew, and when that ends.

    Attributes:
        number: maximum number of renewals.
        steps: maximum number of steps of L-BFGS between two of them.
        tolerance: a seed ends once no term is above its level by more than this fraction of it,
            right after a renewal.
        memory: number of corrections that L-BFGS keeps.

    Raises:
        ValueError: a number below one, or a tolerance that is not positive.
    """

    number: int = 5
    steps: int = 20
    tolerance: float = 0.05
    memory: int = 20

    def __post_init__(self) -> None:
        for name in ("number", "steps", "memory"):
            check_count(name, getattr(self, name))
        real = isinstance(self.tolerance, int | float) and not isinstance(self.tolerance, bool)
        if not real or not self.tolerance > 0:
            raise ValueError(f"tolerance: got {self.tolerance!r}, expected a positive number")


class RenewalState(NamedTuple):
    """Where a reconstruction stands between two renewals.

    Attributes:
        maps: present maps, the start at first.
        renewals: number of renewals made.
        status: why a seed has ended, or None.
        chi2: value of every term right after each renewal, NaN after the end of a seed.
        evaluations: number of values and gradients of every seed.
        compile_seconds, run_seconds: of the minimizations.
        interrupted: whether an interrupt has ended it.
    """

    maps: Float[np.ndarray, "B p"]
    renewals: int
    status: tuple[str | None, ...]
    chi2: Mapping[str, Float[np.ndarray, "B renewals"]]
    evaluations: np.ndarray
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    interrupted: bool = False


@dataclass(frozen=True)
class RenewedProblem:
    """A loss whose targets follow from the map.

    Attributes:
        terms: by their names, with targets of the right shapes; those that are no
            `CalibratedTerm` (or a residual of one) stay as they are.
        weights: of the terms.
        levels: of the terms; zero where there is no hinge.
        targets: function of a seed and its map to the targets of all calibrated terms.
        parametrization: the unknowns.
        settings: limits.
    """

    terms: Mapping[str, Any]
    weights: Mapping[str, float]
    levels: Mapping[str, float]
    targets: Callable[[int, Float[np.ndarray, " p"]], Calibration]
    parametrization: Parametrization
    settings: Renewals = field(default_factory=Renewals)


def renew(
    problem: RenewedProblem,
    starts: Float[np.ndarray, "B p"],
    seeds: Sequence[int],
    *,
    batching: Batching | None = None,
    keep: Callable[[RenewalState], None] | None = None,
    found: RenewalState | None = None,
    checkpoints: Callable[[int], Checkpoints | None] = lambda _: None,
    callback: Callable[[Progress], None] | None = None,
) -> RenewalState:
    """Renew the targets of every seed and minimize, until the map has what is asked of it.

    Targets, sigmas and levels are operands: all renewals share the compiled programs.

    Args:
        problem: the loss and the limits.
        starts: a map of every seed.
        seeds: their numbers.
        batching: as for `minimize`.
        keep: called with the state before every minimization.
        found: such a state, from which to go on.
        checkpoints: function of the number of a renewal to the checkpoints of its minimization.
        callback: as for `minimize`, over all renewals.

    Source: `docs/reconstruction.md`, "Renewals".
    """
    count = len(seeds)
    state = found or RenewalState(
        np.asarray(starts), 0, (None,) * count, {}, np.zeros(count, np.int64)
    )
    try:
        while None in state.status:
            targets, state = _renew_targets(problem, state, seeds)
            if None not in state.status:
                break
            if keep is not None:
                keep(state)
            state = _minimize(problem, state, targets, seeds, batching, checkpoints, callback)
            if state.interrupted:
                break
    except KeyboardInterrupt:
        state = state._replace(interrupted=True)
    return state


def _renew_targets(
    problem: RenewedProblem, state: RenewalState, seeds: Sequence[int]
) -> tuple[list[Calibration | None], RenewalState]:
    """Measure the targets of the seeds that go on, and see which of them have come to their end."""
    targets: list[Calibration | None] = []
    status = list(state.status)
    values = {name: np.full(len(seeds), np.nan) for name in problem.terms}
    for number, seed in enumerate(seeds):
        if status[number] is not None:
            targets.append(None)
            continue
        map = state.maps[number]
        target = problem.targets(seed, map)
        targets.append(target)
        found = distances(_with_targets(problem.terms, target), map)
        for name, value in found.items():
            values[name][number] = float(value)
        status[number] = _judge(problem, {name: float(value) for name, value in found.items()})
        if status[number] == "converged" and state.renewals == 0:
            status[number] = "start accepted"
        if status[number] is None and state.renewals == problem.settings.number:
            status[number] = "renewal limit"
    chi2 = {
        name: np.column_stack([state.chi2[name], of]) if name in state.chi2 else of[:, None]
        for name, of in values.items()
    }
    return targets, state._replace(status=tuple(status), chi2=chi2)


def _judge(problem: RenewedProblem, values: Mapping[str, float]) -> str | None:
    """Return why a seed ends with these values of its terms, or None if it goes on."""
    if not all(np.isfinite(value) for value in values.values()):
        return "not finite"
    most = 1 + problem.settings.tolerance
    reached = all(
        problem.levels[name] > 0 and value <= most * problem.levels[name]
        for name, value in values.items()
    )
    return "converged" if reached else None


def _minimize(
    problem: RenewedProblem,
    state: RenewalState,
    targets: Sequence[Calibration | None],
    seeds: Sequence[int],
    batching: Batching | None,
    checkpoints: Callable[[int], Checkpoints | None],
    callback: Callable[[Progress], None] | None,
) -> RenewalState:
    """Lower the loss of all seeds that go on; the maps of the others stay."""
    going = np.asarray([target is not None for target in targets])
    known = next(target for target in targets if target is not None)
    objective = build_objective(problem, [target or known for target in targets], going)
    settings, steps = problem.settings, problem.settings.steps * len(seeds)

    def told(progress: Progress) -> None:
        assert callback is not None
        callback(
            progress._replace(
                step=state.renewals * steps + progress.step,
                max_steps=settings.number * steps,
                evaluations=int(state.evaluations.sum()) + progress.evaluations,
                seconds=state.run_seconds + progress.seconds,
            )
        )

    result = minimize(
        objective,
        state.maps,
        parametrization=problem.parametrization,
        seeds=seeds,
        per_seed=_own_arrays,
        minimizer=LBFGS(memory=settings.memory),
        max_steps=settings.steps,
        batching=batching,
        checkpoints=checkpoints(state.renewals),
        callback=None if callback is None else told,
    )
    maps, evaluations = state.maps.copy(), state.evaluations.copy()
    made = list(result.seeds or ())
    for number in np.flatnonzero(going).tolist():
        if seeds[number] in made:
            row = made.index(seeds[number])
            maps[number] = result.map[row]
            evaluations[number] += result.evaluations[row, -1]
    return state._replace(
        maps=maps,
        renewals=state.renewals + 1,
        evaluations=evaluations,
        compile_seconds=state.compile_seconds + result.compile_seconds,
        run_seconds=state.run_seconds + result.run_seconds,
        interrupted=result.interrupted,
    )


def build_objective(
    problem: RenewedProblem, targets: Sequence[Calibration], going: Bool[np.ndarray, " B"]
) -> Objective:
    """Return the loss of several seeds, whose targets and levels have a leading axis of them."""
    together = jax.tree.map(lambda *leaves: np.stack(leaves), *targets)
    terms = _with_targets(problem.terms, together)
    hinged = {
        name: Hinge(term, np.where(going, problem.levels[name], _ENDED).astype(np.float32))
        for name, term in terms.items()
    }
    weights = {name: weight for name, weight in problem.weights.items() if weight != 1}
    return Objective(hinged, weights)


def _own_arrays(objective: Objective) -> list[Any]:
    """Return what every seed has for itself: levels, means and sigmas."""
    own = []
    for hinge in objective.terms.values():
        assert isinstance(hinge, Hinge)
        own.append(hinge.level)
        inner = hinge.term.term if isinstance(hinge.term, Residual) else hinge.term
        if isinstance(inner, CalibratedTerm):
            own += list(inner.calibration)
    return own


def _with_targets(terms: Mapping[str, Any], target: Calibration) -> dict[str, Any]:
    """Return the terms with their targets."""
    placed = dict(terms)
    for name in target.mean:
        mean, sigma = target.mean[name], target.sigma[name]
        term = terms[name]
        if isinstance(term, Residual):
            placed[name] = eqx.tree_at(
                lambda residual: residual.term, term, term.term.calibrated(mean, sigma)
            )
        else:
            placed[name] = term.calibrated(mean, sigma)
    return placed
