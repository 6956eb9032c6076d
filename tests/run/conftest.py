"""Runs without their costly parts, for tests of folders, resuming, reports and tables."""

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from jaxscat.minimization.result import Result
from jaxscat.progress import Observer, Progress


def canned_synthesis(prepared, seeds, *, checkpoints=None, callback=None):
    """Stand in for `synthesize_seeds`: new maps are starts of other seeds.

    It is heard every ten steps and keeps a file in place of a checkpoint then, begins no further
    seeds when it is interrupted, and ends alike whether it goes on or not.
    """
    settings = prepared.config.synthesis
    size, finished, made = settings.batch_size or len(seeds), 0, []
    try:
        for batch in (seeds[at : at + size] for at in range(0, len(seeds), size)):
            for look in range(10, settings.max_steps + 10, 10):
                step = min(look, settings.max_steps)
                made = made[:finished] + [(seed, step) for seed in batch]
                finished += len(batch) if step == settings.max_steps else 0
                if checkpoints is not None:
                    checkpoints.folder.mkdir(parents=True, exist_ok=True)
                    (checkpoints.folder / f"{step:09}.npz").touch()
                if callback is not None:
                    callback(progress_of(step, settings.max_steps, finished, len(seeds)))
    except KeyboardInterrupt:
        pass
    longest = max(steps for _, steps in made)
    losses = [canned_losses(seed, steps, longest) for seed, steps in made]
    counts = [np.minimum(np.arange(longest + 1), steps) + 1 for _, steps in made]
    ended = [steps == settings.max_steps for _, steps in made]
    return Result(
        map=np.stack([prepared.start(seed + 1000) for seed, _ in made]),
        loss=np.array([row[-1] for row in losses]),
        losses=np.stack(losses),
        evaluations=np.stack(counts),
        status=tuple("step limit" if done else "interrupted" for done in ended),
        steps=np.array([steps for _, steps in made]),
        compile_seconds=2.0,
        run_seconds=4.0,
        seeds=tuple(seed for seed, _ in made),
    )


def canned_losses(seed, steps, longest):
    return (8.0 + seed) * 0.9 ** np.minimum(np.arange(longest + 1), steps)


def progress_of(step, max_steps, finished, maps):
    return Progress(step, max_steps, 2.0, step + 1, 1.0, 1.0, 3.0, finished, maps)


@contextmanager
def two_controls_of_a_kind():
    from jaxscat.run import results, validate

    with pytest.MonkeyPatch.context() as patch:
        for module in (results, validate):
            patch.setattr(module, "validate_seeds", partial(module.validate_seeds, controls=2))
        yield


@pytest.fixture(scope="session")
def canned():
    """A synthesis that takes no time, for `run_experiment(..., synthesize=canned)`."""
    return canned_synthesis


@pytest.fixture
def few_controls():
    """Two controls of either kind in place of sixteen."""
    with two_controls_of_a_kind():
        yield


@pytest.fixture(scope="module")
def few_controls_in_module():
    """The same for runs that fixtures of a module make."""
    with two_controls_of_a_kind():
        yield


class Parts(Observer):
    """Records stages, and the last number of parts of each and their total."""

    def __init__(self):
        self.stages = {}

    def stage(self, name):
        self.name = name
        self.stages[name] = None

    def building(self, done, total):
        self.stages[self.name] = (done, total)


@pytest.fixture
def parts():
    """An observer that records the stages of a run."""
    return Parts()
