"""The progress of long work, and who receives it."""

from typing import NamedTuple


class Progress(NamedTuple):
    """The progress of a synthesis; of several maps, of all of them together.

    Attributes:
        step: number of steps made.
        max_steps: maximum number of steps.
        loss: lowest loss so far; of several maps the median of those of all maps begun.
        evaluations: number of values and gradients computed.
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
    """Receives progress events; the base class ignores them."""

    def stage(self, name: str) -> None:
        """Receive the name of a stage that begins."""

    def compiling(self) -> None:
        """Learn that the stage begins with compiling its programs, or with loading them."""

    def building(self, done: int, total: int) -> None:
        """Receive the number of finished parts of a stage and their total."""

    def step(self, progress: Progress) -> None:
        """Receive the progress of the synthesis."""
