"""Measured simulations on disk: one `.npz` or a zarr store, replaced only by a whole new one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxscat.io.archive import check_archive_name, check_replaceable, read_archive, write_archive
from jaxscat.io.xarray_maps import EXTRA
from jaxscat.io.xarray_writing import write_dataset
from jaxscat.maps import check_kind, check_path
from jaxscat.operators.spec import PyramidSpec
from jaxscat.reasons import reason_of
from jaxscat.statistics.storage import spec_of

CONTENT, VERSION = "simulations", 1
_HEADER = "jaxscat"  # attribute of zarr stores


class Simulations(NamedTuple):
    """The vectors of simulations, and what they are simulations of, as `measure_many` returns them.

    Attributes:
        vectors: one row for each simulation, in the precision of the pyramid.
        names: of the columns.
        seeds: of the simulations, or None if the maps were given.
        parameters: of the simulations, in float64, or None.
        spec: of the pyramid with which they were measured.

    Source: `docs/inference.md`, "Simulations".
    """

    vectors: Float[np.ndarray, "simulation coefficient"]
    names: tuple[str, ...]
    seeds: Int[np.ndarray, " simulation"] | None
    parameters: Float[np.ndarray, "simulation parameter"] | None
    spec: PyramidSpec


def save_simulations(path: str | os.PathLike[str], simulations: Simulations) -> None:
    """Write simulations to a `.npz` file or (with `jaxscat[xarray]`) a `.zarr` store.

    A `.npz` file is replaced atomically. A store is a folder, which takes two renames: the former
    one goes, the new one comes. A process that is killed between them (not one that is interrupted
    or fails) leaves no store at `path`; both are whole in a hidden folder `.NAME.*` beside it, the
    new one as `NAME` and the former one as `replaced`.

    Args:
        path: file or store to write; one that is there is replaced once the new one is complete.
        simulations: from `measure_many`.

    Raises:
        ValueError: another suffix, a `.zarr` without the extra, or what is there cannot be
            replaced.
        OSError: the folder is missing or cannot be written.

    Source: `docs/inference.md`, "Simulations".
    """
    check_kind(simulations, Simulations, "simulations", "Simulations, as from measure_many")
    path = check_simulation_path(path)
    arrays: dict[str, np.ndarray] = {"vectors": np.asarray(simulations.vectors)}
    if simulations.seeds is not None:
        arrays["seeds"] = np.asarray(simulations.seeds)
    if simulations.parameters is not None:
        arrays["parameters"] = np.asarray(simulations.parameters)
    header = {"names": list(simulations.names), "spec": dataclasses.asdict(simulations.spec)}
    if path.suffix.lower() == ".zarr":
        _write_zarr(path, arrays, header)
    else:
        write_archive(path, CONTENT, VERSION, header, arrays)


def load_simulations(path: str | os.PathLike[str]) -> Simulations:
    """Read simulations that `save_simulations` or `measure_many` has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or has other contents.

    Source: `docs/inference.md`, "Simulations".
    """
    check_path(path)
    path = Path(path)
    if path.suffix.lower() == ".zarr":
        header, arrays = _read_zarr(path)
    else:
        header, arrays = read_archive(path, CONTENT, VERSION)
    try:
        vectors, names = arrays["vectors"], tuple(map(str, header["names"]))
        seeds, parameters = arrays.get("seeds"), arrays.get("parameters")
        for name, array in (("seeds", seeds), ("parameters", parameters)):
            if array is not None and len(array) != len(vectors):
                raise ValueError(f"{name}: got {len(array)}, expected {len(vectors)}")
        if vectors.ndim != 2 or vectors.shape[1] != len(names):
            raise ValueError(f"vectors: got shape {vectors.shape} for {len(names)} names")
        spec = spec_of(header)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"path: got {path}, whose header and arrays do not fit this version of jaxscat "
            f"({reason_of(error)})"
        ) from error
    return Simulations(vectors, names, seeds, parameters, spec)


def check_simulation_path(path: Any) -> Path:
    """Return the path of simulations as one with a suffix, `.npz` if it has none.

    Raises:
        ValueError: another suffix, or what is there is no file or store that can be replaced.
    """
    check_path(path)
    path = Path(path)
    if path.suffix.lower() == ".zarr":
        _need_zarr(path)  # now, and not when there is something to lose
        if path.exists() and not (path / "zarr.json").exists() and not (path / ".zattrs").exists():
            raise ValueError(f"path: got {str(path)!r}, which is no zarr store, expected a new one")
    else:
        check_archive_name(path)
        path = path.with_name(path.name + ".npz") if not path.suffix else path
        check_replaceable(path)
    if not path.parent.is_dir():
        raise ValueError(f"path: got {str(path)!r}, but there is no folder {str(path.parent)!r}")
    return path


def _need_zarr(path: Path) -> None:
    """Refuse a path of a store where what writes and reads it is not installed."""
    try:
        import xarray  # noqa: F401
        import zarr  # noqa: F401
    except ImportError as error:
        raise ValueError(f"path: {str(path)!r} {EXTRA}") from error


def _write_zarr(path: Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    import xarray

    axes: dict[str, Sequence[str]] = {
        "vectors": ("simulation", "coefficient"),
        "seeds": ("simulation",),
        "parameters": ("simulation", "parameter"),
    }
    dataset = xarray.Dataset(
        {name: (axes[name], array) for name, array in arrays.items()},
        coords={"coefficient": np.array(header["names"], dtype=object)},
        attrs={_HEADER: json.dumps({"content": CONTENT, "format": VERSION, **header})},
    )
    write_dataset(path, dataset)


def _read_zarr(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not path.exists():
        raise FileNotFoundError(f"path: got {path}, which is no zarr store of {CONTENT}")
    _need_zarr(path)
    import xarray

    try:
        with xarray.open_dataset(path, engine="zarr", consolidated=False) as dataset:
            header = json.loads(dataset.attrs[_HEADER])
            arrays = {str(name): np.asarray(values) for name, values in dataset.data_vars.items()}
    except Exception as error:  # damaged stores raise all kinds
        raise ValueError(f"path: got {path}, which is no whole zarr store of {CONTENT}") from error
    if header.get("content") != CONTENT or header.get("format") != VERSION:
        raise ValueError(f"path: got {path}, expected {CONTENT} of format {VERSION}")
    return header, arrays
