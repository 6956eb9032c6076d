"""Pyramids on disk: one `.npz` without pickle, written atomically."""

import dataclasses
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxscat.io.archive import check_archive_name, read_archive, write_archive
from jaxscat.maps import check_kind, check_path
from jaxscat.operators.pyramid import Level, Pyramid
from jaxscat.operators.spec import PyramidSpec, check_spec
from jaxscat.operators.table import DenseTable, SparseTable

_CONTENT, _FORMAT = "pyramid", 2


def save_pyramid(path: str | os.PathLike[str], pyramid: Pyramid) -> None:
    """Write a pyramid to a `.npz` file, atomically.

    Args:
        path: file to write; an existing file is replaced once the new one is complete.
        pyramid: operators.

    Raises:
        ValueError: no path, a name with another suffix than .npz, no pyramid, or what is there is
            no regular file.
        OSError: the folder is missing or cannot be written.
    """
    check_path(path)
    check_archive_name(path)
    check_kind(pyramid, Pyramid, "pyramid", "a Pyramid from jaxscat.build_pyramid")
    arrays = {
        f"{scale}/{operator}/{field.name}": np.asarray(getattr(table, field.name))
        for scale, level in enumerate(pyramid.levels)
        for operator in ("stencil", "downsampling")
        if (table := getattr(level, operator)) is not None
        for field in dataclasses.fields(table)
    }
    arrays |= {
        f"{scale}/{name}": np.asarray(getattr(level, name))
        for scale, level in enumerate(pyramid.levels)
        for name in ("slots", "cells")
        if getattr(level, name) is not None
    }
    if pyramid.order is not None:
        arrays["order"] = np.asarray(pyramid.order)
    header = {"spec": dataclasses.asdict(pyramid.spec)}
    write_archive(path, _CONTENT, _FORMAT, header, arrays)


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
    header, arrays = read_archive(path, _CONTENT, _FORMAT)
    spec = _checked_spec(header, Path(path))
    levels = []
    for scale in range(spec.scales):
        stencil = _table(arrays, f"{scale}/stencil/")
        assert stencil is not None  # the archive's digest was checked
        downsampling = _table(arrays, f"{scale}/downsampling/")
        slots, cells = (_indices(arrays, f"{scale}/{name}") for name in ("slots", "cells"))
        levels.append(Level(stencil, downsampling, slots, cells, spec.finest_nside >> scale))
    return Pyramid(levels=tuple(levels), order=_indices(arrays, "order"), spec=spec)


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


def _indices(arrays: dict[str, np.ndarray], name: str) -> Array | None:
    return jnp.asarray(arrays[name]) if name in arrays else None


def _table(arrays: dict[str, np.ndarray], prefix: str) -> SparseTable | DenseTable | None:
    fields = {
        name.removeprefix(prefix): jnp.asarray(array)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    if not fields:
        return None
    return DenseTable(**fields) if set(fields) == {"weights"} else SparseTable(**fields)
