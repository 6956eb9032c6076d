"""The groups of one or more sets of coefficients as they stand in a file, and their checks."""

from typing import Any

import numpy as np

from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.indices import scale_triples

TYPES = {"float32", "float64", "complex64", "complex128"}
Coefficients = ScatteringCovariance | FieldCovariances


def split_pairs(name: str, coefficients: Coefficients) -> list[tuple[str, str, Any]]:
    """Return what stands before the names of arrays, a name for messages, and the coefficients.

    Those of one map or of two are one such part, those of several fields have one for each pair.
    """
    if not isinstance(coefficients, FieldCovariances):
        return [("", name, coefficients)]
    parts = enumerate(coefficients.items())
    return [(f"{n}_", f"{name}[{pair!r}]", one) for n, (pair, one) in parts]


def describe_pairs(coefficients: Coefficients) -> str:
    """Describe in words whose coefficients they are."""
    if not isinstance(coefficients, FieldCovariances):
        return type(coefficients).__name__
    return f"coefficients of {', '.join(coefficients)}"


def list_arrays(name: str, coefficients: ScatteringCovariance) -> dict[str, np.ndarray]:
    """Return the groups as NumPy arrays, by field name.

    Raises:
        ValueError: other coefficients, or numbers of another type; it begins with `name`.
    """
    if type(coefficients) is not ScatteringCovariance:
        raise ValueError(
            f"{name}: got {type(coefficients).__name__}, expected a ScatteringCovariance: other "
            "coefficients are not stored"
        )
    arrays = {group.lower(): np.asarray(array) for group, array in coefficients.groups().items()}
    for group, array in arrays.items():
        if array.dtype.name not in TYPES:
            raise ValueError(
                f"{name}.{group}: got {array.dtype}, expected one of {', '.join(sorted(TYPES))}"
            )
    return arrays


def describe_layout(coefficients: ScatteringCovariance) -> str:
    """Describe kind and shapes in words, equal for coefficients that match."""
    shapes = [f"{name} {tuple(array.shape)}" for name, array in coefficients.groups().items()]
    triangles = ", both triangles" if coefficients.both_triangles else ""
    return f"{coefficients.kind} coefficients with {', '.join(shapes)}{triangles}"


def check_shapes(name: str, coefficients: ScatteringCovariance, spec: PyramidSpec) -> None:
    """Check that the shapes of the arrays match the spec and each other.

    Raises:
        ValueError: they do not; it begins with `name`.
    """
    orientations = spec.orientations
    pairs = coefficients.s3.shape[-3] if coefficients.s3.ndim >= 3 else -1
    # The number of scales of S3 and S4 is free; an impossible number of pairs is checked as J.
    fitting = [j for j in range(spec.scales + 1) if j * (j + 1) // 2 == pairs]
    kept = fitting[0] if fitting else spec.scales
    triples = len(scale_triples(kept, coefficients.both_triangles))
    covariances = (kept * (kept + 1) // 2, orientations, orientations)
    expected = {
        "S0": (2,),
        "S1": (spec.scales, orientations),
        "S2": (spec.scales, orientations),
        "S3": covariances,
        "S3P": covariances,
        "S4": (triples, orientations, orientations, orientations),
    }
    masks = coefficients.s0.shape[:-1]
    for group, array in coefficients.groups().items():
        if array.shape != masks + expected[group] or len(masks) > 1:
            raise ValueError(
                f"{name}: got {group} of shape {tuple(array.shape)}, expected "
                f"{masks + expected[group]} with {spec.scales} scales and {orientations} "
                "orientations of the spec"
            )
