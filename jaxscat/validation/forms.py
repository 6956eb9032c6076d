"""The form in which coefficients of several fields are compared: that of what was imposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxscat.fields.pairs import Pair, all_pairs, changes_sign
from jaxscat.objectives.field_target import FieldTarget, Parity, check_field_target
from jaxscat.objectives.target import covariance_scales
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.abstract_coefficients import AbstractCoefficients
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.parity import even_part
from jaxscat.validation.coherence import Bounds


@dataclass(frozen=True)
class Form:
    """The coefficients that a target has: of which pairs and scales, and what is left of them.

    Attributes:
        pairs: names of the fields of every pair in the target.
        scales: number of scales of S3 and S4.
        parity: "even" if only even parts are in the target.
        isotropic: whether it has means over common rotations of the orientations only.
    """

    pairs: tuple[Pair, ...]
    scales: int
    parity: Parity
    isotropic: bool

    @classmethod
    def of(cls, target: FieldTarget | None, pyramid: Pyramid, fields: Sequence[str]) -> Form:
        """Return the form of a target of some fields; None for all pairs, whole.

        Raises:
            ValueError: the target is none, of other operators or of other fields.
        """
        if target is None:
            pairs = all_pairs(tuple(fields))
            return cls(pairs, covariance_scales(pyramid.spec, None), "all", isotropic=False)
        check_field_target(target, pyramid)
        if set(target.fields) != set(fields):
            raise ValueError(
                f"target: got one of {', '.join(target.fields)}, expected one of "
                f"{', '.join(fields)} as `originals`"
            )
        isotropic = isinstance(target.reduction, IsotropicMean)
        return cls(target.pairs, target.covariance_scales, target.parity, isotropic)

    @property
    def compared(self) -> str:
        """What is compared, in words."""
        what = "isotropic means" if self.isotropic else "coefficients"
        if self.parity == "all":
            return what
        return f"even parts of {what}" if self.isotropic else "even parts"

    def has(self, pair: Pair) -> bool:
        """Return whether the target has a pair, in whatever order its fields are."""
        return pair in self.pairs or pair[::-1] in self.pairs

    def is_empty(self, pair: Pair, group: str) -> bool:
        """Return whether a group of a pair is zero whatever the fields are.

        The even part of an S1 or S2 that is odd as a whole is different from zero between
        orientations only, and their mean is zero.
        """
        odd = group in ("S1", "S2") and changes_sign(pair, group)
        return odd and self.isotropic and self.parity == "even"

    def bring(self, pair: Pair, statistics: Any) -> AbstractCoefficients:
        """Return what is compared of the coefficients of a pair."""
        if self.parity == "even":
            statistics = even_part(statistics, pair)
        return IsotropicMean().mean(statistics) if self.isotropic else statistics

    def bound(self, bounds: Bounds, statistics: Any) -> Bounds:
        """Return the bounds of what is compared, from those of coefficients of the same shapes.

        A mean has at most the magnitude of the mean of the bounds.
        """
        if not self.isotropic:
            return bounds
        given: ScatteringCovariance = statistics
        groups = {name.lower(): bounds[name] for name in given.groups() if name != "S0"}
        found = IsotropicMean().mean(replace(given, **groups)).groups()
        return {name: np.asarray(group) for name, group in found.items() if name != "S0"}
