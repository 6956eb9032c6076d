"""How a user's code with types may look; type checkers have nothing to say against it.

Where it is wrong on purpose, a checker that sees our types finds the mistake; otherwise the comment
that allows it would be reported.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float

import jaxscat


def measure_file(path: str, nside: int) -> jaxscat.ScatteringCovariance:
    pyramid: jaxscat.Pyramid = jaxscat.build_pyramid(nside, orientations=4)
    return jaxscat.measure(jaxscat.load_map(path, nside=nside), pyramid)


def compare(one: jaxscat.ScatteringCovariance, other: jaxscat.ScatteringCovariance) -> float:
    difference: jaxscat.ScatteringCovariance = (one - other) / 2
    vector: Float[Array, " n"] = difference.to_vector()
    names: list[str] = difference.vector_names()
    restored: jaxscat.ScatteringCovariance = one.from_vector(vector)
    return float(abs(restored.s1).max()) / len(names)


def tabulate(map: np.ndarray, pyramid: jaxscat.Pyramid) -> dict[str, np.ndarray]:
    statistics = jaxscat.measure(map, pyramid)
    return statistics.table(errors=jaxscat.standard_error(map, pyramid))


def reduce(statistics: jaxscat.ScatteringCovariance) -> Array:
    reduced: jaxscat.ReducedCovariance = jaxscat.IsotropicMean().mean(statistics)
    return (2.0 * reduced).to_vector()


def synthesize(
    statistics: jaxscat.ScatteringCovariance,
    errors: jaxscat.ScatteringCovariance,
    pyramid: jaxscat.Pyramid,
    start: Callable[[int], np.ndarray],
) -> Float[np.ndarray, "seeds p"]:
    target: jaxscat.Target = jaxscat.target_from_statistics(
        statistics, errors, pyramid, weights="balanced"
    )
    jaxscat.save_target("target.npz", target, pyramid.spec)
    result: jaxscat.Result = jaxscat.synthesize_many(target, pyramid, [1, 2], start=start)
    return result.map


class Ratio(jaxscat.Term):
    """A term of one's own."""

    pyramid: jaxscat.Pyramid

    def __call__(self, maps: Float[Array, " p"]) -> Float[Array, ""]:
        return jax.numpy.sum(jaxscat.measure(maps, self.pyramid).s2)


version: str = jaxscat.__version__


def make_mistakes(map: np.ndarray, pyramid: jaxscat.Pyramid) -> None:
    jaxscat.measure(map, 16)  # pyright: ignore[reportArgumentType]
    target: jaxscat.Target = jaxscat.measure(map, pyramid)  # pyright: ignore[reportAssignmentType]
    jaxscat.measure(map, pyramid).to_vectors()  # pyright: ignore[reportAttributeAccessIssue]
    doubled = jaxscat.measure(map, pyramid) * "two"  # pyright: ignore[reportOperatorIssue]
    print(target, doubled)
