"""Minimization with targets that depend on the map: measured anew, several times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.minimize import Batching, minimize
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.progress import Progress
from jaxscat.reconstruction.calibration import Calibration
from jaxscat.reconstruction.checkpoints import RenewalFiles, describe_terms
from jaxscat.reconstruction.objective import build_objective, measure_values, own_arrays
from jaxscat.reconstruction.options import Renewals

CONVERGED, ACCEPTED, DONE = "converged", "start accepted", "renewals done"
LIMIT, NO_SIGNAL = "renewal limit", "no signal"
NO_PROGRESS, NOT_FINITE, INTERRUPTED = "no progress", "not finite", "interrupted"


class RenewalState(NamedTuple):
    """Where a reconstruction stands between two renewals.

    Attributes:
        maps: present maps of all seeds (with an axis of fields, or none), the starts at first.
        renewals: number of minimizations made.
        status: why each seed has ended, or None if it has not.
        values: of every term right after each renewal, NaN after the end of a seed.
        evaluations: number of values and gradients of every seed.
        compile_seconds, run_seconds: of the minimizations.
        interrupted: whether an interrupt has ended it.
    """

    maps: Float[np.ndarray, "B *f p"]
    renewals: int
    status: tuple[str | None, ...]
    values: Mapping[str, Float[np.ndarray, "B renewals"]]
    evaluations: Int[np.ndarray, " B"]
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    interrupted: bool = False


@dataclass(frozen=True)
class RenewedProblem:
    """A loss whose targets follow from the map.

    Attributes:
        terms: by their names, with targets of the right shapes.
        weights, levels: of the terms; a level of zero is none.
        targets: function of a seed and its map to the targets of the terms.
        parametrization: the unknowns.
        settings: how often targets are renewed.
    """

    terms: Mapping[str, Any]
    weights: Mapping[str, float]
    levels: Mapping[str, float]
    targets: Callable[[int, Float[np.ndarray, "*f p"]], Calibration]
    parametrization: Parametrization
    settings: Renewals

    def identity(self) -> dict[str, Any]:
        """Return what a reconstruction shares with its checkpoints, as JSON can hold it."""
        settings = self.settings
        realizations = settings.realizations
        return {
            "terms": {
                name: [float(self.weights[name]), float(self.levels[name])] for name in self.terms
            },
            **describe_terms(self.terms),
            "renewals": [
                int(settings.number),
                int(settings.steps),
                None if realizations is None else int(realizations),
                float(settings.tolerance),
                int(settings.memory),
            ],
        }


def renew(
    problem: RenewedProblem,
    starts: Float[np.ndarray, "B *f p"],
    seeds: Sequence[int],
    *,
    batching: Batching | None = None,
    files: RenewalFiles | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> tuple[RenewalState, list[Calibration | None]]:
    """Renew the targets of every seed and minimize, until its map has what is asked of it.

    Targets, sigmas and levels are operands: all renewals share the compiled programs.

    Args:
        problem: the loss and the limits.
        starts: a map of every seed.
        seeds: their numbers, which name sets of realizations.
        batching, callback: as for `minimize`; progress is over all renewals.
        files: where the state is kept, and from which to go on.

    Returns:
        the state at the end, and the last targets of every seed (None after an early interrupt).

    Source: `docs/reconstruction.md`, "Renewals".
    """
    count = len(seeds)
    none = (None,) * count
    state = RenewalState(np.asarray(starts), 0, none, {}, np.zeros(count, np.int64))
    if files is not None and (found := files.load()) is not None:
        state = state._replace(**{**found, "status": tuple(found["status"])})
    targets: list[Calibration | None] = [None] * count
    try:
        while None in state.status:
            if files is not None:
                files.save(state)
            targets = _renew_targets(problem, state, seeds, targets)
            state = _judge_all(problem, state, targets)
            if None not in state.status:
                break
            state = _minimize(problem, state, targets, seeds, batching, files, callback)
            if state.interrupted:
                break
    except KeyboardInterrupt:
        state = state._replace(interrupted=True)
    return state, targets


def _renew_targets(
    problem: RenewedProblem,
    state: RenewalState,
    seeds: Sequence[int],
    former: Sequence[Calibration | None],
) -> list[Calibration | None]:
    """Measure the targets of the seeds that go on; those that have ended keep theirs.

    Of a seed that had ended before a resume they are measured as well. Of a map that has become
    such that they cannot be measured they are None.

    Raises:
        ValueError: they cannot be measured at the start.
    """
    targets = []
    for number, seed in enumerate(seeds):
        if state.status[number] is not None and former[number] is not None:
            targets.append(former[number])
            continue
        try:
            targets.append(problem.targets(seed, state.maps[number]))
        except ValueError:
            if state.renewals == 0:
                raise
            targets.append(None)
    return targets


def _judge_all(
    problem: RenewedProblem, state: RenewalState, targets: Sequence[Calibration | None]
) -> RenewalState:
    """Note the values of all terms, and see which seeds have come to their end."""
    status = list(state.status)
    values = {name: np.full(len(targets), np.nan) for name in problem.terms}
    for number, target in enumerate(targets):
        if status[number] is not None:
            continue
        if target is None:
            status[number] = NOT_FINITE
            continue
        found = measure_values(problem.terms, target, state.maps[number])
        for name, value in found.items():
            values[name][number] = value
        first = {name: of[number, 0] for name, of in state.values.items()}
        status[number] = _judge(problem, found, first or found, state.renewals)
    joined = {
        name: np.column_stack([*([state.values[name]] if state.values else []), of])
        for name, of in values.items()
    }
    return state._replace(status=tuple(status), values=joined)


def _judge(
    problem: RenewedProblem,
    values: Mapping[str, float],
    first: Mapping[str, float],
    renewals: int,
) -> str | None:
    """Return why a seed ends with these values of its terms, or None if it goes on."""
    if not np.isfinite(list(values.values())).all():
        return NOT_FINITE
    levels = problem.levels
    most = 1 + problem.settings.tolerance
    if all(levels[name] > 0 and value <= most * levels[name] for name, value in values.items()):
        return CONVERGED if renewals else ACCEPTED
    if renewals < problem.settings.number:
        return None
    if not any(levels.values()):
        return DONE
    over = [
        sum(problem.weights[name] * max(of[name] - levels[name], 0) for name in values)
        for of in (values, first)
    ]
    return LIMIT if over[0] < over[1] else NO_PROGRESS


def _minimize(
    problem: RenewedProblem,
    state: RenewalState,
    targets: Sequence[Calibration | None],
    seeds: Sequence[int],
    batching: Batching | None,
    files: RenewalFiles | None,
    callback: Callable[[Progress], None] | None,
) -> RenewalState:
    """Lower the loss of all seeds that go on; the maps of the others stay."""
    going = np.asarray([status is None for status in state.status])
    # Seeds that have ended need something of the right shape.
    some = next(target for target in targets if target is not None)
    known = [target or some for target in targets]
    objective = build_objective(
        problem.terms, problem.weights, problem.levels, known, going, state.maps.dtype
    )
    settings, most = problem.settings, problem.settings.steps * len(seeds)

    def told(progress: Progress) -> None:
        assert callback is not None
        callback(
            progress._replace(
                step=state.renewals * most + progress.step,
                max_steps=settings.number * most,
                evaluations=int(state.evaluations.sum()) + progress.evaluations,
                seconds=state.run_seconds + progress.seconds,
            )
        )

    result = minimize(
        objective,
        state.maps,
        parametrization=problem.parametrization,
        seeds=seeds,
        per_seed=own_arrays,
        minimizer=LBFGS(memory=settings.memory),
        max_steps=settings.steps,
        batching=batching,
        checkpoints=None if files is None else files.of_renewal(state.renewals),
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
