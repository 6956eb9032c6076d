"""The loss of FOSCAT's demonstrations, its gradient, and a synthesis that lowers it."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import foscat.Synthesis as foscat_synthesis
import numpy as np
import torch
from jaxtyping import Float

if TYPE_CHECKING:
    from foscat_reference import Foscat, Map


@dataclass
class FoscatSynthesis:
    """What a synthesis by FOSCAT has come to.

    Attributes:
        map: the new map, float64.
        losses: at the start and after every iteration.
        evaluation_losses: of every evaluation, line searches included.
        evaluation_seconds: when each evaluation ended, since the start of the run.
        seconds: of the whole run.
    """

    map: "Map"
    losses: Float[np.ndarray, " steps"]
    evaluation_losses: list[float] = field(default_factory=list)
    evaluation_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0


class SeedLoss:
    """FOSCAT's seed loss with respect to one original; `value_and_grad` uses FOSCAT's own path."""

    def __init__(self, foscat: "Foscat", mean: Any, sigma: Any, options: dict[str, Any]):
        self._foscat = foscat
        self._options = options
        self._mean = mean
        self._sigma = sigma
        self._record: list[tuple[float, float]] | None = None
        loss = foscat_synthesis.Loss(self._distance, foscat.operator)
        self._loss = loss
        with foscat.at_work():
            self._synthesis: Any = foscat_synthesis.Synthesis([loss])

    def value(self, field: "Map") -> float:
        """Return the loss of one map."""
        with self._foscat.at_work():
            return float(self._distance(self._foscat.tensor(field), self._foscat.operator, ()))

    def value_and_grad(self, field: "Map") -> "tuple[float, Map]":
        """Return the loss of one map and its gradient."""
        with self._foscat.at_work():
            value, gradient = self._synthesis.bk.loss(
                self._foscat.tensor(field), None, self._loss, None
            )
        return float(value), gradient.numpy()[0]

    def synthesize(self, start: "Map", iterations: int) -> FoscatSynthesis:
        """Run FOSCAT's synthesis (L-BFGS of SciPy with FOSCAT's settings) from a start map."""
        generator = np.random.get_state()  # FOSCAT seeds NumPy's global generator
        self._record = []
        begin = time.perf_counter()
        with self._foscat.at_work():
            new = self._synthesis.run(
                np.asarray(start, dtype=self._foscat.precision)[None],
                NUM_EPOCHS=iterations,
                EVAL_FREQUENCY=iterations + 1,
            )
        end = time.perf_counter()
        record, self._record = self._record, None
        np.random.set_state(generator)
        return FoscatSynthesis(
            map=np.asarray(new)[0],
            losses=np.array(self._synthesis.get_history()),
            evaluation_losses=[loss for _, loss in record],
            evaluation_seconds=[moment - begin for moment, _ in record],
            seconds=end - begin,
        )

    def _distance(self, fields: torch.Tensor, operator: Any, _: tuple) -> torch.Tensor:
        statistics = operator.eval(fields, **self._options)
        if "image2" in self._options:
            # FOSCAT's square would lose S3P.
            loss = operator.reduce_distance(statistics, self._mean, sigma=self._sigma)
        else:
            scaled = operator.square((self._mean - statistics) / self._sigma)
            loss = operator.reduce_mean(scaled)
        if self._record is not None:
            self._record.append((time.perf_counter(), float(loss.detach())))
        return loss
