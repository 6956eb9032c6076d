"""Syntheses of new maps by FOSCAT."""

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from experiments.foscat_reference.conventions import Map
from experiments.foscat_reference.losses import FoscatLoss


@dataclass(frozen=True)
class FoscatSynthesis:
    """Result of a synthesis by FOSCAT.

    Attributes:
        map: the new map, float64.
        losses: at the start and after every iteration.
        evaluation_losses: of every evaluation, line searches included.
        evaluation_seconds: when each evaluation ended, since the start of the run.
        seconds: of the whole run.
    """

    map: Map
    losses: Float[np.ndarray, " steps"]
    evaluation_losses: list[float]
    evaluation_seconds: list[float]
    seconds: float


def synthesize(loss: FoscatLoss, start: Map, iterations: int) -> FoscatSynthesis:
    """Run FOSCAT's synthesis (L-BFGS of SciPy with FOSCAT's settings) from a start map."""
    generator = np.random.get_state()  # FOSCAT seeds NumPy's global generator
    with loss.recording() as evaluations:
        begin = time.perf_counter()
        new, losses = loss.minimize(start, iterations)
        end = time.perf_counter()
    np.random.set_state(generator)
    return FoscatSynthesis(
        map=new,
        losses=losses,
        evaluation_losses=[value for _, value in evaluations],
        evaluation_seconds=[moment - begin for moment, _ in evaluations],
        seconds=end - begin,
    )
