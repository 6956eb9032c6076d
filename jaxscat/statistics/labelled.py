"""Groups of coefficients as variables of an `xarray.Dataset`, with an axis for every index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscat.io.xarray_maps import EXTRA

if TYPE_CHECKING:
    import xarray

# Of these, one is in every index of a group that was reduced to harmonics.
_HARMONICS = ("cos", "sin")
_PARTS = ["mean", "error of the mean"]


def label_groups(
    groups: Mapping[str, Any],
    errors: Mapping[str, Any] | None,
    indices: Mapping[str, Sequence[Mapping[str, int]]],
    masks: int | None,
) -> xarray.Dataset:
    """Return a dataset of groups of coefficients.

    Args:
        groups: "S0" and others, by name.
        errors: of the same shapes, or None.
        indices: of every group but S0, the index of every coefficient in its order.
        masks: length of the leading axis, or None if there is none.

    Raises:
        ValueError: xarray is missing.
    """
    try:
        import xarray
    except ImportError as error:
        raise ValueError(f"to_xarray: {EXTRA}") from error
    leading = {} if masks is None else {"mask": np.arange(masks)}
    variables, coordinates = {}, dict[str, np.ndarray](leading)
    for name, group in groups.items():
        if name == "S0":
            axes, places = {"part": np.array(_PARTS)}, [np.arange(2)]
        else:
            axes, places = _axes_of(indices[name])
        coordinates |= axes
        for suffix, values in (("", group), ("_error", None if errors is None else errors[name])):
            if values is None:
                continue
            values = np.asarray(values)
            shape = tuple(axis.size for axis in (*leading.values(), *axes.values()))
            dense = np.full(shape, np.nan, values.dtype)
            dense[(..., *places)] = values.reshape(*shape[: len(leading)], -1)
            variables[name + suffix] = ((*leading, *axes), dense)
    return xarray.Dataset(variables, coordinates)


def _axes_of(
    indices: Sequence[Mapping[str, int]],
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return the coordinates along every axis, and the place of every coefficient on it."""
    columns: dict[str, list[Any]] = {}
    for index in indices:
        for axis, at in index.items():
            name, value = ("harmonic", f"{axis}={at}") if axis in _HARMONICS else (axis, at)
            columns.setdefault(name, []).append(value)
    axes, places = {}, []
    for name, column in columns.items():
        values = list(dict.fromkeys(column))
        if name != "harmonic":
            values.sort()
        axes[name] = np.array(values)
        places.append(np.array([values.index(value) for value in column]))
    return axes, places
