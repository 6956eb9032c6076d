"""The computed polarized dataset: dust in a magnetic field that is frozen into it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

from jaxscat.datasets.arguments import check_arguments

# Lengths in cells of the periodic box, wave numbers in radians per cell, unless stated otherwise.
GRID = 165  # cells per side; odd, so that there is no Nyquist mode
SMOOTHING = 0.6  # Gaussian smoothing length of all fields, for the linear interpolation
# Displacement from the straight field: its gradient is the turbulent part of the magnetic field.
TURBULENCE = 0.5  # standard deviation of one of its derivatives, in units of the regular field
DISPLACEMENT_SLOPE = 5.5  # power of the displacement falls as k to minus this
DISPLACEMENT_SCALE = 1.0 / 3.0  # its outer scale, in sides of the box
# Logarithm of the density, before the displacement.
CONTRAST = 1.1  # its standard deviation
DENSITY_SLOPE = 2.4  # its power falls as k to minus this
DENSITY_SCALE = 1.0 / 6.0  # its outer scale across the field, in sides of the box
ELONGATION = 7.0  # length of structures along the field in units of their width
# The layer of dust around the observer, who is in the centre of the box.
NEAREST, FARTHEST = 0.25, 0.48  # in sides of the box: no structure appears twice
SHELLS = 36
FRACTION = 0.2  # polarized fraction of emission where the field is in the plane of the sky
MEAN_FIELD = (70.0, 24.0)  # longitude and latitude of the regular field, in degrees
LARGEST_NSIDE = 64
DEFAULT_SEED = 20260101


def random_modes(
    generator: np.random.Generator, slope: float, scale: float, stretch: float = 1.0
) -> Complex[np.ndarray, "g g h"]:
    """Sample the Fourier modes of a Gaussian field with a power-law spectrum in the box.

    The power is (k_x^2 + k_y^2 + stretch^2 k_z^2 + k_0^2)^(-slope/2) with k_0 = 2 pi / (scale
    times the side of the box), smoothed over `SMOOTHING`; a `stretch` above 1 makes structures
    that are longer along z by that factor. The modes are complex128 as of `scipy.fft.rfftn` on
    `GRID` cells per side, with no mean and an arbitrary amplitude.
    """
    from scipy import fft  # faster than that of NumPy

    kx, ky, kz = _wave_numbers()
    across = kx**2 + ky**2
    modes = np.asarray(fft.rfftn(generator.standard_normal((GRID, GRID, GRID))))
    outer = 2.0 * np.pi / (scale * GRID)
    modes *= (across + (stretch * kz) ** 2 + outer**2) ** (-0.25 * slope)
    modes *= np.exp(-0.5 * SMOOTHING**2 * (across + kz**2))
    modes[0, 0, 0] = 0.0
    return modes


def frozen_field(
    first: Complex[np.ndarray, "g g h"], second: Complex[np.ndarray, "g g h"]
) -> Float[np.ndarray, "3 g g g"]:
    """Return the magnetic field that a displacement makes of a straight one along z.

    Arguments are the Fourier modes of the displacement along x and y. With u(x) the displacement
    of the matter that is now at x, matter came from q = x - u(x), and a field that was (0, 0, 1)
    and frozen into it is B = grad q_1 x grad q_2: its lines are where q_1 and q_2 are constant, and
    its divergence is zero. The field is float64, in units of the straight one.
    Source: Euler potentials, as in Stern 1970, American Journal of Physics 38, 494;
    `docs/polarization.md`, "The embedded map".
    """
    wave = _wave_numbers()
    gradients = []
    for axis, modes in enumerate((first, second)):
        gradient = np.stack([-_to_grid(1j * k * modes) for k in wave])
        gradient[axis] += 1.0
        gradients.append(gradient)
    return np.cross(*gradients, axis=0)


def dust_box(
    seed: int,
) -> tuple[Float[np.ndarray, "g g g"], Float[np.ndarray, "3 g g g"], Float[np.ndarray, "3 g g g"]]:
    """Sample the logarithm of density, the displacement and the magnetic field in the box.

    The density is that before the displacement, with structures along z: at x, its logarithm
    is the one at x less the displacement at x. All are float64, the displacement in cells.
    Source: `docs/polarization.md`, "The embedded map".
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    displacement = [
        random_modes(generator, DISPLACEMENT_SLOPE, DISPLACEMENT_SCALE) for _ in range(3)
    ]
    amplitude = TURBULENCE / _to_grid(1j * _wave_numbers()[2] * displacement[0]).std()
    displacement = [amplitude * modes for modes in displacement]
    field = frozen_field(displacement[0], displacement[1])
    density = _to_grid(random_modes(generator, DENSITY_SLOPE, DENSITY_SCALE, ELONGATION))
    density *= CONTRAST / density.std()
    return density, np.stack([_to_grid(modes) for modes in displacement]), field


def polarized_emission(
    field: Float[np.ndarray, "3 p"], south: Float[np.ndarray, "3 p"], east: Float[np.ndarray, "3 p"]
) -> Complex[np.ndarray, " p"]:
    """Return Q + iU of dust of unit density in a magnetic field, in the convention COSMO.

    `south` and `east` are the unit vectors of the meridian and the parallel where the dust is
    seen. Grains emit light that is polarized perpendicular to the field in the plane of the sky,
    so that Q + iU = -p_0 (B_south + i B_east)^2 / |B|^2, p_0 being `FRACTION`. The result is
    complex128, of the shape of one component.
    Source: Planck Collaboration 2015, Int. XX, A&A 576, A105; `docs/polarization.md`,
    "The embedded map".
    """
    projected = (field * south).sum(axis=0) + 1j * (field * east).sum(axis=0)
    return -FRACTION * projected**2 / (field * field).sum(axis=0)


def polarized_dust_maps(nside: int = 64, seed: int = DEFAULT_SEED) -> Float[np.ndarray, "3 p"]:
    """Simulate the intensity and the polarization of filaments of dust in a magnetic field.

    The rows are I, Q and U, float64, NESTED, `12 nside^2` pixels, in units of the mean intensity,
    with the sign of U of the convention COSMO: values in the centres of pixels. They are the
    same on every machine up to rounding, need no file and no network, and take a few seconds.
    Raises ValueError unless `nside` is a power of two up to `LARGEST_NSIDE` and `seed` is an
    integer from 0 up.
    Source: `docs/polarization.md`, "The embedded map".
    """
    from scipy.ndimage import map_coordinates

    nside, seed = check_arguments(
        nside, seed, LARGEST_NSIDE, "finer pixels would only show the cells of the simulation"
    )
    logarithm, displacement, field = dust_box(seed)
    outward, south, east = np.einsum("ab,cbp->cap", _axes(), _sky_frame(nside))
    intensity, polarization = np.zeros(12 * nside**2), np.zeros(12 * nside**2, complex)
    steps = (np.arange(SHELLS) + 0.5) / SHELLS
    for step in steps:
        place = GRID * ((NEAREST + (FARTHEST - NEAREST) * step) * outward + 0.5)

        def at(places: np.ndarray, grid: np.ndarray) -> np.ndarray:
            return map_coordinates(grid, places, order=1, mode="grid-wrap")

        origin = place - np.stack([at(place, component) for component in displacement])
        density = np.sin(np.pi * step) ** 2 * np.exp(at(origin, logarithm))
        intensity += density
        local = np.stack([at(place, component) for component in field])
        polarization += density * polarized_emission(local, south, east)
    return np.stack([intensity, np.real(polarization), np.imag(polarization)]) / intensity.mean()


def _wave_numbers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the wave numbers along the axes of the box, ready to be broadcast."""
    k = 2.0 * np.pi * np.fft.fftfreq(GRID)
    return k[:, None, None], k[None, :, None], k[None, None, : GRID // 2 + 1]


def _to_grid(modes: np.ndarray) -> np.ndarray:
    from scipy import fft

    return np.asarray(fft.irfftn(modes, s=(GRID, GRID, GRID)))


def _axes() -> Float[np.ndarray, "3 3"]:
    """Return the axes of the box on the sky, the last of which is along `MEAN_FIELD`."""
    longitude, latitude = np.radians(MEAN_FIELD)
    x = [-np.sin(longitude), np.cos(longitude), 0.0]
    z = [
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    ]
    return np.stack([x, np.cross(z, x), z])


def _sky_frame(nside: int) -> Float[np.ndarray, "3 3 p"]:
    """Return the unit vectors outward, south and east in the centres of pixels, NESTED."""
    import healpy  # here, because importing it loads matplotlib

    theta, phi = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True)
    rows = [
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)],
        [np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)],
        [-np.sin(phi), np.cos(phi), np.zeros_like(phi)],
    ]
    return np.array(rows)
