"""What a run knows of its maps beside their validation: settings, and how each has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jaxscat.minimization.result import Result
from jaxscat.objectives.target import covariance_scales
from jaxscat.run.config import Config
from jaxscat.validation.ending import Ending
from jaxscat.validation.seeds import SeedValidation
from jaxscat.validation.summary import VerdictContext


def build_verdict_context(
    config: Config, validation: SeedValidation, endings: Iterable[Ending] = ()
) -> VerdictContext:
    """Return what the verdict on the maps of a run needs beside their validation.

    Args:
        config: the settings.
        validation: of the maps.
        endings: how the synthesis of each has ended; none if unknown.
    """
    spec = validation.comparison.reference.measurement.pyramid.spec
    return VerdictContext(
        imposed=covariance_scales(spec, config.target.coarsest_nside),
        gaussianized=config.synthesis.gaussianize,
        transform=config.data.transform,
        form=config.synthesis.form,
        endings=tuple(endings),
    )


def endings_of(made: Mapping[int, Result]) -> list[Ending]:
    """Return how the synthesis of every seed has ended."""
    return [Ending(str(result.status), result.losses) for result in made.values()]


def stored_endings(
    rows: Sequence[Mapping[str, object]], losses: Sequence[np.ndarray]
) -> list[Ending]:
    """Return how the seeds of a stored run have ended; none if that is not known of all.

    Args:
        rows: the entries `seeds` of results.json.
        losses: losses of every seed, from history.csv.
    """
    if not rows or len(rows) != len(losses):
        return []
    return [Ending(str(row.get("status", "")), of) for row, of in zip(rows, losses, strict=True)]
