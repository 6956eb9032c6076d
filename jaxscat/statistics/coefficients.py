"""The scattering covariance of a map: five arrays, their names and their order."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from jaxscat.statistics.indices import scale_pairs, scale_triples


class ScatteringCovariance(eqx.Module):
    """The coefficients S0 to S4 of one map, or real arrays of the same shapes (standard errors).

    With several masks every array has a leading axis `M`. Only the scales that were asked for
    stand in S3 and S4; the first ones are the finest. It is a pytree: `jax.tree.map` is its
    arithmetic.

    Attributes:
        s0: mean of the map and standard error of that mean.
        s1: mean modulus of the wavelet coefficients.
        s2: mean squared modulus.
        s3: mean of a coefficient times the conjugate coefficient of a modulus, axes `(j2, j3)`,
            `l2`, `l3`.
        s4: mean product of the coefficients of two moduli, axes `(j1, j2, j3)`, `l2`, `l1`, `l3`.

    Source: Delouis et al. 2022, A&A 668, A122, section 3; `docs/conventions.md`, "Statistics".
    """

    s0: Float[Array, "*masks 2"]
    s1: Float[Array, "*masks J L"]
    s2: Float[Array, "*masks J L"]
    s3: Complex[Array, "*masks P L L"] | Float[Array, "*masks P L L"]
    s4: Complex[Array, "*masks T L L L"] | Float[Array, "*masks T L L L"]

    @property
    def scales(self) -> int:
        """Number of scales `J`."""
        return self.s1.shape[-2]

    @property
    def orientations(self) -> int:
        """Number of orientations `L`."""
        return self.s1.shape[-1]

    def groups(self) -> dict[str, Array]:
        """Return the five arrays by the names "S0" to "S4"."""
        return {"S0": self.s0, "S1": self.s1, "S2": self.s2, "S3": self.s3, "S4": self.s4}

    def ravel(self) -> Array:
        """Return all coefficients on one axis, S0 to S4, after the axis of masks if there is one.

        Returns:
            complex array when S3 and S4 are complex, real otherwise; ordered as `names`.
        """
        masks = self.s0.ndim - 1
        parts = [group.reshape(*group.shape[:masks], -1) for group in self.groups().values()]
        return jnp.concatenate(parts, axis=-1)

    def names(self) -> list[str]:
        """Return the name of every coefficient of one mask, in the order of `ravel`.

        A name gives scales and orientations, such as `S3 j2=0 j3=1 l2=2 l3=3`.
        """
        orientations = range(self.orientations)
        names = ["S0 mean", "S0 error"]
        for group in ("S1", "S2"):
            names += [f"{group} j={j} l={m}" for j in range(self.scales) for m in orientations]
        pairs = scale_pairs(self.scales)[: self.s3.shape[-3]]
        names += [
            f"S3 j2={j2} j3={j3} l2={l2} l3={l3}"
            for j2, j3 in pairs
            for l2 in orientations
            for l3 in orientations
        ]
        triples = scale_triples(self.scales)[: self.s4.shape[-4]]
        names += [
            f"S4 j1={j1} j2={j2} j3={j3} l1={l1} l2={l2} l3={l3}"
            for j1, j2, j3 in triples
            for l2 in orientations
            for l1 in orientations
            for l3 in orientations
        ]
        return names
