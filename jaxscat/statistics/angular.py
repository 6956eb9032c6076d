"""Angular reductions: means and harmonics over a common rotation of all orientations."""

from dataclasses import replace
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Float, Inexact

from jaxscat.maps import plain_integer
from jaxscat.statistics.abstract_coefficients import Index
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.moments import safe_sqrt
from jaxscat.statistics.reduction import ReducedCovariance, Reduction, check_whole, reduce_groups

Compatibility = Literal["foscat"] | None

# FOSCAT divides sums over the orientations of S3 by this, whatever their number.
_FOSCAT_DIVISOR = 4
_FOSCAT_FLOOR = 1e-16  # FOSCAT adds it under the square root of a spread


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

    def mean_of_group(
        self, name: str, group: Inexact[Array, "*axes L"]
    ) -> Inexact[Array, "*reduced"]:
        """Return the means over `l2` at fixed differences, without an axis of harmonics."""
        squeezed = self.compatibility == "foscat" and name in ("S3", "S3P")
        return group.sum(-1) / (_FOSCAT_DIVISOR if squeezed else group.shape[-1])

    def sigma_of_group(self, name: str, group: Float[Array, "*axes L"]) -> Float[Array, "*reduced"]:
        """Return the standard errors of the means, treating orientations as independent."""
        if self.compatibility == "foscat":  # FOSCAT's synthesis reduces errors like coefficients.
            return self.mean_of_group(name, group)
        return _norm(group) / group.shape[-1]

    def labels(self, orientations: int) -> list[Index]:
        """Return one empty label: there is no axis of harmonics."""
        return [{}]


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

    harmonics: int = eqx.field(static=True, converter=plain_integer, default=1)
    imaginary: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        whole = isinstance(self.harmonics, int | np.integer)
        if not whole or isinstance(self.harmonics, bool) or self.harmonics < 0:
            raise ValueError(f"harmonics: got {self.harmonics!r}, expected an integer from 0 up")
        if not isinstance(self.imaginary, bool):
            raise ValueError(f"imaginary: got {self.imaginary!r}, expected True or False")

    def mean_of_group(
        self, name: str, group: Inexact[Array, "*axes L"]
    ) -> Inexact[Array, "*reduced"]:
        """Return the mean, and Fourier sums not divided by the number of orientations."""
        basis = self._basis(group).astype(group.dtype)
        return jnp.einsum("...l,hl->...h", group, basis, precision="highest")

    def sigma_of_group(self, name: str, group: Float[Array, "*axes L"]) -> Float[Array, "*reduced"]:
        """Return the standard errors of mean and sums, treating orientations as independent."""
        basis = self._basis(group)
        return _norm(group[..., None, :] * basis.reshape(*[1] * (group.ndim - 1), *basis.shape))

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

    def _basis(self, group: Array) -> Float[np.ndarray, "H L"]:
        """Return the weights of the orientations in every harmonic, in the coefficients' type."""
        orientations = group.shape[-1]
        angles = 2 * np.pi * np.arange(orientations) / orientations
        functions = {"cos": np.cos, "sin": np.sin}
        labels = [item for label in self.labels(orientations) for item in label.items()]
        basis = np.stack([functions[name](k * angles) for name, k in labels])
        basis[0] /= orientations
        return basis.astype(group.real.dtype)


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
    check_whole(statistics, "statistics")
    return _spread(statistics, reduction)


@partial(jax.jit, static_argnames="reduction")
def _spread(statistics: ScatteringCovariance, reduction: IsotropicMean) -> ReducedCovariance:
    def spread(name: str, group: Array) -> Array:
        deviation = group - reduction.mean_of_group(name, group)[..., None]
        if reduction.compatibility == "foscat":
            square = reduction.mean_of_group(name, jnp.real(deviation) ** 2)
            return safe_sqrt(square + jnp.where(square > 0, _FOSCAT_FLOOR, 0.0))
        parts = jnp.concatenate([jnp.real(deviation), jnp.imag(deviation)], axis=-1)
        return _norm(parts) / float(np.sqrt(group.shape[-1]))

    reduced = reduce_groups(statistics, reduction, spread)
    return replace(reduced, s0=jnp.zeros_like(reduced.s0))


def _norm(values: Float[Array, "*shape n"]) -> Float[Array, "*shape"]:
    """Return the Euclidean norm over the last axis."""
    largest = stop_gradient(jnp.abs(values).max(-1))
    # Scaled first: squares of small coefficients underflow in float32.
    unit = jnp.where(largest == 0, 1.0, largest)
    return unit * safe_sqrt(((values / unit[..., None]) ** 2).sum(-1))
