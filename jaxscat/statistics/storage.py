"""Measured coefficients on disk: one `.npz` without pickle, written atomically."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxscat.io.archive import check_archive_name, read_archive, write_archive
from jaxscat.maps import check_kind, check_path
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import scale_triples

CONTENT, VERSION = "scattering covariance", 1
_TYPES = {"float32", "float64", "complex64", "complex128"}


class StoredStatistics(NamedTuple):
    """The contents of a file of coefficients.

    Attributes:
        statistics: the coefficients, NumPy arrays in the precision of the measurement.
        errors: their standard errors, or None.
        spec: spec of the pyramid of the measurement.
        description: the user's free text, or None.
        sky: part of the sky and of every scale, as `jaxscat measure` describes it, or None.
    """

    statistics: ScatteringCovariance
    errors: ScatteringCovariance | None
    spec: PyramidSpec
    description: str | None
    sky: Mapping[str, Any] | None = None


def save_statistics(
    path: str | os.PathLike[str],
    statistics: ScatteringCovariance,
    spec: PyramidSpec,
    *,
    errors: ScatteringCovariance | None = None,
    description: str | None = None,
    sky: Mapping[str, Any] | None = None,
) -> None:
    """Write the coefficients of one map or of two to a `.npz` file, atomically.

    Args:
        path: file to write; an existing file is replaced once the new one is complete.
        statistics: coefficients from `measure`.
        spec: spec of the pyramid they were measured with, `pyramid.spec`.
        errors: their errors from `standard_error`.
        description: free text, such as the name of the map.
        sky: JSON-serializable values on the part of the sky, or None.

    Raises:
        ValueError: reduced coefficients, shapes that do not match each other or the spec, a name
            with another suffix than .npz, or what is there is no regular file.
        OSError: the folder is missing or cannot be written.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> map = np.random.default_rng(0).normal(size=192)
        >>> statistics = jaxscat.measure(map, pyramid)
        >>> errors = jaxscat.standard_error(map, pyramid)
        >>> jaxscat.save_statistics(
        ...     "noise.npz", statistics, pyramid.spec, errors=errors, description="white noise"
        ... )
        >>> stored = jaxscat.load_statistics("noise.npz")
        >>> stored.description, stored.spec == pyramid.spec
        ('white noise', True)
        >>> bool(np.array_equal(stored.statistics.s4, statistics.s4))
        True

    Source: `docs/conventions.md`, "Files of coefficients".
    """
    check_path(path)
    check_archive_name(path)
    check_kind(spec, PyramidSpec, "spec", "the spec of a pyramid, pyramid.spec")
    check_kind(sky, Mapping | None, "sky", "a dictionary, or None")
    if description is not None and not isinstance(description, str):
        raise ValueError(f"description: got {type(description).__name__}, expected text or None")
    arrays = _arrays("statistics", statistics)
    _check_shapes("statistics", statistics, spec)
    if errors is not None:
        error_arrays = _arrays("errors", errors)
        for name, array in error_arrays.items():
            if array.dtype.kind != "f":
                raise ValueError(f"errors.{name}: got {array.dtype}, expected real numbers")
        if _layout(errors) != _layout(statistics):
            raise ValueError(
                f"errors: got {_layout(errors)}, expected {_layout(statistics)} as the statistics"
            )
        arrays |= {f"error_{name}": array for name, array in error_arrays.items()}
    header = {
        "kind": statistics.kind,
        "both_triangles": statistics.both_triangles,
        "spec": dataclasses.asdict(spec),
        "description": description,
        **({} if sky is None else {"sky": dict(sky)}),
    }
    write_archive(path, CONTENT, VERSION, header, arrays)


def load_statistics(
    path: str | os.PathLike[str], spec: PyramidSpec | None = None
) -> StoredStatistics:
    """Read the coefficients of a file written by `save_statistics`.

    Args:
        path: file to read.
        spec: spec that the coefficients must have been measured with; None accepts any.

    Returns:
        coefficients, errors, spec and description, with NumPy arrays (so that float64 is kept
        while x64 is off).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, of another format or has other contents; or the
            coefficients were measured with another pyramid than `spec`.

    Source: `docs/conventions.md`, "Files of coefficients".
    """
    check_path(path)
    check_kind(spec, PyramidSpec | None, "spec", "the spec of a pyramid, pyramid.spec, or None")
    header, arrays = read_archive(path, CONTENT, VERSION)
    groups: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for name, array in arrays.items():
        (errors if name.startswith("error_") else groups)[name.removeprefix("error_")] = array
    try:
        found = PyramidSpec(**{name: _plain(value) for name, value in header["spec"].items()})
        triangles, kind = header["both_triangles"], header["kind"]
        statistics = ScatteringCovariance(**groups, both_triangles=triangles)
        its_errors = ScatteringCovariance(**errors, both_triangles=triangles) if errors else None
        _check_shapes("statistics", statistics, found)
        if kind != statistics.kind:
            raise ValueError(f"kind: got {kind}, expected {statistics.kind} as the arrays are")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"path: got {path}, whose header and arrays do not fit this version of jaxscat "
            f"({error})"
        ) from error
    different = spec_differences(found, spec) if spec is not None else {}
    if different:
        raise ValueError(
            f"path: got {path}, measured with {_listed(different, 0)}; "
            f"expected {_listed(different, 1)}"
        )
    return StoredStatistics(
        statistics, its_errors, found, header.get("description"), header.get("sky")
    )


def spec_differences(one: PyramidSpec, other: PyramidSpec) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two specs differ, with both values.

    The layout is left out: coefficients do not depend on how the operators lie in memory.
    """
    return {
        field.name: values
        for field in dataclasses.fields(PyramidSpec)
        if field.name != "layout"
        and (values := (getattr(one, field.name), getattr(other, field.name)))[0] != values[1]
    }


def _listed(differences: dict[str, tuple[Any, Any]], side: int) -> str:
    return ", ".join(f"{name} {values[side]!r}" for name, values in differences.items())


def _plain(value: Any) -> Any:
    """Convert JSON lists to tuples: a spec has to be hashable."""
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def _arrays(name: str, coefficients: ScatteringCovariance) -> dict[str, np.ndarray]:
    """Return the groups as NumPy arrays, by field name."""
    if type(coefficients) is not ScatteringCovariance:
        raise ValueError(
            f"{name}: got {type(coefficients).__name__}, expected a ScatteringCovariance: other "
            "coefficients are not stored"
        )
    arrays = {group.lower(): np.asarray(array) for group, array in coefficients.groups().items()}
    for group, array in arrays.items():
        if array.dtype.name not in _TYPES:
            raise ValueError(
                f"{name}.{group}: got {array.dtype}, expected one of {', '.join(sorted(_TYPES))}"
            )
    return arrays


def _layout(coefficients: ScatteringCovariance) -> str:
    """Describe kind and shapes in words, equal for coefficients that match."""
    shapes = [f"{name} {tuple(array.shape)}" for name, array in coefficients.groups().items()]
    triangles = ", both triangles" if coefficients.both_triangles else ""
    return f"{coefficients.kind} coefficients with {', '.join(shapes)}{triangles}"


def _check_shapes(name: str, coefficients: ScatteringCovariance, spec: PyramidSpec) -> None:
    """Check that the shapes of the arrays match the spec and each other."""
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
