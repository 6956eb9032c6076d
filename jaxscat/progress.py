"""How the progress of long work is reported."""

from typing import NamedTuple


class Progress(NamedTuple):
    """How far a synthesis has come; of several maps, all of them together.

    Attributes:
        step: steps made.
        max_steps: steps asked for.
        loss: lowest loss so far; of several maps the median of those of all maps begun.
        evaluations: values and gradients computed.
        seconds: time spent on the steps, compilation excluded.
        best: lowest of the losses.
        worst: highest of the losses.
        finished: number of maps that are finished.
        maps: number of maps asked for.
    """

    step: int
    max_steps: int
    loss: float
    evaluations: int
    seconds: float
    best: float
    worst: float
    finished: int
    maps: int


class Observer:
    """Hears of a run's progress; this one keeps silent, others show it."""

    def stage(self, name: str) -> None:
        """A new part of the run begins."""

    def building(self, done: int, total: int) -> None:
        """So many of the pyramid's parts are built."""

    def step(self, progress: Progress) -> None:
        """The synthesis has advanced."""
