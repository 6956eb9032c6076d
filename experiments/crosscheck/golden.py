"""Stored numbers that FOSCAT computed elsewhere, from the files of a folder.

The folder has `maps_nside{n}.npz` with the maps; `exact64_*`, of FOSCAT with its float32 geometry
switched to float64; and files of FOSCAT as it is. The comparison is left out where there is no
such folder.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.crosscheck.bounds import STORED_COMPARISONS, Comparison
from experiments.crosscheck.cases import Case, Inputs, Treatment
from experiments.crosscheck.measurements import Numbers
from experiments.foscat_reference.conventions import CROSS_GROUPS, Groups

FORMULAS, FLOAT32_GEOMETRY = STORED_COMPARISONS


@dataclass(frozen=True)
class Stored:
    """FOSCAT's numbers of one case, and the maps that they are of."""

    comparison: Comparison
    case: Case
    inputs: Inputs
    numbers: Numbers


def golden_folder() -> Path | None:
    """Return the folder of stored numbers beside that of the data; None if there is none."""
    data = os.environ.get("JAXSCAT_DATA")
    folder = Path(data).resolve().parent / "golden" if data else None
    return folder if folder is not None and (folder / "maps_nside8.npz").exists() else None


def stored_numbers(folder: Path, nsides: tuple[int, ...]) -> Iterator[Stored]:
    """Yield every stored case of some resolutions, those of exact geometry first."""
    yield from (stored for nside in nsides for stored in _exact(folder, nside))
    yield from (stored for nside in nsides for stored in _shipped(folder, nside))


def _exact(folder: Path, nside: int) -> Iterator[Stored]:
    arrays = np.load(folder / f"exact64_nside{nside}.npz")
    cases = {"auto": Case(nside)}
    cases |= {"mask": Case(nside, masks=True, loss=False)}
    cases |= {"cross": Case(nside, cross=True, loss=False)}
    if nside == 8:
        cases["autoK5"] = Case(nside, kernel_size=5, loss=False)
        cases["autoL8"] = Case(nside, orientations=8, loss=False)
    for name, case in cases.items():
        numbers = Numbers(_groups(arrays, f"{name}_"), _groups(arrays, f"sig_{name}_"))
        if case.loss:
            gradient = arrays["grad"][0] if "grad" in arrays else None
            numbers = replace(numbers, loss=float(arrays["loss"]), gradient=gradient)
        yield Stored(FORMULAS, case, _inputs(folder, case), numbers)


def _shipped(folder: Path, nside: int) -> Iterator[Stored]:
    cases = {
        f"auto_L4_K3_nside{nside}": (Case(nside), "float64"),
        f"auto_L4_K5_nside{nside}": (Case(nside, kernel_size=5, loss=False), ""),
        f"auto_L8_K3_nside{nside}": (Case(nside, orientations=8, loss=False), ""),
        f"mask_L4_K3_nside{nside}": (Case(nside, masks=True), "mask"),
        f"cross_L4_K3_nside{nside}": (Case(nside, cross=True), "cross_reduce_distance"),
        f"cellids_L4_K3_nside{nside}": (Case(nside, patch=True, loss=False), ""),
        f"cmat_L4_K3_nside{nside}": (Case(nside, aligned=True, loss=False), ""),
    }
    losses = folder / f"loss_nside{nside}.npz"
    for name, (case, loss) in cases.items():
        if not (folder / f"{name}.npz").exists():
            continue
        arrays = np.load(folder / f"{name}.npz")
        numbers = Numbers(_groups(arrays), _groups(arrays, "sig_"))
        if case.loss and losses.exists():
            values = np.load(losses)
            gradient = values[f"grad_{loss}"][0]
            numbers = replace(numbers, loss=float(values[f"loss_{loss}"]), gradient=gradient)
        else:
            case = replace(case, loss=False)
        cells = arrays["cell_ids"] if case.patch else None
        yield Stored(FLOAT32_GEOMETRY, case, _inputs(folder, case, cells), numbers)
    yield from _reduced(folder, nside)
    arrays = np.load(folder / f"normauto_L4_K3_nside{nside}.npz")
    case = Case(nside, cross=True, treatment="normalized", loss=False)
    # Only S2 is divided by FOSCAT.
    numbers = Numbers({"s2": _groups(arrays, "cross1_")["s2"]}, {})
    yield Stored(FLOAT32_GEOMETRY, case, _inputs(folder, case), numbers)


def _reduced(folder: Path, nside: int) -> Iterator[Stored]:
    arrays = np.load(folder / f"angular_L4_K3_nside{nside}.npz")
    prefixes: dict[Treatment, tuple[str, str]] = {
        "isotropic mean": ("iso_", ""),
        "harmonics": ("fft_", "fftsig_"),
        "spread": ("isostd_", ""),
    }
    for treatment, (mean, sigma) in prefixes.items():
        case = Case(nside, treatment=treatment, loss=False)
        numbers = Numbers(_groups(arrays, mean), _groups(arrays, sigma) if sigma else {})
        yield Stored(FLOAT32_GEOMETRY, case, _inputs(folder, case), numbers)
    eight = folder / f"auto_L8_K3_nside{nside}.npz"
    if eight.exists():
        case = Case(nside, orientations=8, treatment="isotropic mean", loss=False)
        numbers = Numbers(_groups(np.load(eight), "iso_"), {})
        yield Stored(FLOAT32_GEOMETRY, case, _inputs(folder, case), numbers)


def _inputs(folder: Path, case: Case, cells: np.ndarray | None = None) -> Inputs:
    maps = np.load(folder / f"maps_nside{case.nside}.npz")
    taken = slice(None) if cells is None else cells
    original, start, second = (maps[name][0, taken] for name in ("im", "start", "second"))
    if case.aligned:
        # The stored coefficients are those of the start, with the turns of the original.
        return Inputs(original=start, start=start, guide=original)
    return Inputs(
        original=original,
        start=start,
        second=second if case.cross else None,
        mask=maps["mask"][:, taken] if case.masks else None,
        cell_ids=cells,
    )


def _groups(arrays: np.lib.npyio.NpzFile, prefix: str = "") -> Groups:
    """Return the groups of one measurement; axes of one map and of one mask are dropped."""
    keys = {name: f"{prefix}{name.upper()}" for name in CROSS_GROUPS}
    whole = {name: arrays[key][0] for name, key in keys.items() if key in arrays}
    return {name: array[0] if array.shape[0] == 1 else array for name, array in whole.items()}
