"""What an angular reduction is, and the coefficients that it leaves."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from jaxscat.statistics.abstract_coefficients import AbstractCoefficients, Index, Kind
from jaxscat.statistics.coefficients import ScatteringCovariance, check_statistics
from jaxscat.statistics.independent import (
    Dependence,
    all_independent,
    combined,
    combined_hermitian,
)
from jaxscat.statistics.indices import covariance_scales, scale_pairs, scale_triples
from jaxscat.statistics.vector import number_count


class Reduction(eqx.Module):
    """Interface for combining coefficients that differ by a common rotation of all orientations.

    A reduction of one's own defines what becomes of one group. Reductions hold no arrays and are
    hashable, to be static arguments of compiled functions.

    Source: `docs/conventions.md`, "Angular reductions".
    """

    def mean(self, statistics: ScatteringCovariance) -> "ReducedCovariance":
        """Reduce the coefficients of one map or of two; S0 is unchanged.

        Raises:
            ValueError: the coefficients are reduced already, or have too few orientations.
        """
        check_whole(statistics, "statistics")
        return _reduced_mean(statistics, self)

    def sigma(self, errors: ScatteringCovariance) -> "ReducedCovariance":
        """Return the standard errors of the reduced coefficients, from those of the coefficients.

        Raises:
            ValueError: as `mean`, or the errors are complex.
        """
        _check_errors(errors)
        return _reduced_sigma(errors, self)

    @abstractmethod
    def mean_of_group(
        self, name: str, group: Inexact[Array, "*axes L"]
    ) -> Inexact[Array, "*reduced"]:
        """Reduce one of the groups S1 to S4 over its last axis, `l2`.

        Args:
            name: "S1" to "S4", or "S3P".
            group: coefficients; S3 and S4 with their other orientations relative to `l2`.

        Returns:
            one number in place of that axis, or an axis of harmonics as `labels` has labels.
        """

    @abstractmethod
    def sigma_of_group(self, name: str, group: Float[Array, "*axes L"]) -> Float[Array, "*reduced"]:
        """Return the standard errors of `mean_of_group`, from those of the group.

        Args:
            name, group: as for `mean_of_group`; real.
        """

    @abstractmethod
    def labels(self, orientations: int) -> list[Index]:
        """Return the labels along the last axis of the reduced groups; `[{}]` if there is none."""


class ReducedCovariance(AbstractCoefficients):
    """Coefficients S0 to S4 after an angular reduction, or their standard errors.

    Orientations of S3 and S4 are relative to `l2`: `d` is `l3 - l2`, `d1` is `l1 - l2` and `d2`
    is `l3 - l2`, all modulo `L`. Harmonics are on the last axis `H`; isotropic means do not have
    that axis. `jax.tree.map` refuses to mix coefficients of different reductions.

    Attributes:
        s0: unchanged.
        s1, s2: axes `j` and harmonic.
        s3: axes `(j2, j3)`, `d` and harmonic.
        s4: axes `(j1, j2, j3)`, `d1`, `d2` and harmonic.
        reduction: the reduction that was applied.
        s3p: two maps only: as S3, with the maps exchanged.
        both_triangles: whether S4 includes j1 > j2.
        kind: "auto" for coefficients of one map, "cross" for those of two.

    Source: FOSCAT's `iso_mean` and `fft_ang`; `docs/conventions.md`, "Angular reductions".
    """

    s0: Float[Array, "*masks 2"]
    s1: Float[Array, "*masks J H"]
    s2: Float[Array, "*masks J H"]
    s3: Complex[Array, "*masks P L H"] | Float[Array, "*masks P L H"]
    s4: Complex[Array, "*masks T L L H"] | Float[Array, "*masks T L L H"]
    reduction: Reduction = eqx.field(static=True)
    s3p: Complex[Array, "*masks P L H"] | Float[Array, "*masks P L H"] | None = None
    both_triangles: bool = eqx.field(static=True, default=False)
    kind: Kind = eqx.field(static=True, init=False)

    @property
    def scales(self) -> int:
        """Number of scales `J`."""
        return self.s1.shape[self.s0.ndim - 1]

    @property
    def orientations(self) -> int:
        """Number of orientations `L` before the reduction."""
        return self.s3.shape[self.s0.ndim]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Scales `(j2, j3)` along the first axis of S3."""
        return scale_pairs(covariance_scales(self.s3.shape[self.s0.ndim - 1]))

    @property
    def triples(self) -> list[tuple[int, int, int]]:
        """Scales `(j1, j2, j3)` along the first axis of S4."""
        scales = covariance_scales(self.s3.shape[self.s0.ndim - 1])
        return scale_triples(scales, self.both_triangles)

    def _indices(self, group: str) -> Iterator[Index]:
        steps = range(self.orientations)
        if group in ("S1", "S2"):
            indices = [{"j": j} for j in range(self.scales)]
        elif group in ("S3", "S3P"):
            indices = [{"j2": j2, "j3": j3, "d": d} for j2, j3 in self.pairs for d in steps]
        else:
            triples = [{"j1": j1, "j2": j2, "j3": j3} for j1, j2, j3 in self.triples]
            indices = [{**at, "d1": d1, "d2": d2} for at in triples for d1 in steps for d2 in steps]
        labels = self.reduction.labels(self.orientations)
        return ({**index, **label} for index in indices for label in labels)

    def _dependence(self, group: str) -> Dependence:
        array, leading, steps = self.groups()[group], self.s0.ndim - 1, self.orientations
        if group == "S0" or not jnp.iscomplexobj(self.s4):  # errors are no weighted sums
            return all_independent(number_count(array, leading))
        combine = partial(self.reduction.mean_of_group, group)
        if group == "S4" and self.kind == "auto":
            return combined_hermitian(combine, self.triples, steps)
        axes = {"S1": 1, "S2": 1, "S3": 2, "S3P": 2, "S4": 3}[group]
        fibres = int(np.prod(array.shape[leading : leading + axes]))
        of_complex = group not in ("S1", "S2")
        return combined(combine, fibres, steps, of_complex, jnp.iscomplexobj(array))


def reduce_groups(
    statistics: ScatteringCovariance,
    reduction: Reduction,
    combine: Callable[[str, Array], Array],
) -> ReducedCovariance:
    """Combine the orientations of S1 to S4.

    Args:
        statistics: coefficients of all orientations.
        reduction: what the result is said to be of.
        combine: a function of the name of a group and the group `[..., L]` with `l2` on the last
            axis.
    """
    groups = {
        name.lower(): combine(name, _count_from_l2(name, group))
        for name, group in statistics.groups().items()
        if name != "S0"
    }
    return ReducedCovariance(
        s0=statistics.s0, **groups, reduction=reduction, both_triangles=statistics.both_triangles
    )


def _count_from_l2(name: str, group: Array) -> Array:
    """Move `l2` to the last axis, with the other orientations relative to it."""
    if name in ("S1", "S2"):
        return group
    l2 = np.arange(group.shape[-1])
    other = (l2[:, None] + l2) % l2.size  # [d, l2]
    if name == "S4":
        return group[..., l2, other[:, None], other]
    return group[..., l2, other]


def check_whole(statistics: AbstractCoefficients, name: str) -> None:
    """Refuse coefficients that are reduced already with a `ValueError`."""
    check_statistics(statistics, name)


def _check_errors(errors: ScatteringCovariance) -> None:
    check_whole(errors, "errors")
    for name, group in errors.groups().items():
        if jnp.iscomplexobj(group):
            raise ValueError(f"errors: got {name} of type {group.dtype}, expected real numbers")


@partial(jax.jit, static_argnames="reduction")
def _reduced_mean(statistics: ScatteringCovariance, reduction: Reduction) -> ReducedCovariance:
    return reduce_groups(statistics, reduction, reduction.mean_of_group)


@partial(jax.jit, static_argnames="reduction")
def _reduced_sigma(errors: ScatteringCovariance, reduction: Reduction) -> ReducedCovariance:
    return reduce_groups(errors, reduction, reduction.sigma_of_group)
