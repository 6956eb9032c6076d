"""Parity: what coefficients become in a mirror, and their even and odd parts."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from jaxscat.fields.pairs import Pair, changes_sign
from jaxscat.statistics.coefficients import ScatteringCovariance


@partial(jax.jit, static_argnames="pair")
def mirror(statistics: ScatteringCovariance, pair: Pair) -> ScatteringCovariance:
    """Return the coefficients of the mirror image of the sky.

    The image has longitudes of the other sign. Orientation `l` becomes `-l` modulo `L`, the
    wavelet of `l3` its conjugate (but for `l3 = 0`, which is its own image), and odd fields (B, U,
    V) get the other sign.

    Args:
        statistics: coefficients of one field or of two, of all orientations.
        pair: names of the fields.

    Source: `docs/polarization.md`, "Parity".
    """

    def image(name: str, group: Array) -> Array:
        if not changes_sign(pair, name):
            return _mirror_orientations(name, group)
        if name == "S0":  # the error of the mean has no sign
            return group * np.array([-1, 1], group.dtype)
        return -_mirror_orientations(name, group)

    return _by_group(statistics, image)


@partial(jax.jit, static_argnames="pair")
def even_part(statistics: ScatteringCovariance, pair: Pair) -> ScatteringCovariance:
    """Return the part of coefficients that a mirror does not change: the mean with their image.

    Args:
        statistics, pair: as for `mirror`.

    Source: `docs/polarization.md`, "Parity".
    """
    return jax.tree.map(lambda one, other: (one + other) / 2, statistics, mirror(statistics, pair))


@partial(jax.jit, static_argnames="pair")
def odd_part(statistics: ScatteringCovariance, pair: Pair) -> ScatteringCovariance:
    """Return the part of coefficients whose sign a mirror changes; zero without handedness.

    Args:
        statistics, pair: as for `mirror`.

    Source: `docs/polarization.md`, "Parity".
    """
    return jax.tree.map(lambda one, other: (one - other) / 2, statistics, mirror(statistics, pair))


@jax.jit
def even_errors(errors: ScatteringCovariance) -> ScatteringCovariance:
    """Return the errors of even parts from those of coefficients, taken as independent.

    A coefficient that is its own image keeps its error, also where its even part is zero.

    Source: `docs/polarization.md`, "Parity".
    """

    def combined(name: str, group: Array) -> Array:
        if name == "S0":
            return group
        own = _is_own_image(name, group.shape[-1])
        image = _mirror_orientations(name, group)
        # Scaled first: squares of weak coefficients leave the range of float32.
        largest = jnp.maximum(group, image)
        root = largest * jnp.sqrt((group / largest) ** 2 + (image / largest) ** 2) / 2
        return jnp.where(own, group, root)

    return _by_group(errors, combined)


@jax.jit
def joined_errors(errors: ScatteringCovariance) -> ScatteringCovariance:
    """Return the errors of even parts as an angular reduction has to take them.

    A reduction adds errors as independent ones. The even parts of two coefficients that are images
    of each other are one number; where both come into the same sum, each gets the root of two.

    Source: `docs/polarization.md`, "Parity".
    """

    def joined(name: str, group: Array) -> Array:
        if name == "S0":
            return group
        steps = np.arange(group.shape[-1])
        own = -steps % steps.size == steps
        relative = own[(steps - steps[:, None]) % steps.size]  # [l2, l1 or l3]
        both = {"S1": ~own, "S2": ~own, "S4": ~own[:, None, None] & relative[:, None]}
        both["S4"] = both["S4"] & relative[:, :, None]
        twice = both.get(name, ~own[:, None] & relative)
        return group * np.where(twice, np.sqrt(2), 1).astype(group.dtype)

    return _by_group(errors, joined)


def _by_group(statistics: ScatteringCovariance, function) -> ScatteringCovariance:
    groups = {name.lower(): function(name, group) for name, group in statistics.groups().items()}
    return replace(statistics, **groups)


def _mirror_orientations(name: str, group: Inexact[Array, "*axes L"]) -> Inexact[Array, "*axes L"]:
    """Return the orientations of a group (S0 has none) in the mirror, conjugated where they are."""
    if name == "S0":
        return group
    orientations = group.shape[-1]
    image = -np.arange(orientations) % orientations
    for axis in range(_ORIENTED[name]):
        group = jnp.take(group, image, axis=-1 - axis)
    if not jnp.iscomplexobj(group):
        return group
    # The last axis is l3, that of the wavelet of both factors.
    return jnp.where(np.arange(orientations) == 0, group, jnp.conj(group))


# Number of axes of orientations, which are the last ones.
_ORIENTED = {"S1": 1, "S2": 1, "S3": 2, "S3P": 2, "S4": 3}


def _is_own_image(name: str, orientations: int) -> np.ndarray:
    own = -np.arange(orientations) % orientations == np.arange(orientations)
    shape = np.ones([1] * _ORIENTED[name], dtype=bool)
    for axis in range(_ORIENTED[name]):
        shape = shape & own.reshape(-1, *[1] * axis)
    return shape
