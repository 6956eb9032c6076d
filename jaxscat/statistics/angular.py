"""Angular reductions: means and harmonics over a common rotation of all orientations."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Complex, Float

from jaxscat.statistics.coefficients import AbstractCoefficients, Index, Kind, ScatteringCovariance
from jaxscat.statistics.indices import covariance_scales, scale_pairs, scale_triples
from jaxscat.statistics.moments import safe_sqrt

Compatibility = Literal["foscat"] | None

# FOSCAT divides sums over the orientations of S3 by this, whatever their number.
_FOSCAT_DIVISOR = 4
_FOSCAT_FLOOR = 1e-16  # FOSCAT adds it under the square root of a spread


class Reduction(eqx.Module):
    """Interface for combining coefficients that differ by a common rotation of all orientations.

    Reductions hold no arrays and are hashable, to be static arguments of compiled functions.
    """

    @abstractmethod
    def mean(self, statistics: ScatteringCovariance) -> "ReducedCovariance":
        """Reduce the coefficients of one map or of two.

        Raises:
            ValueError: the coefficients are reduced already, or have too few orientations.
        """

    @abstractmethod
    def sigma(self, errors: ScatteringCovariance) -> "ReducedCovariance":
        """Return the standard errors of the reduced coefficients, from those of the coefficients.

        Raises:
            ValueError: as `mean`, or the errors are complex.
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


class IsotropicMean(Reduction):
    """The mean over a common rotation of all orientations.

    Attributes:
        compatibility: None; or "foscat" to divide S3 and S3P by 4 whatever the number of
            orientations, and to reduce standard errors as if they were coefficients.

    Raises:
        ValueError: an unknown `compatibility`.

    Source: FOSCAT's `iso_mean`; `docs/conventions.md`, "Angular reductions".
    """

    compatibility: Compatibility = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.compatibility not in (None, "foscat"):
            raise ValueError(
                f"compatibility: got {self.compatibility!r}, expected None or 'foscat'"
            )

    def mean(self, statistics: ScatteringCovariance) -> ReducedCovariance:
        """Return the means over `l2` at fixed differences, without an axis of harmonics."""
        _check_whole(statistics, "statistics")
        return _reduce(statistics, self, self._mean_of_group)

    def sigma(self, errors: ScatteringCovariance) -> ReducedCovariance:
        """Return the standard errors of the means, treating orientations as independent."""
        _check_errors(errors)
        if self.compatibility == "foscat":  # FOSCAT's synthesis reduces errors like coefficients.
            return _reduce(errors, self, self._mean_of_group)
        return _reduce(errors, self, lambda _, group: _norm(group) / group.shape[-1])

    def labels(self, orientations: int) -> list[Index]:
        """Return one empty label: there is no axis of harmonics."""
        return [{}]

    def _mean_of_group(self, name: str, group: Array) -> Array:
        squeezed = self.compatibility == "foscat" and name in ("S3", "S3P")
        return group.sum(-1) / (_FOSCAT_DIVISOR if squeezed else group.shape[-1])


class FourierHarmonics(Reduction):
    """The mean and the Fourier sums over a common rotation of all orientations.

    Attributes:
        harmonics: number of frequencies besides the mean, at most half the number of orientations.
        imaginary: whether to include the sine of every frequency. At half the number of
            orientations the sine vanishes and is left out.

    Raises:
        ValueError: `harmonics` is not an integer from 0 up, or `imaginary` is not a bool.

    Source: FOSCAT's `fft_ang`; `docs/conventions.md`, "Angular reductions".
    """

    harmonics: int = eqx.field(static=True, default=1)
    imaginary: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        whole = isinstance(self.harmonics, int | np.integer)
        if not whole or isinstance(self.harmonics, bool) or self.harmonics < 0:
            raise ValueError(f"harmonics: got {self.harmonics!r}, expected an integer from 0 up")
        if not isinstance(self.imaginary, bool):
            raise ValueError(f"imaginary: got {self.imaginary!r}, expected True or False")

    def mean(self, statistics: ScatteringCovariance) -> ReducedCovariance:
        """Return the mean, and Fourier sums not divided by the number of orientations."""
        _check_whole(statistics, "statistics")
        basis = self._basis(statistics)
        sums = partial(jnp.einsum, "...l,hl->...h", precision="highest")
        return _reduce(statistics, self, lambda _, group: sums(group, basis))

    def sigma(self, errors: ScatteringCovariance) -> ReducedCovariance:
        """Return the standard errors of mean and sums, treating orientations as independent."""
        _check_errors(errors)
        basis = self._basis(errors)
        return _reduce(errors, self, lambda _, group: _norm(group[..., None, :] * basis))

    def labels(self, orientations: int) -> list[Index]:
        """Return the labels of the harmonics: `cos=0` for the mean, then cosines and sines."""
        if 2 * self.harmonics > orientations:
            raise ValueError(
                f"harmonics: got {self.harmonics} for {orientations} orientations, expected at "
                f"most {orientations // 2}"
            )
        labels = [{"cos": 0}]
        for k in range(1, self.harmonics + 1):
            labels.append({"cos": k})
            if self.imaginary and 2 * k < orientations:
                labels.append({"sin": k})
        return labels

    def _basis(self, statistics: ScatteringCovariance) -> Float[np.ndarray, "H L"]:
        """Return the weights of the orientations in every harmonic, in the coefficients' type."""
        orientations = statistics.orientations
        angles = 2 * np.pi * np.arange(orientations) / orientations
        functions = {"cos": np.cos, "sin": np.sin}
        labels = [item for label in self.labels(orientations) for item in label.items()]
        basis = np.stack([functions[name](k * angles) for name, k in labels])
        basis[0] /= orientations
        return basis.astype(statistics.s1.dtype)


def isotropic_spread(
    statistics: ScatteringCovariance, compatibility: Compatibility = None
) -> ReducedCovariance:
    """Measure the scatter of the orientations about the isotropic mean.

    Args:
        statistics: coefficients, or their standard errors.
        compatibility: as for `IsotropicMean`; "foscat" also ignores imaginary parts.

    Returns:
        real root mean square deviations, in the shapes of the isotropic mean; S0 is zero.

    Raises:
        ValueError: the coefficients are reduced already, or `compatibility` is unknown.

    Source: FOSCAT's `iso_std`; `docs/conventions.md`, "Angular reductions".
    """
    reduction = IsotropicMean(compatibility)
    _check_whole(statistics, "statistics")

    def spread(name: str, group: Array) -> Array:
        deviation = group - reduction._mean_of_group(name, group)[..., None]
        if compatibility == "foscat":
            square = reduction._mean_of_group(name, jnp.real(deviation) ** 2)
            return safe_sqrt(square + jnp.where(square > 0, _FOSCAT_FLOOR, 0.0))
        parts = jnp.concatenate([jnp.real(deviation), jnp.imag(deviation)], axis=-1)
        return _norm(parts) / np.sqrt(group.shape[-1])

    reduced = _reduce(statistics, reduction, spread)
    return replace(reduced, s0=jnp.zeros_like(reduced.s0))


def _reduce(
    statistics: ScatteringCovariance,
    reduction: Reduction,
    combine: Callable[[str, Array], Array],
) -> ReducedCovariance:
    """Apply `combine(name, group)` to S1 to S4, with `l2` on the last axis."""
    groups = {
        name.lower(): combine(name, _count_from_l2(name, jnp.asarray(group)))
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


def _norm(values: Float[Array, "*shape n"]) -> Float[Array, "*shape"]:
    """Return the Euclidean norm over the last axis."""
    largest = stop_gradient(jnp.abs(values).max(-1))
    # Scaled first: squares of small coefficients underflow in float32.
    unit = jnp.where(largest == 0, 1.0, largest)
    return unit * safe_sqrt(((values / unit[..., None]) ** 2).sum(-1))


def _check_whole(statistics: AbstractCoefficients, name: str) -> None:
    if not isinstance(statistics, ScatteringCovariance):
        raise ValueError(
            f"{name}: got {type(statistics).__name__}, expected a ScatteringCovariance that is "
            "not reduced"
        )


def _check_errors(errors: ScatteringCovariance) -> None:
    _check_whole(errors, "errors")
    for name, group in errors.groups().items():
        if jnp.iscomplexobj(group):
            raise ValueError(f"errors: got {name} of type {group.dtype}, expected real numbers")
