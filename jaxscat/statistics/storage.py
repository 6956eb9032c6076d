"""Measured coefficients on disk: one `.npz` without pickle, written atomically."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxscat.io.archive import check_archive_name, read_archive, write_archive
from jaxscat.maps import check_kind, check_path
from jaxscat.operators.spec import PyramidSpec
from jaxscat.reasons import reason_of
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.stored_groups import (
    Coefficients,
    check_shapes,
    describe_layout,
    describe_pairs,
    list_arrays,
    split_pairs,
)

CONTENT, VERSION = "scattering covariance", 1
FIELDS = "fields"  # the kind of coefficients of several fields


class StoredStatistics(NamedTuple):
    """The contents of a file of coefficients.

    Attributes:
        statistics: the coefficients, of one map or of two or (`FieldCovariances`) of several
            fields; NumPy arrays in the precision of the measurement.
        errors: their standard errors, or None.
        spec: spec of the pyramid of the measurement.
        description: the user's free text, or None.
        sky: part of the sky and of every scale, as `jaxscat measure` describes it, or None.
    """

    statistics: Coefficients
    errors: Coefficients | None
    spec: PyramidSpec
    description: str | None
    sky: Mapping[str, Any] | None = None


def save_statistics(
    path: str | os.PathLike[str],
    statistics: Coefficients,
    spec: PyramidSpec,
    *,
    errors: Coefficients | None = None,
    description: str | None = None,
    sky: Mapping[str, Any] | None = None,
) -> None:
    """Write the coefficients of one map, of two or of several fields to a `.npz` file, atomically.

    Args:
        path: file to write; an existing file is replaced once the new one is complete.
        statistics: coefficients from `measure` or `measure_fields`.
        spec: spec of the pyramid they were measured with, `pyramid.spec`.
        errors: their errors from `standard_error` or `fields_standard_error`.
        description: free text, such as the name of the map.
        sky: JSON-serializable values on the part of the sky, or None.

    Raises:
        ValueError: reduced coefficients, shapes that do not match each other or the spec, errors of
            other pairs of fields, a name with another suffix than .npz, or what is there is no
            regular file.
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
    arrays: dict[str, np.ndarray] = {}
    for prefix, name, one in split_pairs("statistics", statistics):
        arrays |= {prefix + group: array for group, array in list_arrays(name, one).items()}
        check_shapes(name, one, spec)
    if errors is not None:
        arrays |= _error_arrays(errors, statistics)
    header = {
        **_kind_of(statistics),
        "spec": dataclasses.asdict(spec),
        "description": description,
        **({} if sky is None else {"sky": dict(sky)}),
    }
    write_archive(path, CONTENT, VERSION, header, arrays)


def load_statistics(
    path: str | os.PathLike[str], spec: PyramidSpec | None = None
) -> StoredStatistics:
    """Read the coefficients of a file written by `save_statistics`, of a map or of several fields.

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
        found = spec_of(header)
        statistics = _build(groups, header)
        its_errors = _build(errors, header) if errors else None
        for _, name, one in split_pairs("statistics", statistics):
            check_shapes(name, one, found)
        if header["kind"] != (kind := _kind_of(statistics)["kind"]):
            raise ValueError(f"kind: got {header['kind']}, expected {kind} as the arrays are")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"path: got {path}, whose header and arrays do not fit this version of jaxscat "
            f"({reason_of(error)})"
        ) from error
    check_spec(path, found, spec)
    return StoredStatistics(
        statistics, its_errors, found, header.get("description"), header.get("sky")
    )


def spec_of(header: Mapping[str, Any]) -> PyramidSpec:
    """Return the spec in the header of a file; whatever is wrong raises an exception."""
    return PyramidSpec(**{name: _plain(value) for name, value in header["spec"].items()})


def check_spec(
    path: str | os.PathLike[str], found: PyramidSpec, expected: PyramidSpec | None
) -> None:
    """Refuse a file of another pyramid than the expected one, if any, with a `ValueError`."""
    different = spec_differences(found, expected) if expected is not None else {}
    if different:
        raise ValueError(
            f"path: got {path}, measured with {_listed(different, 0)}; "
            f"expected {_listed(different, 1)}"
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


def _kind_of(statistics: Coefficients) -> dict[str, Any]:
    """Return the entries of the header that say what the arrays are."""
    if not isinstance(statistics, FieldCovariances):
        return {"kind": statistics.kind, "both_triangles": statistics.both_triangles}
    triangles = [one.both_triangles for one in statistics.statistics]
    pairs = [list(pair) for pair in statistics.pairs]
    return {"kind": FIELDS, "pairs": pairs, "both_triangles": triangles}


def _build(groups: dict[str, Any], header: Mapping[str, Any]) -> Coefficients:
    """Return the coefficients of arrays by name; whatever is wrong raises an exception."""
    triangles = header["both_triangles"]
    if header["kind"] != FIELDS:
        return ScatteringCovariance(**groups, both_triangles=triangles)
    pairs = tuple((str(first), str(second)) for first, second in header["pairs"])
    parts: list[dict[str, Any]] = [{} for _ in pairs]
    for name, array in groups.items():
        number, _, group = name.partition("_")
        if not 0 <= int(number) < len(parts):
            raise ValueError(f"{name}: got an array of pair {number} of {len(parts)}")
        parts[int(number)][group] = array
    each = zip(pairs, parts, triangles, strict=True)
    statistics = tuple(
        ScatteringCovariance(**part, both_triangles=triangle) for _, part, triangle in each
    )
    for pair, one in zip(pairs, statistics, strict=True):
        if (one.kind == "auto") != (pair[0] == pair[1]):
            raise ValueError(f"pairs: got {one.kind} coefficients of {' and '.join(pair)}")
    return FieldCovariances(statistics, pairs)


def _error_arrays(errors: Coefficients, statistics: Coefficients) -> dict[str, np.ndarray]:
    """Return the arrays of errors by their names in the file, checked against the coefficients."""
    arrays = {}
    for prefix, name, one in split_pairs("errors", errors):
        for group, array in list_arrays(name, one).items():
            if array.dtype.kind != "f":
                raise ValueError(f"{name}.{group}: got {array.dtype}, expected real numbers")
            arrays[f"error_{prefix}{group}"] = array
    if (got := describe_pairs(errors)) != (expected := describe_pairs(statistics)):
        raise ValueError(f"errors: got {got}, expected {expected} as the statistics")
    both = zip(split_pairs("errors", errors), split_pairs("statistics", statistics), strict=True)
    for (_, name, one), (_, _, other) in both:
        if (got := describe_layout(one)) != (expected := describe_layout(other)):
            raise ValueError(f"{name}: got {got}, expected {expected} as the statistics")
    return arrays
