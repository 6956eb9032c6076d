"""Make the reference numbers of `tests/golden`: FOSCAT's coefficients of a map made here.

    python -m experiments.crosscheck golden [--output DIR]

Needs the extra `foscat`. The map is a skewed random field that this script makes, so nothing is
redistributed; it is stored with the numbers, which do not depend on making it again.
`tests/golden/README.md` describes every array.
"""

import argparse
from pathlib import Path

import healpy
import numpy as np

from experiments.crosscheck.cases import two_masks
from experiments.foscat_reference.conventions import GROUPS, Groups, Map
from experiments.foscat_reference.statistics import Foscat
from jaxscat import reference_noise
from jaxscat.io.archive import new_file

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
SEED = 20260601
MAP_NSIDE = 32
NSIDES = (8, 16)
CONVOLUTION_NSIDE = 4
DOWNSAMPLING_NSIDE = 8


def skewed_map(nside: int) -> Map:
    """Return a lognormal map with a red spectrum, NESTED, float64, without a unit.

    It is made at `MAP_NSIDE` with a standard deviation of one, and averaged, so that every nside
    shows the same sky.
    """
    random = np.random.RandomState(SEED)
    lmax = 2 * MAP_NSIDE
    degree, order = healpy.Alm.getlm(lmax)
    amplitude = np.where(degree > 0, (degree + 2.0) ** -1.2, 0.0)
    real, imaginary = random.standard_normal((2, degree.size))
    # Orders above zero stand for two modes each.
    alm = amplitude * np.where(order > 0, (real + 1j * imaginary) / np.sqrt(2), real)
    gaussian = healpy.alm2map(alm, MAP_NSIDE, lmax=lmax)
    skewed = np.exp(gaussian / gaussian.std())
    return healpy.ud_grade(skewed / skewed.std(), nside, order_in="RING", order_out="NESTED")


def prefix_names(prefix: str, groups: Groups) -> Groups:
    return {f"{prefix}_{name}": groups[name] for name in GROUPS}


def golden_maps(nside: int) -> Groups:
    original, mask = skewed_map(nside), two_masks(nside)
    start = reference_noise(original, SEED + 1).astype(np.float64)
    exact, shipped = Foscat(geometry="exact"), Foscat(geometry="foscat")

    mean, sigma = exact.measure_with_sigma(original)
    arrays = {"map": original, "start": start}
    arrays |= {**prefix_names("auto", mean), **prefix_names("auto_sigma", sigma)}
    loss, gradient = exact.seed_loss(original).value_and_grad(start)
    arrays |= {"loss": np.array(loss), "gradient": gradient}

    arrays |= prefix_names("shipped", shipped.measure(original))
    arrays["shipped_loss"] = np.array(shipped.seed_loss(original).value(start))
    if nside == NSIDES[0]:
        mean, sigma = exact.measure_with_sigma(original, mask)
        arrays |= {"mask": mask, **prefix_names("mask", mean), **prefix_names("mask_sigma", sigma)}
        loss, gradient = exact.seed_loss(original, mask).value_and_grad(start)
        arrays |= {"mask_loss": np.array(loss), "mask_gradient": gradient}
        eight = Foscat(orientations=8, geometry="exact")
        mean, sigma = eight.measure_with_sigma(original)
        arrays |= {**prefix_names("eight", mean), **prefix_names("eight_sigma", sigma)}
    return arrays


def golden_operators() -> Groups:
    exact = Foscat(geometry="exact")
    convolution = exact.convolution_matrix(CONVOLUTION_NSIDE)
    downsampling = exact.downsampling_matrix(DOWNSAMPLING_NSIDE)
    arrays: Groups = {}
    for name, matrix in (("convolution", convolution), ("downsampling", downsampling)):
        indices = np.nonzero(matrix)
        arrays[f"{name}_indices"] = np.stack(indices).astype(np.int16)
        arrays[f"{name}_values"] = matrix[indices]
        arrays[f"{name}_shape"] = np.array(matrix.shape)
    return arrays


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.crosscheck golden",
        description="Make the reference numbers of tests/golden with FOSCAT.",
    )
    parser.add_argument("--output", type=Path, default=GOLDEN, metavar="DIR")
    folder = parser.parse_args(arguments).output
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"foscat_nside{nside}.npz": golden_maps(nside) for nside in NSIDES}
    files["foscat_operators.npz"] = golden_operators()
    for name, arrays in files.items():
        with new_file(folder / name) as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        print(f"{folder / name}: {(folder / name).stat().st_size / 1000:.0f} kB")
    return 0
