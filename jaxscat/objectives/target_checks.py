"""What targets are made of, checked: maps, choices, and the scales that masks leave."""

from collections.abc import Sequence
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import cover_hidden, describe, to_numpy
from jaxscat.objectives.target import GroupWeights, Normalization, PowerLike
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.arithmetic import Arithmetic
from jaxscat.statistics.checks import check_map_of
from jaxscat.statistics.measurement import Mask, Measurement
from jaxscat.statistics.moments import ERROR_FORMULAS
from jaxscat.statistics.reduction import Reduction


def refuse_statistics(map: object) -> None:
    """Refuse coefficients in place of a map with a `ValueError` that says what takes them."""
    if isinstance(map, Arithmetic):
        raise ValueError(
            f"map: got {describe(map)}, expected a map; "
            "jaxscat.target_from_statistics(statistics, errors, pyramid) takes coefficients"
        )


def check_choices(
    sigma: object,
    sigma_floor: Any,
    weights: object,
    reduction: object,
    known: Sequence[str] = (*ERROR_FORMULAS, "ensemble"),
) -> None:
    """Refuse settings of a target with a `ValueError` (see `make_target`)."""
    if sigma not in known:
        raise ValueError(f"sigma: got {sigma!r}, expected one of {list(known)}")
    if not isinstance(reduction, Reduction | None):
        raise ValueError(
            f"reduction: got {reduction!r}, expected a Reduction such as IsotropicMean(), or None"
        )
    if weights not in get_args(GroupWeights):
        raise ValueError(
            f"weights: got {weights!r}, expected one of {list(get_args(GroupWeights))}"
        )
    real = int | float | np.integer | np.floating
    number = isinstance(sigma_floor, real) and not isinstance(sigma_floor, bool)
    if not number or not 0 <= sigma_floor < 1:
        raise ValueError(f"sigma_floor: got {sigma_floor!r}, expected a number from 0 up to 1")


def given_normalization(
    choice: str | PowerLike | tuple[PowerLike, PowerLike],
) -> Normalization | None:
    """Return the normalization by given power; None of "own" and "target", which maps tell.

    Args:
        choice: as for `make_target`: "own", "target", S2 of a reference, or a pair of such.

    Raises:
        ValueError: another name, or no positive finite S2.
    """
    if isinstance(choice, str):
        if choice not in ("own", "target"):
            raise ValueError(f"normalization: got {choice!r}, expected 'own', 'target' or an array")
        return None
    first, other = choice if isinstance(choice, tuple) and len(choice) == 2 else (choice, None)
    return Normalization(check_power(first), None if other is None else check_power(other))


def check_varying(
    map: ArrayLike, spec: PyramidSpec, name: str, mask: Mask | None
) -> Float[np.ndarray, " p"]:
    """Return a map on the host, if it varies; a constant one has no errors to divide by.

    What a mask hides is replaced before anything is checked.
    """
    if mask is not None:
        map = values = cover_hidden(map, mask, name=name)
        if values.ndim == 1 and values.size and np.ptp(values) == 0:
            raise ValueError(
                f"{name}: got the same value {values[0]:g} in every pixel with weight, expected a "
                "map that varies there"
            )
    return check_map_of(map, spec, name=name, allow_constant=False)


def left_scales(scales: int, measurement: Measurement, coarsest_nside: int | None) -> int:
    """Return at how many scales S3 and S4 count, of those that the mask leaves."""
    left = measurement.covariances
    if left >= scales:
        return scales
    if coarsest_nside is not None:
        raise ValueError(
            f"coarsest_nside: got {coarsest_nside}, but hidden='interior' leaves S3 and S4 down to "
            f"nside {measurement.pyramid.levels[left - 1].nside} only, expected that or more"
        )
    return left


def check_power(given: ArrayLike) -> Array:
    """Return S2 of a reference as an array, or refuse what is none with a `ValueError`."""
    power = given if isinstance(given, jax.Array) else to_numpy(given, name="normalization")
    if power.dtype.kind not in "fiu" or power.ndim < 2:
        raise ValueError(
            f"normalization: got {describe(given)}, expected 'own', 'target', an array of S2 or "
            "a pair of such, or None"
        )
    return jnp.asarray(power)
