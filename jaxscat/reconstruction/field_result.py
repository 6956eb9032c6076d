"""The result of a reconstruction of several fields."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxscat.reconstruction.result import Reconstruction

Fields = dict[str, Float[np.ndarray, "*seeds p"]]


@dataclass(frozen=True)
class FieldReconstruction:
    """Maps of several fields, or those of several seeds, and how they were found.

    Attributes:
        fields: names of the fields, in their order.
        stacked: the same as one result, whose maps have an axis of fields before the pixels.

    Source: `docs/polarization.md`, "Denoising".
    """

    fields: tuple[str, ...]
    stacked: Reconstruction

    @property
    def maps(self) -> Fields:
        """NESTED maps `[p]` by field in the unit of the data; of several seeds `[B, p]`."""
        return self._by_field(self.stacked.map)

    @property
    def mean(self) -> Fields:
        """Mean over the seeds: nearest to the truth map by map, but smoother than it."""
        return self._by_field(self.stacked.mean)

    @property
    def spread(self) -> Fields:
        """Standard deviation over the seeds in every pixel.

        Raises:
            ValueError: there are fewer than two seeds.
        """
        return self._by_field(self.stacked.spread)

    @property
    def baselines(self) -> dict[str, Fields]:
        """Other estimates by their names, each with maps `[p]` by field; the data first."""
        return {name: self._by_field(maps) for name, maps in self.stacked.baselines.items()}

    @property
    def status(self) -> str | tuple[str, ...]:
        """Why it ended; of several seeds a tuple."""
        return self.stacked.status

    @property
    def meaning(self) -> str | tuple[str, ...]:
        """What the status means, in one sentence (of every seed)."""
        return self.stacked.meaning

    @property
    def chi2(self) -> Mapping[str, Float[np.ndarray, "*seeds renewals"]]:
        """Value of the term right after each renewal, as in `Reconstruction`."""
        return self.stacked.chi2

    @property
    def evaluations(self) -> int | Int[np.ndarray, " seeds"]:
        """Number of values and gradients."""
        return self.stacked.evaluations

    @property
    def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        """What the term measures, as in `Reconstruction`, as `FieldCovariances`."""
        return self.stacked.statistics

    @property
    def seeds(self) -> tuple[int, ...] | None:
        """Of several maps, the seed of each."""
        return self.stacked.seeds

    @property
    def interrupted(self) -> bool:
        """Whether an interrupt has ended it."""
        return self.stacked.interrupted

    def of_seed(self, seed: int) -> "FieldReconstruction":
        """Select one of several seeds.

        Raises:
            ValueError: no maps were made for the seed.
        """
        return replace(self, stacked=self.stacked.of_seed(seed))

    def _by_field(self, maps: Float[np.ndarray, "*seeds f p"]) -> Fields:
        return {field: maps[..., place, :] for place, field in enumerate(self.fields)}
