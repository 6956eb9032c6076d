"""Maps on HEALPix cells written to zarr stores and netCDF files, through xarray."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.io.archive import new_file
from jaxscat.io.column_names import is_odd_in_u, stokes_of
from jaxscat.io.xarray_maps import EXTRA
from jaxscat.maps import npix_to_nside


def write_xarray(
    path: Path,
    maps: Mapping[str, Float[np.ndarray, " p"]],
    units: Mapping[str, str | None],
    attributes: Mapping[str, Any],
) -> None:
    """Write NESTED float32 maps, NaN where they have no data, to a zarr store or a netCDF file.

    The cells are described in the ways of xdggs (attributes of `cell_ids`), of CF and of easy.gems
    (the grid mapping `crs`). What was at `path` is replaced once the new one is complete.

    Raises ValueError without xarray, OSError if the folder cannot be written.
    """
    write_dataset(path, _build_dataset(maps, units, attributes))


def write_dataset(path: Path, dataset: Any) -> None:
    """Write a dataset of xarray to a zarr store or a netCDF file, as the name of the path says.

    What was at `path` is replaced once the new one is complete.

    Raises ValueError without zarr or h5netcdf, OSError if the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as draft:
        made = Path(draft) / path.name
        try:
            if path.name.lower().endswith(".zarr"):
                dataset.to_zarr(made, consolidated=False)
            else:
                dataset.to_netcdf(made, engine="h5netcdf")
        except ImportError as error:
            raise ValueError(f"{str(path)!r}: {EXTRA}") from error
        if made.is_dir():
            _replace_folder(made, Path(os.path.realpath(path)), Path(draft) / "replaced")
        else:
            with new_file(path) as file, made.open("rb") as whole:
                shutil.copyfileobj(whole, file)


def _replace_folder(made: Path, path: Path, former: Path) -> None:
    """Put a folder in the place of another, which is kept elsewhere, or back if that fails."""
    if not path.exists():
        os.rename(made, path)
        return
    os.rename(path, former)
    try:
        os.rename(made, path)
    except BaseException:
        os.rename(former, path)
        raise


def _build_dataset(
    maps: Mapping[str, np.ndarray], units: Mapping[str, str | None], attributes: Mapping[str, Any]
) -> Any:
    try:
        import xarray
    except ImportError as error:
        raise ValueError(f"save_maps: {EXTRA}") from error
    npix = next(iter(maps.values())).size
    nside = npix_to_nside(npix)
    level = nside.bit_length() - 1
    cell_ids = {
        "standard_name": "healpix_index",
        "grid_name": "healpix",
        "level": level,
        "indexing_scheme": "nested",
    }
    crs = {
        "grid_mapping_name": "healpix",
        "refinement_level": level,
        "indexing_scheme": "nested",
        "healpix_nside": nside,
        "healpix_order": "nest",
    }
    variables = {
        name: ("cells", values, {"grid_mapping": "crs"} | _unit(units.get(name)))
        for name, values in maps.items()
    }
    polarized = any(is_odd_in_u(name) or stokes_of(name) == "Q" for name in maps)
    dataset = xarray.Dataset(
        variables,
        coords={
            "cell_ids": ("cells", np.arange(npix), cell_ids),
            "crs": ((), np.int8(0), crs),
        },
        attrs={**attributes, **({"POLCCONV": "COSMO"} if polarized else {})},
    )
    for name in maps:
        dataset[name].encoding["_FillValue"] = np.float32("nan")
    return dataset


def _unit(unit: str | None) -> dict[str, str]:
    return {} if unit is None else {"units": unit}
