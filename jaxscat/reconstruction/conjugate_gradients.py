"""Wiener filters of data with gaps and with noise that differs from pixel to pixel."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.reconstruction.isotropic import covariance_product, symmetric_filter

TOLERANCE = 1e-6  # of the residual, over the spread of the data
MOST_ITERATIONS = 1000
# White noise of a thousandth of the spread: without it fields without power at some multipoles
# have covariances that cannot be inverted.
_LEAST_NOISE = 1e-6


def solve_wiener(
    data: Float[np.ndarray, " p"],
    signal: Float[np.ndarray, " l"],
    noise: Float[np.ndarray, " l"],
    amplitude: Float[np.ndarray, " p"],
    *,
    name: str = "the map",
    tolerance: float = TOLERANCE,
    most_iterations: int = MOST_ITERATIONS,
) -> Float[np.ndarray, " p"]:
    """Estimate a signal in all pixels from data in some, by the covariances of both.

    The estimate is m + S R^T z, where R takes the observed pixels, (R (S + N) R^T) z = R (d - m)
    and z sums to zero: this makes the mean m one more unknown, of which nothing is known before.

    Args:
        data: finite NESTED map.
        signal: levels of the signal.
        noise: levels of an isotropic field, which `amplitude` multiplies in every pixel.
        amplitude: NESTED map of numbers above zero, infinite where nothing is observed.
        name: of the estimate, for a warning.
        tolerance: of the root mean square of the residual, over that of the data.
        most_iterations: after which it ends with a warning.

    Returns:
        NESTED map.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    import healpy  # loads matplotlib, so not at import
    from scipy.sparse.linalg import LinearOperator, cg

    ringed = healpy.reorder(data, n2r=True)
    system = _System(signal, noise, healpy.reorder(amplitude, n2r=True))
    target = _without_mean(ringed[system.observed])
    count = target.size

    def operator(function: Callable[[np.ndarray], np.ndarray]) -> Any:
        kind: Any = LinearOperator  # its class takes other arguments than what it makes
        return kind((count, count), matvec=function, dtype=np.float64)

    solution, unfinished = cg(
        operator(lambda values: _without_mean(system.product(_without_mean(values)))),
        target,
        rtol=tolerance,
        maxiter=most_iterations,
        M=operator(lambda values: _without_mean(system.approximate_inverse(values))),
    )
    solution = _without_mean(solution)
    rest = ringed[system.observed] - system.product(solution)
    if unfinished:
        error = np.std(rest) / np.std(target)
        warnings.warn(
            f"{name} is approximate: its conjugate gradients ended after {most_iterations} "
            f"iterations with a residual of {error:.1g} of the data's scatter, expected "
            f"{tolerance:g}. To start a reconstruction from it does no harm, and nothing has to be "
            "done; as an estimate to compare with it is that much worse than it could be",
            stacklevel=4,
        )
    estimate = covariance_product(system.signal, system.full(solution)) + rest.mean()
    return healpy.reorder(estimate, r2n=True)


class _System:
    """The covariance of the data in observed pixels, all in RING order."""

    def __init__(
        self,
        signal: Float[np.ndarray, " l"],
        noise: Float[np.ndarray, " l"],
        amplitude: Float[np.ndarray, " p"],
    ) -> None:
        self.observed: Bool[np.ndarray, " p"] = np.isfinite(amplitude)
        self.amplitude = np.where(self.observed, amplitude, 0.0)
        shown = amplitude[self.observed]
        mean = 1 / np.mean(1 / shown**2)
        # The mean is solved for, whatever the levels of the monopole are.
        self.signal, self.noise = _plain_monopole(signal), _plain_monopole(noise)
        self.total = self.signal + mean * self.noise
        modes = np.append(2.0 * np.arange(signal.size - 1) + 1, amplitude.size / 4)
        least = _LEAST_NOISE * np.average(self.total, weights=modes)
        self.least = least if self.total.min() < least else 0.0
        self.total = self.total + self.least
        self.is_uniform = bool(np.ptp(shown) <= 1e-12 * shown.max())
        pixel = np.average(self.signal, weights=modes) + self.least
        level = np.average(self.noise, weights=modes)
        self.scaling = np.sqrt((pixel + mean * level) / (pixel + shown**2 * level))

    def full(self, values: Float[np.ndarray, " o"]) -> Float[np.ndarray, " p"]:
        """Return a map of values in the observed pixels, and zero elsewhere."""
        map = np.zeros(self.observed.size)
        map[self.observed] = values
        return map

    def product(self, values: Float[np.ndarray, " o"]) -> Float[np.ndarray, " o"]:
        """Multiply by the covariance of the data."""
        map = self.full(values)
        if self.is_uniform:
            return covariance_product(self.total, map)[self.observed]
        scatter = self.amplitude * covariance_product(self.noise, self.amplitude * map)
        signal = covariance_product(self.signal + self.least, map)
        return (signal + scatter)[self.observed]

    def approximate_inverse(self, values: Float[np.ndarray, " o"]) -> Float[np.ndarray, " o"]:
        """Multiply by the inverse that the covariance would have without gaps, of mean noise."""
        root = 1 / np.sqrt(self.total * self.observed.size / (4 * np.pi))
        map = self.full(self.scaling * values)
        map = symmetric_filter(symmetric_filter(map, root), root)
        return self.scaling * map[self.observed]


def _plain_monopole(levels: Float[np.ndarray, " l"]) -> Float[np.ndarray, " l"]:
    return np.append(levels[1], levels[1:])


def _without_mean(values: Float[np.ndarray, " o"]) -> Float[np.ndarray, " o"]:
    return values - values.mean()
