"""What coefficients S0 to S4 are, before and after a reduction: groups, names, vectors, tables."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import check_kind
from jaxscat.statistics.arithmetic import Arithmetic, check_alike
from jaxscat.statistics.independent import Dependence
from jaxscat.statistics.labelled import label_groups
from jaxscat.statistics.vector import (
    VectorLayout,
    check_vector,
    join_numbers,
    lay_out,
    number_names,
    restore_numbers,
    split_numbers,
)

if TYPE_CHECKING:
    import xarray

Kind = Literal["auto", "cross"]
Index = dict[str, int]  # position of one coefficient on every named axis


class AbstractCoefficients(Arithmetic):
    """Groups of coefficients S0 to S4 (and S3P for two maps), before or after a reduction.

    With several masks every array has a leading axis `M`. S3 and S4 may be restricted to the
    finest scales. Coefficients of one kind can be added, subtracted, and multiplied or divided by
    a real number; they are pytrees, and `jax.tree.map` does anything else.
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
        """Return the arrays by name: "S0" to "S4", with "S3P" after "S3" for two maps.

        Source: `docs/conventions.md`, "Order of coefficients".
        """
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

        Source: `docs/conventions.md`, "Order of coefficients".
        """
        masks = self.s0.ndim - 1
        parts = [group.reshape(*group.shape[:masks], -1) for group in self.groups().values()]
        kind = np.result_type(*[part.dtype for part in parts])  # real and complex groups
        return jnp.concatenate([part.astype(kind) for part in parts], axis=-1)

    def names(self) -> list[str]:
        """Return the name of every coefficient of one mask, in the order of `ravel`.

        A name consists of the group and the indices, such as `S3 j2=0 j3=1 l2=2 l3=3`.

        Source: `docs/conventions.md`, "Order of coefficients".
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

        Source: `docs/conventions.md`, "Vector of coefficients".
        """
        names = number_names(self.groups(), self.names(), self.s0.ndim - 1)
        return [names[at] for at in self._layout().kept]

    def table(self, errors: Self | None = None) -> dict[str, np.ndarray]:
        """Return all coefficients as the columns of a table, for `pandas.DataFrame` or NumPy.

        Args:
            errors: their standard errors, or None.

        Returns:
            columns of equal length, in the order of `ravel`: `name` and `group` (text), `mask` if
            there is an axis of masks, an integer column for every axis (-1 where a group does not
            have that axis), `real` and `imaginary` part, both as `value`, and with `errors` their
            `error`.

        Raises:
            ValueError: errors of another kind or other shapes, or complex ones.

        Examples:
            >>> import jaxscat, numpy as np
            >>> pyramid = jaxscat.build_pyramid(4)
            >>> map = np.random.default_rng(0).normal(size=192)
            >>> errors = jaxscat.standard_error(map, pyramid)
            >>> table = jaxscat.measure(map, pyramid).table(errors)
            >>> list(table)[-4:], len(table["error"])
            (['real', 'imaginary', 'value', 'error'], 762)

        Source: `docs/conventions.md`, "Order of coefficients".
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
        if self.masks is not None:
            repeated = {name: np.tile(column, self.masks) for name, column in columns.items()}
            columns = {"mask": np.repeat(np.arange(self.masks), len(entries)), **repeated}
        values = np.asarray(self.ravel()).reshape(-1)
        columns |= {"real": np.real(values), "imaginary": np.imag(values), "value": values}
        if errors is None:
            return columns
        check_kind(errors, AbstractCoefficients, "errors", "standard errors, or None")
        check_alike(self, errors)
        found = np.asarray(errors.ravel()).reshape(-1)
        if np.iscomplexobj(found):
            raise ValueError("errors: got complex numbers, expected real ones of standard_error")
        return {**columns, "error": found}

    def to_xarray(self, errors: Self | None = None) -> "xarray.Dataset":
        """Return the coefficients as an `xarray.Dataset` with named axes (extra `xarray`).

        Args:
            errors: their standard errors, or None.

        Returns:
            variables "S0" to "S4" (S3P of two maps) and, with `errors`, "S0_error" and so on. Their
            axes are `mask` if there are several, `j` or `j1`, `j2`, `j3`, and `l` or `l1`, `l2`,
            `l3` (after a reduction `d` or `d1`, `d2`, and `harmonic`). Combinations of scales that
            are not measured, such as j2 > j3, are NaN.

        Raises:
            ValueError: xarray is missing; errors of another kind or other shapes.

        Source: `docs/conventions.md`, "Order of coefficients".
        """
        if errors is not None:
            check_kind(errors, AbstractCoefficients, "errors", "standard errors, or None")
            check_alike(self, errors)
        indices = {group: list(self._indices(group)) for group in self.groups() if group != "S0"}
        return label_groups(
            self.groups(), None if errors is None else errors.groups(), indices, self.masks
        )

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
