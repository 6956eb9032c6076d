"""The scattering covariance of one map or of two."""

from collections.abc import Iterator
from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from jaxscat.maps import describe
from jaxscat.statistics.abstract_coefficients import AbstractCoefficients, Index, Kind
from jaxscat.statistics.independent import Dependence, all_independent, hermitian
from jaxscat.statistics.indices import covariance_scales, scale_pairs, scale_triples
from jaxscat.statistics.vector import number_count


class ScatteringCovariance(AbstractCoefficients):
    """The coefficients S0 to S4 of one map or of two, or their standard errors (all real).

    With several masks every array has a leading axis `M`. S3 and S4 may be restricted to the
    finest scales. Coefficients of one kind can be added, subtracted, and multiplied or divided by
    a real number; they are a pytree, and `jax.tree.map` does anything else.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> one, other = np.random.default_rng(0).normal(size=(2, 192))
        >>> mean = (jaxscat.measure(one, pyramid) + jaxscat.measure(other, pyramid)) / 2
        >>> (mean - mean).s4.shape, bool((2 * mean - mean).s2.sum() > 0)
        ((10, 4, 4, 4), True)

    Attributes:
        s0: mean of the map and standard error of that mean (cross: of the signed root of the
            product of the maps).
        s1: mean modulus of the wavelet coefficients (cross: signed root of their product).
        s2: mean squared modulus (cross: real part of the product).
        s3: mean of a coefficient times the conjugate coefficient of a modulus, axes `(j2, j3)`,
            `l2`, `l3` (cross: coefficient of the first map, modulus of the second).
        s4: mean product of the coefficients of two moduli, axes `(j1, j2, j3)`, `l2`, `l1`, `l3`
            (cross: `j1` of the first map, `j2` of the second).
        s3p: cross only: as S3, with the maps exchanged.
        both_triangles: whether S4 includes j1 > j2.
        kind: "auto" for coefficients of one map, "cross" for those of two.

    Source: Delouis et al. 2022, A&A 668, A122, section 3; `docs/conventions.md`, "Statistics".
    """

    s0: Float[Array, "*masks 2"]
    s1: Float[Array, "*masks J L"]
    s2: Float[Array, "*masks J L"]
    s3: Complex[Array, "*masks P L L"] | Float[Array, "*masks P L L"]
    s4: Complex[Array, "*masks T L L L"] | Float[Array, "*masks T L L L"]
    s3p: Complex[Array, "*masks P L L"] | Float[Array, "*masks P L L"] | None = None
    both_triangles: bool = eqx.field(static=True, default=False)
    kind: Kind = eqx.field(static=True, init=False)

    @property
    def scales(self) -> int:
        """Number of scales `J`."""
        return self.s1.shape[-2]

    @property
    def orientations(self) -> int:
        """Number of orientations `L`."""
        return self.s1.shape[-1]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Scales `(j2, j3)` along the first axis of S3."""
        return scale_pairs(covariance_scales(self.s3.shape[-3]))

    @property
    def triples(self) -> list[tuple[int, int, int]]:
        """Scales `(j1, j2, j3)` along the first axis of S4."""
        return scale_triples(covariance_scales(self.s3.shape[-3]), self.both_triangles)

    def finest(self, scales: int, pair_scales: int | None = None) -> "ScatteringCovariance":
        """Return the coefficients of the finest scales only.

        Args:
            scales: number of scales of S1 and S2, at most those there are.
            pair_scales: number of scales of S3 and S4, at most those there are; None for `scales`
                of them.

        Source: `docs/conventions.md`, "Order of coefficients".
        """
        there = covariance_scales(self.s3.shape[-3])
        kept = min(there, scales) if pair_scales is None else min(there, pair_scales)
        pairs, triples = len(scale_pairs(kept)), len(scale_triples(kept, self.both_triangles))
        return replace(
            self,
            s1=self.s1[..., :scales, :],
            s2=self.s2[..., :scales, :],
            s3=self.s3[..., :pairs, :, :],
            s4=self.s4[..., :triples, :, :, :],
            s3p=None if self.s3p is None else self.s3p[..., :pairs, :, :],
        )

    def _indices(self, group: str) -> Iterator[Index]:
        orientations = range(self.orientations)
        if group in ("S1", "S2"):
            for j in range(self.scales):
                for m in orientations:
                    yield {"j": j, "l": m}
        elif group in ("S3", "S3P"):
            for j2, j3 in self.pairs:
                for l2 in orientations:
                    for l3 in orientations:
                        yield {"j2": j2, "j3": j3, "l2": l2, "l3": l3}
        else:
            for j1, j2, j3 in self.triples:
                for l2 in orientations:
                    for l1 in orientations:
                        for l3 in orientations:
                            yield {"j1": j1, "j2": j2, "j3": j3, "l1": l1, "l2": l2, "l3": l3}

    def _dependence(self, group: str) -> Dependence:
        if group == "S4" and self.kind == "auto" and jnp.iscomplexobj(self.s4):
            return hermitian(self.triples, self.orientations)
        return all_independent(number_count(self.groups()[group], self.s0.ndim - 1))


def check_statistics(
    statistics: object, name: str, expected: str = "a ScatteringCovariance that is not reduced"
) -> None:
    """Refuse what are no coefficients of one map or of two, of all orientations.

    Raises:
        ValueError: it begins with `name`, and says where coefficients are if they are inside.
    """
    if not isinstance(statistics, ScatteringCovariance):
        inside = isinstance(getattr(statistics, "statistics", None), ScatteringCovariance)
        where = f" ({name}.statistics is one)" if inside else ""
        raise ValueError(f"{name}: got {describe(statistics)}, expected {expected}{where}")
