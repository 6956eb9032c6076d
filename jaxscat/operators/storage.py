"""Pyramids on disk: one `.npz` without pickle, written whole or not at all."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

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
    arrays = {
        f"{scale}/{operator}/{field.name}": np.asarray(getattr(table, field.name))
        for scale, level in enumerate(pyramid.levels)
        for operator in ("stencil", "downsampling")
        if (table := getattr(level, operator)) is not None
        for field in dataclasses.fields(table)
    }
    spec = dataclasses.asdict(pyramid.spec)
    header = {"format": _FORMAT, "spec": spec, "sha256": _digest(spec, arrays)}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "xb") as file:
            np.savez(file, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
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
    except Exception as error:  # damaged archives raise all kinds
        raise ValueError(f"path: got {path}, which is no whole pyramid file ({error})") from error
    if found != _FORMAT:
        raise ValueError(f"path: got {path} of format {found}, expected format {_FORMAT}")
    try:
        spec = PyramidSpec(**fields)
    except TypeError as error:
        raise ValueError(f"path: got {path}, whose header is not that of a pyramid") from error
    check_spec(**dataclasses.asdict(spec))
    if header.get("sha256") != _digest(fields, arrays):
        raise ValueError(f"path: got {path}, whose tables have changed since they were saved")
    levels = []
    for scale in range(spec.scales):
        stencil = _table(arrays, f"{scale}/stencil/")
        assert stencil is not None  # the digest has said so
        downsampling = _table(arrays, f"{scale}/downsampling/")
        level = Level(stencil=stencil, downsampling=downsampling, nside=spec.nside >> scale)
        levels.append(level)
    return Pyramid(levels=tuple(levels), spec=spec)


def _digest(spec: dict, arrays: dict[str, np.ndarray]) -> str:
    """Return a checksum of what a file holds beside it."""
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _table(arrays: dict[str, np.ndarray], prefix: str) -> SparseTable | DenseTable | None:
    fields = {
        name.removeprefix(prefix): jnp.asarray(array)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    if not fields:
        return None
    return DenseTable(**fields) if set(fields) == {"weights"} else SparseTable(**fields)
