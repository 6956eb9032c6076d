"""Pyramids on disk: one `.npz` without pickle, written whole or not at all."""

import dataclasses
import json
import os
import tempfile
import zipfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxscat.operators.pyramid import Level, Pyramid, PyramidSpec, check_spec
from jaxscat.operators.table import DenseTable, SparseTable

_FORMAT = 1


def save_pyramid(path: str | os.PathLike[str], pyramid: Pyramid) -> None:
    """Write a pyramid to a `.npz` file, first under a temporary name.

    Args:
        path: file to write; an existing one is replaced once the new one is whole.
        pyramid: operators.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    path = Path(path)
    header = {"format": _FORMAT, "spec": dataclasses.asdict(pyramid.spec)}
    arrays = {"header": np.array(json.dumps(header))}
    for scale, level in enumerate(pyramid.levels):
        for operator in ("stencil", "downsampling"):
            table = getattr(level, operator)
            if table is not None:
                for field in dataclasses.fields(table):
                    arrays[f"{scale}/{operator}/{field.name}"] = np.asarray(
                        getattr(table, field.name)
                    )
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def load_pyramid(path: str | os.PathLike[str]) -> Pyramid:
    """Read a pyramid that `save_pyramid` wrote.

    Returns:
        pyramid whose arrays lie on the default device.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, of another format, or not a pyramid; or it holds float64
            weights while x64 is off.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop("header")))
        found, fields = header["format"], header["spec"]
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"path: got {path}, which is no whole pyramid file ({error})") from error
    if found != _FORMAT:
        raise ValueError(f"path: got {path} of format {found}, expected format {_FORMAT}")
    spec = PyramidSpec(**fields)
    check_spec(**dataclasses.asdict(spec))
    levels = []
    for scale in range(spec.scales):
        stencil = _table(arrays, f"{scale}/stencil/")
        downsampling = _table(arrays, f"{scale}/downsampling/")
        last = scale == spec.scales - 1
        if stencil is None or (downsampling is None) != last:
            raise ValueError(f"path: got {path}, whose tables do not fit its header")
        level = Level(stencil=stencil, downsampling=downsampling, nside=spec.nside >> scale)
        levels.append(level)
    return _checked(Pyramid(levels=tuple(levels), spec=spec), path)


def _table(arrays: dict[str, np.ndarray], prefix: str) -> SparseTable | DenseTable | None:
    fields = {
        name.removeprefix(prefix): jnp.asarray(array)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    if not fields:
        return None
    return DenseTable(**fields) if set(fields) == {"weights"} else SparseTable(**fields)


def _checked(pyramid: Pyramid, path: Path) -> Pyramid:
    weights = jax.tree.leaves(eqx.filter(pyramid, eqx.is_inexact_array))
    if any(leaf.dtype.name != pyramid.spec.dtype for leaf in weights):
        raise ValueError(f"path: got {path}, whose tables do not fit its header")
    return pyramid
