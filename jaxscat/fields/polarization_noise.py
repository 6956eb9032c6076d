"""Noise of Q and U in pixels, as it is in the maps E and B."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from jaxscat.fields.field_noise import FieldNoise, SeparateNoise
from jaxscat.fields.noise import Noise, mean_levels
from jaxscat.harmonics.polarization_transform import PolarizationTransform
from jaxscat.harmonics.spectra import smooth_spectrum
from jaxscat.maps import check_kind, npix_to_nside

_DRAWS = 16  # whose spectra are averaged: smoothed, they are known to a few percent


class PolarizationNoise(FieldNoise):
    """Noise of Q and U, seen in E and B of the whole sky.

    Noise that is stronger in some pixels of Q and U than in others is uneven in E and B, too, and
    mixes there: neither the noise of E nor that of B alone tells the other.

    Build it by `of`.

    Attributes:
        qu: noise of Q and of U.
        transform: from Q and U to E and B.
        levels: mean C_l of E and of B for l = 0 to 3 nside - 1, and last the level beyond.

    Source: `docs/polarization.md`, "Denoising".
    """

    qu: SeparateNoise
    transform: PolarizationTransform
    levels: Float[np.ndarray, "2 l"]

    @classmethod
    def of(
        cls, q: Noise, u: Noise, *, lmax: int | None = None, dtype: DTypeLike = np.float32
    ) -> "PolarizationNoise":
        """Build the noise of E and B from that of Q and U, which is independent in them.

        Args:
            q: noise of Q, such as `GaussianNoise.white(deviation_map, nside)`,
                `GaussianNoise.of_halves(q1, q2)` or `NoiseMaps(maps)`.
            u: noise of U, of the same nside. `NoiseMaps` of both belong together by their number.
            lmax: last multipole, that of the data's E and B; 2 nside by default.
            dtype: float32 or float64, that of the pyramid.

        Raises:
            ValueError: no noise models, of different nsides or beyond nside 256, or a bad band
                limit or type.

        Examples:
            >>> import jaxscat
            >>> white = jaxscat.GaussianNoise.white(0.1, nside=4)
            >>> jaxscat.PolarizationNoise.of(white, white).draw(0, 0).shape
            (2, 192)
        """
        for name, noise in (("q", q), ("u", u)):
            check_kind(noise, Noise, name, "a noise model such as jaxscat.GaussianNoise")
        if q.npix != u.npix:
            raise ValueError(f"u: got maps of {u.npix} pixels, expected {q.npix} as q")
        nside = npix_to_nside(q.npix, name="q")
        transform = PolarizationTransform.of(nside, lmax=lmax, dtype=dtype)
        qu = SeparateNoise(("Q", "U"), (q, u))
        drawn = [_eb(transform, qu.draw(0, number)) for number in range(_draws(qu))]
        maps = np.asarray(jnp.stack(drawn, axis=1), np.float64)
        return cls(qu, transform, np.stack([_levels(of, transform.lmax) for of in maps]))

    @property
    def fields(self) -> tuple[str, ...]:
        """E and B."""
        return ("E", "B")

    @property
    def npix(self) -> int:
        """Number of pixels of a map."""
        return self.qu.npix

    @property
    def available(self) -> int | None:
        """Number of realizations, that of Q or U with the fewer."""
        return self.qu.available

    def draw(self, seed: ArrayLike, number: ArrayLike) -> Float[Array, "2 p"]:
        """Return E and B of one realization of Q and U."""
        return _eb(self.transform, self.qu.draw(seed, number))

    def levels_of(self, field: str) -> Float[np.ndarray, " l"]:
        """Return the levels of the noise of E or of B."""
        return self.levels[self.fields.index(field)]


@eqx.filter_jit
def _eb(transform: PolarizationTransform, maps: Float[Array, "2 p"]) -> Float[Array, "2 p"]:
    q, u = maps.astype(transform.band.dtype)
    return jnp.stack(transform.eb_of_qu(q, u))


def _draws(noise: SeparateNoise) -> int:
    return _DRAWS if noise.available is None else min(_DRAWS, noise.available)


def _levels(maps: Float[np.ndarray, "n p"], lmax: int) -> Float[np.ndarray, " l"]:
    """Return the mean C_l of maps, smoothed within their band, and nothing beyond it."""
    spectrum = mean_levels(maps)[:-1]
    multipole = np.arange(spectrum.size)
    band = ((multipole >= 2) & (multipole <= lmax)).astype(np.float64)
    share = smooth_spectrum(band, least_modes=32)
    smooth = smooth_spectrum(band * spectrum, least_modes=32)
    within = np.divide(smooth, share, out=np.zeros_like(smooth), where=share > 0)
    return np.append(band * within, 0.0)
