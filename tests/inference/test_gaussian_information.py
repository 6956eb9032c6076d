"""S1 and S2 of Gaussian maps against the exact information of their power spectrum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.inference import (
    GaussianMaps,
    Summary,
    covariance,
    fisher,
    fisher_noise,
    jacobian,
    measure_many,
)

SIMULATIONS = 3000


@pytest.mark.filterwarnings("ignore:fisher. up to")  # it is taken off
def test_s1_and_s2_have_most_of_the_information_of_gaussian_maps(pyramids):
    """Of ln A and n in C_l = A (l / 8)^n: F_ab = sum (2 l + 1) / 2 dlnC/da dlnC/db is exact."""
    pyramid, draw = pyramids(8), GaussianMaps.of(8, dtype="float64")
    multipole = np.arange(1, draw.lmax + 1)
    slopes = np.stack([np.ones(multipole.size), np.log(multipole / 8)])

    @jax.jit
    def simulator(parameters, seed):
        return draw(jnp.append(0.0, jnp.exp(parameters @ slopes)), seed)

    at, summary = np.array([0.0, -2.0]), Summary(groups=("S1", "S2"))
    seeds = range(1000, 1000 + SIMULATIONS)
    how = {"seeds": seeds, "parameters": at, "summary": summary, "chunk_size": 500}
    of_vectors = covariance(measure_many(simulator, pyramid, **how))
    derivatives = jacobian(simulator, at, pyramid, seeds=200, summary=summary, chunk_size=100)
    found = fisher(derivatives, of_vectors) - fisher_noise(derivatives, of_vectors)
    exact = (slopes * (2 * multipole + 1) / 2) @ slopes.T
    ratios = np.append(np.diag(found) / np.diag(exact), np.linalg.det(found) / np.linalg.det(exact))
    error = np.sqrt(2 / SIMULATIONS)  # of a diagonal entry, from the scatter of the covariance
    assert (ratios > 0.8).all(), ratios
    assert (ratios[:2] < 1 + 3 * error).all() and ratios[2] < 1 + 6 * error, ratios
