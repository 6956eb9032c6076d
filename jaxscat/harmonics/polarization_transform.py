"""Maps of Q and U as a linear, differentiable function of maps of E and B, and the reverse."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxscat.harmonics.polarization import ITERATIONS, check_band_limit, check_iterations
from jaxscat.harmonics.spin_tables import SpinTables, spin_harmonic_tables
from jaxscat.harmonics.spin_transform import spin_analysis, spin_overlap, spin_synthesis
from jaxscat.harmonics.tables import LARGEST_NSIDE, check_precision, expand_gains
from jaxscat.harmonics.transform import analysis, harmonic_overlap, synthesis
from jaxscat.maps import check_nside

_ITERATIONS_OF_FLOAT32 = 5  # more change less than rounding does

Coefficients = Float[Array, "2 k 2 rows 2 2"]
Maps = Float[Array, "2 p"]


class PolarizationTransform(eqx.Module):
    """Linear functions between maps of E, B and of Q, U, for use in a loss.

    They are those of `qu_from_eb` and `eb_from_qu`, differentiable in the maps in forward and
    reverse mode; tables are constants. A gradient costs what the function does.

    Attributes:
        tables: harmonic tables of the nside, up to lmax or 2 nside, or one more.
        band: one for the coefficients that are fitted, up to lmax or 2 nside, zero for the others.
        kept: one for those up to lmax; None if all that are fitted are.
        lmax: last multipole.
        iterations: number of Jacobi iterations of every analysis.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """

    tables: SpinTables
    band: Float[Array, "k 2 rows 2"]
    kept: Float[Array, "k 2 rows 2"] | None
    lmax: int = eqx.field(static=True)
    iterations: int = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        nside: int,
        *,
        lmax: int | None = None,
        dtype: DTypeLike = np.float32,
        iterations: int | None = None,
    ) -> "PolarizationTransform":
        """Build the transform of one nside.

        Args:
            nside: of the maps, 2 to 256.
            lmax: last multipole, from 2 to 3 nside - 1; 2 nside by default.
            dtype: float32 or float64.
            iterations: number of Jacobi iterations of every analysis; by default 12 in float64, as
                many as `eb_from_qu` has, and 5 in float32, which rounds what more would change.

        Raises:
            ValueError: an nside that has no tables, or a band limit, a type or a number of
                iterations that is not possible.
        """
        nside = check_nside(nside)
        if not 2 <= nside <= LARGEST_NSIDE:
            raise ValueError(f"nside: got {nside}, expected 2 to {LARGEST_NSIDE} for polarization")
        lmax = check_band_limit(lmax, nside)
        precision = check_precision(dtype)
        if iterations is None:
            iterations = ITERATIONS if precision == np.float64 else _ITERATIONS_OF_FLOAT32
        fitted = max(lmax, 2 * nside)
        last = fitted + 1 - fitted % 2  # of the tables it is odd
        band, kept = (
            jnp.asarray(expand_gains(nside, np.arange(last + 1) <= limit), precision)
            for limit in (fitted, lmax)
        )
        return cls(
            tables=spin_harmonic_tables(nside, precision, last),
            band=band,
            kept=None if lmax == fitted else kept,
            lmax=lmax,
            iterations=check_iterations(iterations),
        )

    @property
    def nside(self) -> int:
        """Nside of the maps."""
        return self.tables.scalar.owner.shape[1]

    def qu_of_eb(
        self, e: Float[Array, " p"], b: Float[Array, " p"]
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the NESTED maps Q and U, in the COSMO convention, of maps E and B.

        Args:
            e: NESTED map of the whole sphere, in the precision of the tables. Multipoles below 2
                and beyond lmax have no effect.
            b: the same of B.

        Raises:
            ValueError: maps of another shape.

        Source: `docs/polarization.md`, "Spin-2 transform".
        """

        def solve(_: Any, maps: Maps) -> Maps:
            products = self._scalar_analysis(_without_mean(maps))
            found = self._inverted(products, self._scalar_overlap)
            return self._spin_synthesis(self._cut(found))

        def transposed(_: Any, maps: Maps) -> Maps:
            products = self._cut(self._spin_analysis(maps))
            found = self._inverted(products, self._scalar_overlap)
            return _without_mean(self._scalar_synthesis(found))

        return self._declared(solve, transposed, {"e": e, "b": b})

    def eb_of_qu(
        self, q: Float[Array, " p"], u: Float[Array, " p"]
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the NESTED maps E and B of maps Q and U, which are zero below l = 2.

        Args:
            q: NESTED map of the whole sphere, in the precision of the tables.
            u: the same, in the COSMO convention.

        Raises:
            ValueError: maps of another shape.

        Source: `docs/polarization.md`, "Spin-2 transform".
        """

        def solve(_: Any, maps: Maps) -> Maps:
            products = self._spin_analysis(maps)
            found = self._inverted(products, self._spin_overlap)
            return self._scalar_synthesis(self._cut(found))

        def transposed(_: Any, maps: Maps) -> Maps:
            products = self._cut(self._scalar_analysis(maps))
            return self._spin_synthesis(self._inverted(products, self._spin_overlap))

        return self._declared(solve, transposed, {"q": q, "u": u})

    def _declared(
        self,
        solve: Callable[[Any, Maps], Maps],
        transposed: Callable[[Any, Maps], Maps],
        maps: dict[str, Array],
    ) -> tuple[Array, Array]:
        """Apply a linear function whose transpose is known to two maps."""
        for name, map in maps.items():
            if jnp.shape(map) != (12 * self.nside**2,):
                raise ValueError(
                    f"{name}: got an array of shape {jnp.shape(map)}, expected one map of shape "
                    f"({12 * self.nside**2},) (nside {self.nside})"
                )
        # Declared as the solution of a linear system, with the transposed solution, so that JAX
        # does not transpose the program, which takes longer (see `isotropic_filter`).
        first, second = jax.lax.custom_linear_solve(
            lambda values: values, jnp.stack(list(maps.values())), solve, transposed
        )
        return first, second

    def _inverted(
        self, products: Coefficients, overlap: Callable[[Coefficients], Coefficients]
    ) -> Coefficients:
        """Return coefficients whose map has some products with all harmonics, by iteration."""

        def refine(_: Any, found: Coefficients) -> Coefficients:
            return found + products - overlap(found)

        return jax.lax.fori_loop(0, self.iterations, refine, products)

    def _cut(self, coefficients: Coefficients) -> Coefficients:
        """Return coefficients up to lmax only."""
        return coefficients if self.kept is None else self.kept[..., None] * coefficients

    def _weighted(self, products: Coefficients) -> Coefficients:
        """Return first estimates of coefficients within the band from scalar products."""
        return (np.pi / (3 * self.nside**2)) * self.band[..., None] * products

    def _scalar_analysis(self, maps: Maps) -> Coefficients:
        return self._weighted(jax.vmap(lambda map: analysis(self.tables.scalar, map))(maps))

    def _scalar_overlap(self, coefficients: Coefficients) -> Coefficients:
        overlap = jax.vmap(lambda one: harmonic_overlap(self.tables.scalar, one))
        return self._weighted(overlap(coefficients))

    def _scalar_synthesis(self, coefficients: Coefficients) -> Maps:
        return jax.vmap(lambda one: synthesis(self.tables.scalar, one))(coefficients)

    def _spin_analysis(self, maps: Maps) -> Coefficients:
        return self._weighted(jnp.stack(spin_analysis(self.tables, *maps)))

    def _spin_overlap(self, coefficients: Coefficients) -> Coefficients:
        return self._weighted(spin_overlap(self.tables, coefficients))

    def _spin_synthesis(self, coefficients: Coefficients) -> Maps:
        return jnp.stack(spin_synthesis(self.tables, *coefficients))


def _without_mean(maps: Maps) -> Maps:
    """Return maps less their means, which would leak to all multipoles."""
    return maps - jnp.mean(maps, axis=-1, keepdims=True)
