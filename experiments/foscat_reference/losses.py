"""Losses of FOSCAT's demonstrations, with gradients by FOSCAT's own code."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import foscat.Synthesis as foscat_synthesis
import numpy as np
import torch

from experiments.foscat_reference.conventions import Map

Distance = Callable[[torch.Tensor], torch.Tensor]
Evaluations = list[tuple[float, float]]


class FoscatLoss:
    """A loss of one map that FOSCAT evaluates, differentiates and minimizes.

    Args:
        distance: the loss as a function of maps [1, p]; called within `at_work`.
        operator: FOSCAT's operator.
        at_work: the context in which FOSCAT is called.
        tensors: converts an array to the type of FOSCAT's arithmetic.
    """

    def __init__(
        self,
        distance: Distance,
        operator: Any,
        at_work: Callable[[], AbstractContextManager[None]],
        tensors: Callable[[np.ndarray], torch.Tensor],
    ):
        self._distance = distance
        self._at_work = at_work
        self._tensors = tensors
        self._evaluations: Evaluations | None = None
        self._loss = foscat_synthesis.Loss(self._recorded_distance, operator)
        with at_work():
            self._synthesis: Any = foscat_synthesis.Synthesis([self._loss])

    def value(self, field: Map) -> float:
        """Return the loss of one map."""
        with self._at_work():
            return float(self._distance(self._tensors(field[None])))

    def value_and_grad(self, field: Map) -> tuple[float, Map]:
        """Return the loss of one map and its gradient."""
        with self._at_work():
            value, gradient = self._synthesis.bk.loss(
                self._tensors(field[None]), None, self._loss, None
            )
        return float(value), gradient.numpy()[0]

    def minimize(self, start: Map, iterations: int) -> tuple[Map, np.ndarray]:
        """Run FOSCAT's L-BFGS; return the new map, and the losses after every iteration."""
        with self._at_work():
            new = self._synthesis.run(
                self._tensors(start[None]).numpy(),
                NUM_EPOCHS=iterations,
                EVAL_FREQUENCY=iterations + 1,
            )
        return np.asarray(new)[0], np.array(self._synthesis.get_history())

    @contextmanager
    def recording(self) -> Iterator[Evaluations]:
        """Record the moment and the loss of every evaluation in this block."""
        self._evaluations = evaluations = []
        try:
            yield evaluations
        finally:
            self._evaluations = None

    def _recorded_distance(self, fields: torch.Tensor, _operator: Any, _: tuple) -> torch.Tensor:
        loss = self._distance(fields)
        if self._evaluations is not None:
            self._evaluations.append((time.perf_counter(), float(loss.detach())))
        return loss
