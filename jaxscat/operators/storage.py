"""Pyramids on disk: one `.npz` without pickle, written atomically."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from jaxscat.io.archive import check_archive_name, read_archive, write_archive
from jaxscat.maps import check_kind, check_path
from jaxscat.operators.dense import DenseTable
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.product import Table
from jaxscat.operators.pyramid import Level, Pyramid
from jaxscat.operators.rows import RowTable
from jaxscat.operators.shard import is_shared
from jaxscat.operators.spec import PyramidSpec, check_spec
from jaxscat.operators.table_checks import check_table

FORMAT = 5
_CONTENT = "pyramid"

# Arrays that tables of blocks may do without.
_OPTIONAL = {"slots", "windows", "places"}

_KINDS = {kind.__name__: kind for kind in (RowTable, FaceTable, DenseTable)}


def save_pyramid(path: str | os.PathLike[str], pyramid: Pyramid) -> None:
    """Write a pyramid to a `.npz` file, atomically.

    Args:
        path: file to write; an existing file is replaced once the new one is complete.
        pyramid: operators.

    Raises:
        ValueError: no path, a name with another suffix than .npz, no pyramid or one that
            is shared among devices, or what is there is no regular file.
        OSError: the folder is missing or cannot be written.
    """
    check_path(path)
    check_archive_name(path)
    check_kind(pyramid, Pyramid, "pyramid", "a Pyramid from jaxscat.build_pyramid")
    if is_shared(pyramid):
        raise ValueError("pyramid: got one that is shared among devices, expected one that is not")
    arrays, tables = {}, {}
    for scale, level in enumerate(pyramid.levels):
        for operator in ("stencil", "downsampling"):
            table = getattr(level, operator)
            if table is not None:
                name = f"{scale}/{operator}"
                tables[name], own = _taken_apart(table)
                arrays |= {f"{name}/{field}": array for field, array in own.items()}
        if level.cells is not None:
            arrays[f"{scale}/cells"] = np.asarray(level.cells)
    if pyramid.order is not None:
        arrays["order"] = np.asarray(pyramid.order)
    header = {"spec": dataclasses.asdict(pyramid.spec), "tables": tables}
    write_archive(path, _CONTENT, FORMAT, header, arrays)


def load_pyramid(path: str | os.PathLike[str]) -> Pyramid:
    """Read a pyramid that `save_pyramid` wrote.

    Returns:
        pyramid with its arrays on the default device.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, of another format, or not a pyramid; or it holds float64
            weights while x64 is off.
    """
    check_path(path)
    header, arrays = read_archive(path, _CONTENT, FORMAT)
    spec = _checked_spec(header, Path(path))
    try:
        levels = [_level(header["tables"], arrays, spec, scale) for scale in range(spec.scales)]
        names = {f"{name}/" for name in header["tables"]}
        for name in arrays:
            if (
                "/" in name
                and not name.endswith("/cells")
                and name.rpartition("/")[0] + "/" not in names
            ):
                raise ValueError(f"{name} belongs to no table")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"path: got {path}, whose tables do not fit its specification ({error!r}), expected "
            "those of a pyramid"
        ) from error
    return Pyramid(levels=tuple(levels), order=_array(arrays, "order"), spec=spec)


def _checked_spec(header: dict, path: Path) -> PyramidSpec:
    """Validate the spec of a stored pyramid; float64 needs x64."""
    try:
        spec = PyramidSpec(**header["spec"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"path: got {path}, whose header is not that of a pyramid") from error
    values = dataclasses.asdict(spec)
    digest, count = values.pop("cells"), values.pop("cell_count")
    check_spec(**values)
    if (digest is None) != (count is None):
        raise ValueError(f"path: got {path}, whose header names a patch without its pixels")
    return spec


def _array(arrays: dict[str, Any], name: str) -> Array | None:
    """Put an array on the device, and drop the one on the host, so that it is there once."""
    if name not in arrays:
        return None
    arrays[name] = jax.device_put(arrays[name])
    return arrays[name]


def _level(
    tables: dict[str, dict[str, Any]],
    arrays: dict[str, Any],
    spec: PyramidSpec,
    scale: int,
) -> Level:
    """Put one level together and check that its tables are those of the specification."""
    cells = _array(arrays, f"{scale}/cells")
    nside = spec.finest_nside >> scale
    rows = 12 * nside**2 // spec.sectors if cells is None else cells.shape[0]
    stencil = _put_together(tables, arrays, f"{scale}/stencil")
    check_table(stencil, f"{scale}/stencil", spec, (spec.orientations, 2, rows, rows))
    downsampling = None
    if scale + 1 < spec.scales or (scale == 0 and spec.upsampled):
        name = f"{scale}/downsampling"
        downsampling = _put_together(tables, arrays, name)
        coarse = rows // 4 if cells is None else np.unique(np.asarray(cells) // 4).size
        check_table(downsampling, name, spec, (1, 1, coarse, rows))
    elif f"{scale}/downsampling" in tables:
        raise ValueError(f"scale {scale} has a downsampling")
    return Level(stencil, downsampling, cells, nside)


def _taken_apart(table: Table) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the kind and the static fields of a table, and its arrays."""
    header: dict[str, Any] = {"kind": type(table).__name__}
    arrays = {}
    for field in dataclasses.fields(table):
        value = getattr(table, field.name)
        if field.metadata.get("static"):
            header[field.name] = value
        elif value is not None:
            arrays[field.name] = np.asarray(value)
    return header, arrays


def _put_together(tables: dict[str, dict[str, Any]], arrays: dict[str, Any], name: str) -> Table:
    static = dict(tables[name])
    kind = _KINDS[static.pop("kind")]
    if "offsets" in static:
        static["offsets"] = tuple(tuple(offset) for offset in static["offsets"])
    declared = {
        field.name: bool(field.metadata.get("static")) for field in dataclasses.fields(kind)
    }
    if set(static) != {field for field, is_static in declared.items() if is_static}:
        raise ValueError(f"{name} has {sorted(static)}")
    if any(type(value) is not int for field, value in static.items() if field != "offsets"):
        raise ValueError(f"{name} has {static}")
    own = {field for field, is_static in declared.items() if not is_static}
    stored = {key.removeprefix(f"{name}/") for key in arrays if key.startswith(f"{name}/")}
    if not own - _OPTIONAL <= stored <= own:
        raise ValueError(f"{name} has the arrays {sorted(stored)}, expected {sorted(own)}")
    fields: dict[str, Any] = {field: _array(arrays, f"{name}/{field}") for field in own}
    return kind(**static, **fields)
