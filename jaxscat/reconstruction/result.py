"""The result of a reconstruction: maps, how far they are from their targets, and baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxscat.reconstruction.calibration import Calibration
from jaxscat.reconstruction.renewal import INTERRUPTED, RenewalState

# What a status means for the user, in one sentence.
MEANING: Mapping[str, str] = {
    "converged": "The map has all that the data say of its statistics, within their errors.",
    "start accepted": "No statistic contradicts the start: the filter that it comes from already "
    "has all that the data tell, as for nearly Gaussian signals.",
    "renewals done": "All renewals were made, as planned: without noise, as in gaps, or with "
    "levels of zero, only their number ends it.",
    "renewal limit": "Some statistics are still further from the data than noise explains, but "
    "nearer than those of the start: more renewals or steps may help.",
    "no progress": "Statistics are as far from the data as at the start: the noise is probably not "
    "the one that was given (its level, its spectrum, or pixels that differ).",
    "not finite": "A statistic is not finite: the map or the noise has values out of range.",
    "no signal": "The data have no power above that of the noise: the map is their mean, to less "
    "than a hundredth of their scatter.",
    "interrupted": "Ended before its time; the map is the best so far.",
}


@dataclass(frozen=True)
class Reconstruction:
    """Maps of a signal, or those of several seeds, and how they were found.

    Attributes:
        map: NESTED map `[p]` in the unit of the data; of several seeds `[B, p]`.
        status: why it ended, a key of `MEANING`; of several seeds a tuple.
        chi2: value of every term right after each renewal, by its name; one is what the truth has
            on average. Of several seeds with a leading axis, NaN after the end of each.
        evaluations: number of values and gradients.
        baselines: other estimates `[p]` by their names, to compare with; the data first.
        statistics: what the terms measure, by their names: of each "data" (with noise), "result",
            "target" (the data without the noise's share) and "sigma"; of the first seed only, and
            after an interrupt those of its last renewal.
        seeds: of several maps, the seed of each.
        contaminant: the other component `[p]` or `[B, p]`, where there is one.
        compile_seconds, run_seconds: of the minimizations, as in `Result`.
        interrupted: whether an interrupt has ended it.
    """

    map: Float[np.ndarray, "*seeds p"]
    status: str | tuple[str, ...]
    chi2: Mapping[str, Float[np.ndarray, "*seeds renewals"]]
    evaluations: int | Int[np.ndarray, " seeds"]
    baselines: Mapping[str, Float[np.ndarray, " p"]]
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    contaminant: Float[np.ndarray, "*seeds p"] | None = None
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    interrupted: bool = False

    @property
    def mean(self) -> Float[np.ndarray, " p"]:
        """Mean over the seeds: nearest to the truth map by map, but smoother than it."""
        return self.map if self.seeds is None else self.map.mean(axis=0)

    @property
    def spread(self) -> Float[np.ndarray, " p"]:
        """Standard deviation over the seeds in every pixel.

        Raises:
            ValueError: there are fewer than two seeds.
        """
        if self.seeds is None or len(self.seeds) < 2:
            raise ValueError("spread: got one map, expected a reconstruction with seeds")
        return self.map.std(axis=0, ddof=1)

    @property
    def meaning(self) -> str | tuple[str, ...]:
        """What the status means, in one sentence (of every seed)."""
        if isinstance(self.status, str):
            return MEANING[self.status]
        return tuple(MEANING[status] for status in self.status)

    def of_seed(self, seed: int) -> "Reconstruction":
        """Select one of several seeds.

        Raises:
            ValueError: no map was made for the seed.
        """
        if self.seeds is None or seed not in self.seeds:
            raise ValueError(f"seed: got {seed!r}, expected one of {self.seeds}")
        at = self.seeds.index(seed)
        return replace(
            self,
            map=self.map[at],
            statistics=self.statistics if at == 0 else {},
            status=self.status[at],
            chi2={name: of[at][~np.isnan(of[at])] for name, of in self.chi2.items()},
            evaluations=int(np.asarray(self.evaluations)[at]),
            seeds=None,
            contaminant=None if self.contaminant is None else self.contaminant[at],
        )

    def with_map(self, map: Float[np.ndarray, "*seeds p"]) -> "Reconstruction":
        """Return the same result with another map."""
        return replace(self, map=map)


def collect(
    state: RenewalState,
    targets: Sequence[Calibration | None],
    maps: Float[np.ndarray, "B *f p"],
    baselines: Mapping[str, Float[np.ndarray, "*f p"]],
    seeds: tuple[int, ...] | None,
) -> Reconstruction:
    """Return the result of all seeds, or of the only solution where there are none.

    Args:
        state: at the end.
        targets: last ones of every seed.
        maps: in the unit of the data.
        baselines: as in the result.
        seeds: as given, or None.
    """
    statistics, first = {}, targets[0]
    if first is not None:
        statistics = {
            name: {
                "data": first.data[name],
                "result": first.map[name],
                "target": mean,
                "sigma": first.sigma[name],
            }
            for name, mean in first.mean.items()
        }
    several = Reconstruction(
        map=maps,
        status=tuple(status or INTERRUPTED for status in state.status),
        chi2=state.values,
        evaluations=state.evaluations,
        baselines=baselines,
        statistics=statistics,
        seeds=(0,) if seeds is None else seeds,
        compile_seconds=state.compile_seconds,
        run_seconds=state.run_seconds,
        interrupted=state.interrupted,
    )
    return several.of_seed(0) if seeds is None else several
