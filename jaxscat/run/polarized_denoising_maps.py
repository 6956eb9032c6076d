"""The maps of a denoising of polarized maps: a file of I, Q and U for every estimate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxscat.io.maps import save_maps
from jaxscat.run.polarized_denoising import PolarizedDenoising
from jaxscat.run.polarized_inputs import Fields
from jaxscat.run.provenance import creator


def save_denoised_maps(folder: Path, found: PolarizedDenoising) -> list[Path]:
    """Write I (if T is known), Q and U (COSMO), NESTED, a file for each; return their paths.

    They are maps_data.fits, maps_reconstruction.fits (of several seeds maps_seed_<n>.fits and
    maps_mean.fits), one of every linear filter such as maps_wiener_with_t.fits, and
    maps_truth.fits if there is one, each with the columns I_STOKES, Q_STOKES and U_STOKES. LMAX is
    the last multipole of E and B; of reconstructions STATUS says how they ended, and SEED of which
    seed they are.

    Args:
        folder: of the run.
        found: the estimates.

    Raises:
        OSError: a file cannot be written.
    """
    result, skies = found.result, dict(found.estimates)
    headers: dict[str, dict[str, str | int]] = {}
    if found.seeds is None:
        headers["reconstruction"] = {"STATUS": str(result.status)}
    else:
        for at, seed in enumerate(result.seeds or ()):
            name = f"seed {seed}"
            skies[name] = {field: maps[at] for field, maps in found.seeds.items()}
            headers[name] = {"SEED": seed, "STATUS": str(result.status[at])}
        skies["mean"] = {field: np.mean(maps, axis=0) for field, maps in found.seeds.items()}
    if found.given.truth is not None:
        skies["truth"] = found.given.truth
    return [
        _save(folder / file_name(name), found, fields, headers.get(name, {}))
        for name, fields in skies.items()
    ]


def file_name(name: str) -> str:
    """Return the name of the file of an estimate."""
    return f"maps_{name.lower().replace(' ', '_').replace('-', '_')}.fits"


def _save(
    path: Path, found: PolarizedDenoising, fields: Fields, header: dict[str, str | int]
) -> Path:
    inputs = found.given.inputs
    known = {name: inputs.originals[name] for name in inputs.fields if name == "T"}
    columns = {f"{letter}_STOKES": map for letter, map in inputs.stokes(known | fields).items()}
    assert inputs.lmax is not None  # of E and B
    save_maps(
        path,
        columns,
        header={**creator(), "LMAX": inputs.lmax, **header},
        units=inputs.unit,
        frame=inputs.frame,
        dtype="float64" if any(inputs.offsets.values()) else "float32",
        polarization="COSMO",
    )
    return path
