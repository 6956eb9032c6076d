"""The scattering covariance of one map or of two: its arrays, and the names of coefficients."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from jaxscat.statistics.independent import Dependence, all_independent, hermitian
from jaxscat.statistics.indices import covariance_scales, scale_pairs, scale_triples
from jaxscat.statistics.vector import (
    VectorLayout,
    check_vector,
    join_numbers,
    lay_out,
    number_count,
    number_names,
    restore_numbers,
    split_numbers,
)

Kind = Literal["auto", "cross"]
Index = dict[str, int]  # position of one coefficient on every named axis


class AbstractCoefficients(eqx.Module):
    """Groups of coefficients S0 to S4 (and S3P for two maps), before or after a reduction.

    With several masks every array has a leading axis `M`. S3 and S4 may be restricted to the
    finest scales. Coefficients are pytrees: do arithmetic with `jax.tree.map`, which refuses to
    mix kinds.
    """

    s0: eqx.AbstractVar[Array]
    s1: eqx.AbstractVar[Array]
    s2: eqx.AbstractVar[Array]
    s3: eqx.AbstractVar[Array]
    s4: eqx.AbstractVar[Array]
    s3p: eqx.AbstractVar[Array | None]
    both_triangles: eqx.AbstractVar[bool]
    kind: eqx.AbstractVar[Kind]

    def __post_init__(self):
        # Part of the tree's structure: a leaf of one kind would match the None of the other.
        self.kind = "auto" if self.s3p is None else "cross"

    @property
    def masks(self) -> int | None:
        """Number of masks on the leading axis; None if there is no such axis."""
        return self.s0.shape[0] if self.s0.ndim == 2 else None

    def groups(self) -> dict[str, Array]:
        """Return the arrays by name: "S0" to "S4", with "S3P" after "S3" for two maps."""
        crossed = {} if self.s3p is None else {"S3P": self.s3p}
        return {
            "S0": self.s0,
            "S1": self.s1,
            "S2": self.s2,
            "S3": self.s3,
            **crossed,
            "S4": self.s4,
        }

    def ravel(self) -> Array:
        """Concatenate all coefficients, S0 to S4, on one axis (after the axis of masks, if any).

        Returns:
            array in the order of `names`; complex if S3 and S4 are complex, else real.
        """
        masks = self.s0.ndim - 1
        parts = [group.reshape(*group.shape[:masks], -1) for group in self.groups().values()]
        kind = np.result_type(*[part.dtype for part in parts])  # real and complex groups
        return jnp.concatenate([part.astype(kind) for part in parts], axis=-1)

    def names(self) -> list[str]:
        """Return the name of every coefficient of one mask, in the order of `ravel`.

        A name consists of the group and the indices, such as `S3 j2=0 j3=1 l2=2 l3=3`.
        """
        return [
            " ".join([group, *(f"{axis}={at}" for axis, at in index.items())]) if index else name
            for group, index, name in self._entries()
        ]

    def to_vector(self) -> Float[Array, "*masks n"]:
        """Return the independent numbers of all coefficients on one axis, for inference.

        Of complex coefficients these are real and imaginary parts. The redundant half of S4 of one
        map, which is Hermitian in `(l1, l2)` where j1 = j2, is left out, and so are imaginary parts
        that are zero for every map. Both entries of S0 are there: the error of the mean measures
        the variance of the map, which no other coefficient gives. Standard errors, which are real,
        are all there, in the order of `ravel`.

        Returns:
            real numbers in the order of `vector_names`, after the axis of masks, if any;
            differentiable, also under transformations of JAX.

        Raises:
            ValueError: a reduction of one's own that is not linear.

        Examples:
            >>> import jaxscat, numpy as np
            >>> pyramid = jaxscat.build_pyramid(4)
            >>> statistics = jaxscat.measure(np.random.default_rng(0).normal(size=192), pyramid)
            >>> statistics.ravel().shape, statistics.to_vector().shape
            ((762,), (1114,))
            >>> statistics.vector_names()[-1]
            'Re S4 j1=2 j2=2 j3=2 l1=3 l2=3 l3=3'
            >>> restored = statistics.from_vector(statistics.to_vector())
            >>> bool(np.array_equal(restored.s3, statistics.s3))
            True

        Source: `docs/conventions.md`, "Vector of coefficients".
        """
        numbers = join_numbers(self.groups(), self.s0.ndim - 1)
        return numbers[..., self._layout().kept]

    def from_vector(self, vector: ArrayLike) -> Self:
        """Return the coefficients whose independent numbers are given.

        Args:
            vector: numbers as `to_vector` returns them; leading axes are those of the result.

        Returns:
            coefficients of the kind and the shapes of this object, whose values do not matter.

        Raises:
            ValueError: numbers that are not real, or another number of them.

        Source: `docs/conventions.md`, "Vector of coefficients".
        """
        layout = self._layout()
        numbers = restore_numbers(check_vector(vector, layout.kept.size), layout)
        groups = split_numbers(numbers, self.groups(), self.s0.ndim - 1)
        return replace(self, **{name.lower(): group for name, group in groups.items()})

    def vector_names(self) -> list[str]:
        """Return the name of every number of one mask, in the order of `to_vector`.

        Names are those of `names`, after "Re" or "Im" if the group is complex.
        """
        names = number_names(self.groups(), self.names(), self.s0.ndim - 1)
        return [names[at] for at in self._layout().kept]

    def table(self) -> dict[str, np.ndarray]:
        """Return all coefficients as the columns of a table, for pandas or NumPy.

        Returns:
            columns of equal length, in the order of `ravel`: `name` and `group` (text), `mask` if
            there is an axis of masks, an integer column for every axis (-1 where a group does not
            have that axis), and `value`.
        """
        entries = list(self._entries())
        axes = dict.fromkeys(axis for _, index, _ in entries for axis in index)
        columns = {
            "name": np.array(self.names()),
            "group": np.array([group for group, _, _ in entries]),
            **{
                axis: np.array([index.get(axis, -1) for _, index, _ in entries], dtype=int)
                for axis in axes
            },
        }
        values = np.asarray(self.ravel())
        if self.masks is None:
            return {**columns, "value": values}
        repeated = {name: np.tile(column, self.masks) for name, column in columns.items()}
        mask = np.repeat(np.arange(self.masks), len(entries))
        return {"mask": mask, **repeated, "value": values.reshape(-1)}

    def _entries(self) -> Iterator[tuple[str, Index, str]]:
        """Yield group, index and (if the index is empty) name of every coefficient."""
        for name in ("S0 mean", "S0 error"):
            yield "S0", {}, name
        for group in [name for name in self.groups() if name != "S0"]:
            for index in self._indices(group):
                yield group, index, ""

    def _layout(self) -> VectorLayout:
        return lay_out([self._dependence(name) for name in self.groups()])

    @abstractmethod
    def _indices(self, group: str) -> Iterator[Index]:
        """Yield the index of every coefficient of a group, in the order of its array."""

    @abstractmethod
    def _dependence(self, group: str) -> Dependence:
        """Return which numbers of a group are independent, and how the others follow."""


class ScatteringCovariance(AbstractCoefficients):
    """The coefficients S0 to S4 of one map or of two, or their standard errors (all real).

    With several masks every array has a leading axis `M`. S3 and S4 may be restricted to the
    finest scales. It is a pytree: do arithmetic with `jax.tree.map`.

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
            pair_scales: number of scales of S3 and S4; None for as many as there are.
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
