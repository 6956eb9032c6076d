"""A map as a function of a field that is white noise if the map has a given power spectrum."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.harmonics.spectra import angular_power_spectrum, power_beyond
from jaxscat.harmonics.tables import (
    LARGEST_NSIDE,
    HarmonicTables,
    check_precision,
    expand_gains,
    harmonic_tables,
    multipole_rows,
)
from jaxscat.harmonics.transform import analysis, isotropic_filter, synthesis
from jaxscat.maps import (
    check_flag,
    check_map,
    check_mask,
    cover_hidden,
    npix_to_nside,
    to_real,
)
from jaxscat.parametrizations.inverse_filter import solve_precisely
from jaxscat.parametrizations.parametrization import Parametrization

# Range of the power beyond the last multipole, over the power there.
BEYOND = np.array([0.25, 4.0])
# Of white noise: a multipole in which a field has less is not raised any more.
_LEAST_POWER = 1e-6


class Harmonic(Parametrization):
    """The map x = mean + Y (s f - beyond) Y^+ u + beyond u of a field u.

    Y are the harmonics, 4 pi / npix times their transpose is Y^+, and f_l is the spread of white
    noise that has the power C_l of the original in every multipole. s_l is one, or the root of the
    power of white noise over that of u, which holds the power of the map at C_l whatever u is.

    Attributes:
        tables: of the harmonics.
        gains: (f - beyond) 4 pi / npix of every coefficient.
        amplitudes: f_l for l = 0 ... 3 nside - 1.
        beyond: the same for what these multipoles cannot describe.
        mean: of the original.
        multipoles: l of every coefficient where the power is held, 3 nside where there is none;
            None where s_l is one, and the map linear in the field up to the mean.

    Source: `docs/conventions.md`, "Harmonic form".
    """

    tables: HarmonicTables
    gains: Float[Array, "k 2 rows 2"]
    amplitudes: Float[Array, " l"]
    beyond: Float[Array, ""]
    mean: Float[Array, ""]
    multipoles: Int[Array, "k 2 rows 2"] | None = None

    @property
    def size(self) -> int:
        """Number of pixels of the field and of the map."""
        return 12 * (self.amplitudes.shape[0] // 3) ** 2

    def maps(self, parameters: Float[Array, " p"]) -> Float[Array, " p"]:
        """Return the NESTED map of a field, in the unit of the original.

        Args:
            parameters: the field, one number per NESTED pixel, of order one, in the precision of
                the amplitudes.

        Source: `docs/conventions.md`, "Harmonic form".
        """
        field = parameters
        if self.multipoles is None:
            filtered = isotropic_filter(self.tables, self.gains, field)
        else:
            coefficients = analysis(self.tables, field)
            gains = self._holding_gains(coefficients, field.size)
            filtered = synthesis(self.tables, gains[..., None] * coefficients)
        return self.mean + filtered + self.beyond * field

    def _holding_gains(
        self, coefficients: Float[Array, "k 2 rows 2 2"], npix: int
    ) -> Float[Array, "k 2 rows 2"]:
        """Return gains with which the power in every multipole is that of the original."""
        assert self.multipoles is not None
        count = self.amplitudes.size
        orthonormal = 4 * np.pi / npix
        # Of white noise every coefficient has the mean square npix / 4 pi.
        square = jnp.sum(coefficients**2, axis=-1) * orthonormal
        sums = jax.ops.segment_sum(square.ravel(), self.multipoles.ravel(), count + 1)[:count]
        power = sums / (2 * np.arange(count) + 1).astype(square.dtype)
        # The monopole is the mean, which S0 fixes.
        holding = 1 / jnp.sqrt(jnp.maximum(power, _LEAST_POWER)).at[0].set(1.0)
        gains = (holding * self.amplitudes - self.beyond) * orthonormal
        return jnp.append(gains, 0.0)[self.multipoles]

    def parameters(self, maps: ArrayLike) -> Float[np.ndarray, " p"]:
        """Return the field of a map, on the host: the inverse of the method `maps`.

        Where the power is held, the map of the field is the given one with its power in every
        multipole brought to that of the original.

        Args:
            maps: NESTED map of the nside of the original, in its unit.

        Returns:
            the field, rounded to the precision of the form. What that costs grows with the field:
            little for maps like the original, 1e-3 of the spread for white noise in float32 if
            the original is so smooth that most multipoles lie at the floor.

        Raises:
            ValueError: `maps` is no map (see `check_map`), or so far from the spectrum of the form
                that its field is not found.

        Source: `docs/conventions.md`, "Harmonic form".
        """
        nside = self.amplitudes.size // 3
        checked = check_map(maps, name="map", nside=nside, allow_constant=True)
        amplitudes = np.asarray(self.amplitudes, np.float64)
        deviation = checked.astype(np.float64) - float(self.mean)
        precision = self.amplitudes.dtype
        tolerance = 1e-13 if precision == np.float64 else 1e-7
        field, error = _inverse_filter(amplitudes, float(self.beyond), deviation, tolerance)
        if error > 100 * tolerance:
            raise ValueError(
                f"map: got one whose field is found to {error:.1g} of its spread only, expected a "
                "map whose power spectrum is like that of the original"
            )
        return field.astype(precision)


def harmonic_form(
    original: Float[np.ndarray, " p"],
    *,
    dtype: DTypeLike = np.float32,
    footprint: Float[np.ndarray, " p"] | None = None,
    floor: float = 1e-4,
    hold_spectrum: bool = True,
) -> Harmonic:
    """Return the form in which a white field is a Gaussian map with an original's spectrum.

    The monopole has the amplitude of the dipole, or the spread of the original if that is more,
    so that the mean can change as easily as the largest scales do.

    Args:
        original: NESTED map of the whole sphere in any unit.
        dtype: float32 or float64, the precision of fields and maps, that of the pyramid.
        footprint: weights of the pixels in power spectrum, mean and spread, such as a mask; what
            `original` holds where they are zero does not matter.
        floor: least amplitude as a fraction of the original's spread. Multipoles with less power
            carry under `floor`^2 of the variance per pixel, and float32 would lose them.
        hold_spectrum: whether all maps of the form have the original's power in every multipole
            from l = 1 up; if not, only those of white fields do, on average.

    Raises:
        ValueError: `original` is no map of nside 2 to 256 or is constant inside the footprint,
            the footprint is no mask of the map, or `dtype` (float64 in JAX's 32-bit mode) or
            `floor` is out of range.

    Source: `docs/conventions.md`, "Harmonic form".
    """
    check_precision(dtype)
    real = int | float | np.integer | np.floating
    number = isinstance(floor, real) and not isinstance(floor, bool)
    if not number or not 0 < floor <= 1:
        raise ValueError(f"floor: got {floor!r}, expected a number above 0 and up to 1")
    check_flag(hold_spectrum, "hold_spectrum")
    original = to_real(original, name="original")
    nside = npix_to_nside(original.size, name="original")
    weights = None if footprint is None else _check_footprint(footprint, original.size)
    if weights is not None:
        original = cover_hidden(original, weights, name="original")
    original = check_map(original, name="original", nside=nside).astype(np.float64)
    check_form_nside(nside, name="original: nside")
    mean = np.average(original, weights=weights)
    spread = np.sqrt(np.average((original - mean) ** 2, weights=weights))
    # The mean would leak into other multipoles by far more than rounding.
    spectrum = angular_power_spectrum(original - mean, weights)
    # Y^+ is a poor inverse near the last multipole: what follows has to be near it in power.
    beyond = np.clip(power_beyond(spectrum, spread**2), *(BEYOND * spectrum[-1]))
    levels = np.append(spectrum, beyond)
    levels = np.sqrt(levels * original.size / (4 * np.pi))
    levels = np.maximum(levels, floor * spread)
    levels[0] = max(levels[1], spread)
    # Rounded once, so that `maps` and `parameters` are inverse of each other in any precision.
    levels = levels.astype(dtype).astype(np.float64)
    amplitudes, beyond = levels[:-1], levels[-1]
    gains = (amplitudes - beyond) * 4 * np.pi / original.size
    multipoles = None
    if hold_spectrum:
        rows = np.moveaxis(multipole_rows(nside), 0, -1)
        multipoles = jnp.asarray(np.where(rows >= 0, rows, 3 * nside), jnp.int32)
    return Harmonic(
        tables=harmonic_tables(nside, dtype),
        gains=jnp.asarray(expand_gains(nside, gains), dtype),
        amplitudes=jnp.asarray(amplitudes, dtype),
        beyond=jnp.asarray(beyond, dtype),
        mean=jnp.asarray(mean, dtype),
        multipoles=multipoles,
    )


def check_form_nside(nside: int, *, name: str) -> None:
    """Refuse an nside for which there is no harmonic form.

    Raises:
        ValueError: it is not from 2 to 256.
    """
    if not 2 <= nside <= LARGEST_NSIDE:
        raise ValueError(f"{name}: got {nside}, expected 2 to {LARGEST_NSIDE}")


def _check_footprint(footprint: ArrayLike, npix: int) -> Float[np.ndarray, " p"]:
    weights = check_mask(footprint, npix, name="footprint")
    if weights.ndim != 1:
        raise ValueError(f"footprint: got shape {weights.shape}, expected one mask (npix,)")
    return weights


def _inverse_filter(
    amplitudes: Float[np.ndarray, " l"],
    beyond: float,
    map: Float[np.ndarray, " p"],
    tolerance: float,
) -> tuple[Float[np.ndarray, " p"], float]:
    """Return the field whose filtered map is `map`, and the error of that map over its spread.

    Conjugate gradients, because on HEALPix Y^+ is no exact inverse of Y. The filter of the inverse
    square roots, twice, is the preconditioner: unlike that of the inverses it is always positive.
    """
    import healpy  # loads matplotlib, so not at import

    last = amplitudes.size - 1
    nside = amplitudes.size // 3

    def filtered(values: np.ndarray, power: float = 1.0) -> np.ndarray:
        rest = beyond**power
        harmonics = healpy.map2alm(values, lmax=last, iter=0)
        harmonics = healpy.almxfl(harmonics, amplitudes**power - rest)
        return healpy.alm2map(harmonics, nside, lmax=last) + rest * values

    def preconditioned(values: np.ndarray) -> np.ndarray:
        return filtered(filtered(values, -0.5), -0.5)

    field, error = solve_precisely(
        filtered, preconditioned, healpy.reorder(map, n2r=True), tolerance
    )
    return healpy.reorder(field, r2n=True), error
