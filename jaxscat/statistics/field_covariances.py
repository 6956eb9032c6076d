"""The coefficients of several fields of one sky, by pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.fields.pairs import Pair, changes_sign, pair_name
from jaxscat.maps import check_kind
from jaxscat.statistics.arithmetic import Arithmetic, check_alike
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.reduction import ReducedCovariance, Reduction, check_whole
from jaxscat.statistics.vector import check_vector

Coefficients = ScatteringCovariance | ReducedCovariance


class FieldCovariances(Arithmetic):
    """Coefficients S0 to S4 of several fields, by pair; or their standard errors.

    The pair of a field with itself has the coefficients of that field alone. Those of
    the same pairs can be added, subtracted, and multiplied or divided by a real number.

    Attributes:
        statistics: coefficients of every pair, in the order of `pairs`.
        pairs: the fields of every pair; of two, S3 has coefficients of the first and moduli of the
            second, S3P the other way round.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> t, e, b = np.random.default_rng(0).normal(size=(3, 192))  # any NESTED maps
        >>> found = jaxscat.measure_fields({"T": t, "E": e, "B": b}, pyramid)
        >>> tuple(found.keys())
        ('TT', 'EE', 'BB', 'TE', 'TB', 'EB')
        >>> found["TE"].kind, found["TE"].s3p.shape
        ('cross', (6, 4, 4))

    Source: `docs/polarization.md`, "Statistics".
    """

    statistics: tuple[Coefficients, ...]
    pairs: tuple[Pair, ...] = eqx.field(static=True)

    def keys(self) -> tuple[str, ...]:
        """Return the names of the pairs, such as "TE", in the order of `pairs`.

        Source: `docs/polarization.md`, "Statistics".
        """
        return tuple(map(pair_name, self.pairs))

    def __getitem__(self, name: str) -> Coefficients:
        """Return the coefficients of a pair by its name.

        Raises:
            KeyError: there is no such pair; the message names those that there are.

        Source: `docs/polarization.md`, "Statistics".
        """
        found = dict(self.items())
        if name not in found:
            raise KeyError(f"got {name!r}, expected one of {', '.join(found)}")
        return found[name]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[str]:
        """Return an iterator over the names of the pairs."""
        return iter(self.keys())

    def items(self) -> Iterator[tuple[str, Coefficients]]:
        """Return an iterator over names and coefficients of the pairs.

        Source: `docs/polarization.md`, "Statistics".
        """
        return zip(self.keys(), self.statistics, strict=True)

    def ravel(self) -> Array:
        """Concatenate the coefficients of all pairs on one axis (after the axis of masks).

        Returns:
            array in the order of `names`; complex if S3 and S4 of any pair are, else real.

        Source: `docs/polarization.md`, "Statistics".
        """
        parts = [one.ravel() for one in self.statistics]
        kind = np.result_type(*[part.dtype for part in parts])
        return jnp.concatenate([part.astype(kind) for part in parts], axis=-1)

    def names(self) -> list[str]:
        """Return the name of every coefficient of one mask, in the order of `ravel`.

        A name is that of `ScatteringCovariance.names` after the pair: "TE S1 j=0 l=0". The names of
        the pairs are `keys`.

        Source: `docs/polarization.md`, "Statistics".
        """
        return [f"{pair} {name}" for pair, one in self.items() for name in one.names()]

    def to_vector(self) -> Float[Array, "*masks n"]:
        """Return the independent numbers of all pairs on one axis, as `ScatteringCovariance`.

        Source: `docs/conventions.md`, "Vector of coefficients".
        """
        parts = [one.to_vector() for one in self.statistics]
        kind = np.result_type(*[part.dtype for part in parts])
        return jnp.concatenate([part.astype(kind) for part in parts], axis=-1)

    def from_vector(self, vector: ArrayLike) -> FieldCovariances:
        """Return the coefficients whose independent numbers are given, by `to_vector`.

        Args:
            vector: as for `ScatteringCovariance.from_vector`.

        Raises:
            ValueError: numbers that are not real, or another number of them.

        Source: `docs/conventions.md`, "Vector of coefficients".
        """
        sizes = [len(one.vector_names()) for one in self.statistics]
        numbers = check_vector(vector, sum(sizes))
        parts = jnp.split(numbers, np.cumsum(sizes)[:-1], axis=-1)
        found = [one.from_vector(part) for one, part in zip(self.statistics, parts, strict=True)]
        return replace(self, statistics=tuple(found))

    def vector_names(self) -> list[str]:
        """Return the name of every number of one mask, in the order of `to_vector`.

        A name is that of `ScatteringCovariance.vector_names` after the pair: "TE Re S3 j2=0 ...".

        Source: `docs/conventions.md`, "Vector of coefficients".
        """
        return [f"{pair} {name}" for pair, one in self.items() for name in one.vector_names()]

    def table(self, errors: FieldCovariances | None = None) -> dict[str, np.ndarray]:
        """Return all coefficients as the columns of a table, for `pandas.DataFrame` or NumPy.

        Args:
            errors: their standard errors, or None.

        Returns:
            the columns of `ScatteringCovariance.table`, in the order of `ravel` and before them
            `pair` (text), and `parity`: "odd" where the mirror image of the sky has the other sign
            (with mirrored orientations), else "even".

        Raises:
            ValueError: errors of other pairs, of another kind or other shapes, or complex ones.

        Source: `docs/polarization.md`, "Statistics".
        """
        if errors is not None:
            check_kind(errors, FieldCovariances, "errors", "fields_standard_error, or None")
            check_alike(self, errors)
        tables = []
        for pair, (name, one) in zip(self.pairs, self.items(), strict=True):
            its_errors: Any = None if errors is None else errors[name]
            table = one.table(its_errors)
            parity = ["odd" if changes_sign(pair, of) else "even" for of in table["group"]]
            # The error of the mean has no sign.
            is_error = table["name"] == "S0 error"
            parity = np.where(is_error, "even", np.array(parity))
            size = table["value"].size
            tables.append({"pair": np.full(size, name), "parity": parity, **table})
        columns = dict.fromkeys(name for table in tables for name in table)
        for last in ("real", "imaginary", "value", "error"):
            if last in columns:
                columns[last] = columns.pop(last)
        missing = {name: -1 for name in columns}
        return {
            name: np.concatenate(
                [table.get(name, np.full(table["value"].size, missing[name])) for table in tables]
            )
            for name in columns
        }

    def reduced(self, reduction: Reduction) -> FieldCovariances:
        """Return the coefficients with combined orientations (not of standard errors).

        Raises:
            ValueError: they are reduced already, or `reduction` is no Reduction.

        Source: `docs/conventions.md`, "Angular reductions".
        """
        check_kind(reduction, Reduction, "reduction", "a Reduction such as IsotropicMean()")
        found = []
        for one in self.statistics:
            check_whole(one, "statistics")
            assert isinstance(one, ScatteringCovariance)
            found.append(reduction.mean(one))
        return replace(self, statistics=tuple(found))
