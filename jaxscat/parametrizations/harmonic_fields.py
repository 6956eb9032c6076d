"""Several maps as a function of fields that are white noise if the maps have given spectra."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jaxscat.fields.pairs import (
    Pair,
    check_fields,
    check_pairs,
    check_parity,
    common_spectra,
)
from jaxscat.harmonics.cross_spectra import spectrum_matrices
from jaxscat.harmonics.spectra import power_beyond
from jaxscat.harmonics.tables import (
    HarmonicTables,
    check_precision,
    harmonic_tables,
    multipole_rows,
)
from jaxscat.harmonics.transform import analysis, synthesis
from jaxscat.maps import check_map, check_mask, cover_hidden, describe, npix_to_nside, to_real
from jaxscat.parametrizations.harmonic import BEYOND, check_form_nside
from jaxscat.parametrizations.inverse_filter import invert_mixing
from jaxscat.parametrizations.parametrization import Parametrization

# A multipole has so many modes for every field at least, if its cross spectra are held too.
_MODES_OF_A_FIELD = 3
# Of white noise: a multipole in which a field has less is not raised any more.
_LEAST_POWER = 1e-6
_FLOOR = 1e-4
# Error up to which the fields of given maps will do: holding the spectra changes them more.
_FOUND = 0.01


class HarmonicFields(Parametrization):
    """Maps of several fields whose power and cross spectra are those of originals, whatever else.

    As `Harmonic`, with a matrix for every multipole: of white fields u the maps, in units of their
    spreads, are Y (R H - beyond) Y^+ u + beyond u, where R_l is the symmetric root of the spectra
    of the originals and H_l brings the spectra of u to those of white noise.

    Attributes:
        tables: of the harmonics.
        roots: R_l for l = 0 ... 3 nside - 1.
        beyond: what these multipoles cannot describe, for every field.
        mean, spread: of the originals.
        multipoles: l of every coefficient, 3 nside where there is none.
        names: of the fields, in the order of the arrays.

    Source: `docs/polarization.md`, "Harmonic form".
    """

    tables: HarmonicTables
    roots: Float[Array, "l f f"]
    beyond: Float[Array, " f"]
    mean: Float[Array, " f"]
    spread: Float[Array, " f"]
    multipoles: Int[Array, "k 2 rows 2"]
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def nside(self) -> int:
        """Nside of the maps."""
        return self.roots.shape[0] // 3

    @property
    def size(self) -> int:
        """Number of pixels of all fields."""
        return 12 * self.nside**2 * len(self.names)

    def maps(self, parameters: Float[Array, " n"]) -> dict[str, Float[Array, " p"]]:
        """Return the NESTED maps of white fields, in the units of the originals.

        Args:
            parameters: the fields one after the other, numbers of order one.

        Source: `docs/polarization.md`, "Harmonic form".
        """
        white = parameters.reshape(len(self.names), -1)
        orthonormal = 4 * np.pi / white.shape[1]
        coefficients = jax.vmap(lambda one: analysis(self.tables, one))(white)
        gains = self._holding_roots(coefficients, orthonormal) - jnp.diag(self.beyond)
        # The last row is for places without a multipole.
        gains = jnp.pad(gains * orthonormal, ((0, 1), (0, 0), (0, 0)))[self.multipoles]
        filtered = jnp.einsum("khlofg,gkhloc->fkhloc", gains, coefficients, precision="highest")
        maps = jax.vmap(lambda one: synthesis(self.tables, one))(filtered)
        maps = maps + self.beyond[:, None] * white
        maps = self.mean[:, None] + self.spread[:, None] * maps
        return {name: maps[place] for place, name in enumerate(self.names)}

    def _holding_roots(
        self, coefficients: Float[Array, "f k 2 rows 2 2"], orthonormal: float
    ) -> Float[Array, "l f f"]:
        """Return matrices with which the spectra are those of the originals."""
        count, fields = self.roots.shape[:2]
        places = self.multipoles.ravel()

        def spectrum(one: Array, other: Array) -> Float[Array, " l"]:
            product = jnp.sum(one * other, axis=-1).ravel()
            sums = jax.ops.segment_sum(product, places, count + 1)[:count]
            return sums * orthonormal / (2 * np.arange(count) + 1).astype(sums.dtype)

        found = {
            (i, j): spectrum(coefficients[i], coefficients[j])
            for i in range(fields)
            for j in range(i + 1)
        }
        whitening = _inverse_root(found, fields)
        both = jnp.einsum("lij,ljk->lik", self.roots, whitening, precision="highest")
        # Few modes: the power of each field only.
        power = jnp.sqrt(jnp.sum(self.roots**2, axis=-1))
        own = jnp.stack(
            [power[:, i] / jnp.sqrt(jnp.maximum(found[i, i], _LEAST_POWER)) for i in range(fields)],
            axis=-1,
        )
        # The monopole is the mean, which S0 fixes.
        own = own.at[0].set(power[0])
        few = 2 * np.arange(count) + 1 < _MODES_OF_A_FIELD * fields
        return jnp.where(few[:, None, None], own[:, :, None] * np.eye(fields), both).astype(
            self.roots.dtype
        )

    def parameters(self, maps: Mapping[str, ArrayLike]) -> Float[np.ndarray, " n"]:
        """Return the white fields of maps, on the host: the inverse of the method `maps`.

        The maps of these fields are the given ones with their spectra brought to those of the
        originals.

        Args:
            maps: NESTED maps by field, in the units of the originals.

        Raises:
            ValueError: a field is missing or is no map (see `check_map`), or so far from the
                spectra that its field is not found.

        Source: `docs/polarization.md`, "Harmonic form".
        """
        precision = self.roots.dtype
        given = []
        for place, name in enumerate(self.names):
            if not isinstance(maps, Mapping) or name not in maps:
                raise ValueError(
                    f"maps: got {describe(maps)}, expected maps of {', '.join(self.names)}"
                )
            map = check_map(maps[name], name=name, nside=self.nside, allow_constant=True)
            centred = map.astype(np.float64) - float(self.mean[place])
            given.append(centred / float(self.spread[place]))
        found, error = invert_mixing(
            np.asarray(self.roots, np.float64), np.asarray(self.beyond, np.float64), np.stack(given)
        )
        if error > _FOUND:
            raise ValueError(
                f"maps: got such whose white fields are found to {error:.1g} of their spread only, "
                "expected maps whose power spectra are like those of the originals, such as "
                "jaxscat.gaussian_fields(originals, seed); another seed may do, and a synthesis "
                "of pixels (form=None) takes any"
            )
        return found.ravel().astype(precision)


def harmonic_fields_form(
    originals: Mapping[str, Float[np.ndarray, " p"]],
    *,
    dtype: DTypeLike = np.float32,
    footprint: Float[np.ndarray, " p"] | None = None,
    pairs: Sequence[str | Pair] | None = None,
    parity: str = "all",
) -> HarmonicFields:
    """Return the form in which maps of several fields have all spectra of the originals.

    All maps of the form have the power spectra of the originals from l = 1 up, and their cross
    spectra up to l = 2 nside in multipoles with three modes for every field (l = 4 up for T, E and
    B).

    Args:
        originals: NESTED maps of the whole sphere by field, in any unit.
        dtype: float32 or float64, that of the pyramid.
        footprint: weights of the pixels in spectra, means and spreads, such as a mask.
        pairs: of which cross spectra are held, such as `["TT", "TE"]`; those of others are zero.
            None for all.
        parity: "even" sets the cross spectra that a mirror changes (TB, EB) to zero.

    Raises:
        ValueError: no maps by field, a map that is not one of nside 2 to 256 or is constant inside
            the footprint, no mask, or a bad `dtype`, `parity` or pair.

    Source: `docs/polarization.md`, "Harmonic form".
    """
    check_precision(dtype)
    names = check_fields(originals, "originals")
    check_parity(parity, names)
    named = None if pairs is None else check_pairs(pairs, names)
    first = to_real(originals[names[0]], name=f"originals[{names[0]!r}]")
    nside = npix_to_nside(first.size, name=f"originals[{names[0]!r}]")
    check_form_nside(nside, name="originals: nside")
    weights = None
    if footprint is not None:
        weights = check_mask(footprint, first.size, name="footprint")
        if weights.ndim != 1:
            raise ValueError(f"footprint: got shape {weights.shape}, expected (npix,)")
    maps = np.stack([_checked(originals[name], name, nside, weights) for name in names])
    mean = np.average(maps, weights=weights, axis=1)
    centred = maps - mean[:, None]
    spread = np.sqrt(np.average(centred**2, weights=weights, axis=1))
    roots, beyond = _build_roots(
        centred / spread[:, None], weights, common_spectra(names, named, parity)
    )
    rows = np.moveaxis(multipole_rows(nside), 0, -1)
    return HarmonicFields(
        tables=harmonic_tables(nside, dtype),
        roots=jnp.asarray(roots, dtype),
        beyond=jnp.asarray(beyond, dtype),
        mean=jnp.asarray(mean, dtype),
        spread=jnp.asarray(spread, dtype),
        multipoles=jnp.asarray(np.where(rows >= 0, rows, 3 * nside), jnp.int32),
        names=names,
    )


def _checked(
    original: ArrayLike, name: str, nside: int, weights: Float[np.ndarray, " p"] | None
) -> Float[np.ndarray, " p"]:
    label = f"originals[{name!r}]"
    map: Any = to_real(original, name=label)
    if weights is not None:
        map = cover_hidden(map, weights, name=label)
    return check_map(map, name=label, nside=nside).astype(np.float64)


def _build_roots(
    maps: Float[np.ndarray, "f p"],
    weights: Float[np.ndarray, " p"] | None,
    common: Bool[np.ndarray, "f f"],
) -> tuple[Float[np.ndarray, "l f f"], Float[np.ndarray, " f"]]:
    """Return the roots of the spectra of maps of unit spread, and the levels beyond."""
    fields, per_pixel = len(maps), maps.shape[1] / (4 * np.pi)
    spectra = spectrum_matrices(maps, weights) * common
    beyond = np.array(
        [
            np.clip(power_beyond(spectra[:, i, i], 1.0), *(BEYOND * spectra[-1, i, i]))
            for i in range(fields)
        ]
    )
    # Beyond, pixels tell multipoles apart badly, and maps of E and B have no power.
    spectra[2 * len(spectra) // 3 + 1 :] *= np.eye(fields)
    values, vectors = np.linalg.eigh(spectra * per_pixel)
    values = np.maximum(np.sqrt(np.maximum(values, 0)), _FLOOR)
    roots = np.einsum("lik,lk,ljk->lij", vectors, values, vectors)
    # As easy to change as the largest scales are: the spread is one.
    roots[0] = np.diag(np.maximum(np.sqrt(np.sum(roots[1] ** 2, axis=-1)), 1.0))
    # Y^+ is a poor inverse near the last multipole: with more, the filter had no inverse.
    least = np.einsum("lii->li", roots)[2 * len(values) // 3 + 1 :].min(axis=0)
    return roots, np.clip(np.sqrt(beyond * per_pixel), _FLOOR, least)


def _inverse_root(
    spectra: Mapping[tuple[int, int], Float[Array, " l"]], fields: int
) -> Float[Array, "l f f"]:
    """Return the inverse of the lower Cholesky factor of matrices, written out for small ones."""
    lower: dict[tuple[int, int], Array] = {}
    for i in range(fields):
        for j in range(i + 1):
            rest = spectra[i, j] - sum(lower[i, k] * lower[j, k] for k in range(j))
            lower[i, j] = (
                jnp.sqrt(jnp.maximum(rest, _LEAST_POWER)) if i == j else rest / lower[j, j]
            )
    inverse: dict[tuple[int, int], Array] = {}
    zero = jnp.zeros_like(spectra[0, 0])
    for i in range(fields):
        inverse[i, i] = 1 / lower[i, i]
        for j in range(i):
            total = sum(lower[i, k] * inverse[k, j] for k in range(j, i))
            inverse[i, j] = -total / lower[i, i]
    rows = [
        jnp.stack([inverse.get((i, j), zero) for j in range(fields)], -1) for i in range(fields)
    ]
    return jnp.stack(rows, -2)
